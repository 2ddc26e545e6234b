{% macro square__payments() -%}
{#-
    A payment is one that Square completed, cash and vouchers taken at the till among them. Of its
    order's tax it bears the share that it pays of the total, rounded on the running sum so that the
    shares of all payments add up to the tax. Taken while the till was offline, it belongs to that
    moment. What Square did not take itself settles nowhere.
-#}
with payments as (
    select
        payment.*,
        coalesce(offline_created_at, created_at) as occurred_at
    from {{ scoped(ref('stg_square__payments')) }} as payment
    where status = 'COMPLETED'
),

summed as (
    select
        payments.*,
        sum(total_amount_minor) over order_payments as paid_so_far_minor,
        sum(total_amount_minor) over (partition by venue_id, account_id, order_id) as paid_minor
    from payments
    window order_payments as (
        partition by venue_id, account_id, order_id order by occurred_at, payment_id
    )
)

select
    payment.venue_id,
    'square' as provider,
    payment.account_id,
    payment.payment_id as source_id,
    payment.occurred_at,
    payment.currency,
    payment.total_amount_minor as gross_amount_minor,
    payment.tip_amount_minor,
    (
        round(sale.tax_amount_minor * payment.paid_so_far_minor
            / nullif(greatest(sale.total_amount_minor, payment.paid_minor), 0))
        - round(sale.tax_amount_minor * (payment.paid_so_far_minor - payment.total_amount_minor)
            / nullif(greatest(sale.total_amount_minor, payment.paid_minor), 0))
    )::bigint as tax_amount_minor,
    payment.processing_fee_amount_minor as fee_amount_minor,
    case when payment.processing_fee_amount_minor is not null then payment.currency end as settlement_currency,
    case when payment.processing_fee_amount_minor is not null then payment.total_amount_minor end
        as settlement_gross_amount_minor,
    payment.processing_fee_amount_minor as settlement_fee_amount_minor,
    payment.total_amount_minor - payment.processing_fee_amount_minor as settlement_net_amount_minor,
    null::numeric as exchange_rate,
    lower(payment.source_type) as payment_method_type,
    lower(payment.card_brand) as card_brand,
    payment.card_last4,
    payment.customer_id,
    invoice.invoice_id,
    payment.order_id,
    null as payment_intent_id,
    null as balance_transaction_id,
    dispute.payment_id is not null as is_disputed,
    payment.note as description,
    sale.metadata,
    {{ provenance('payment') }}
from summed as payment
left join {{ scoped(ref('stg_square__orders')) }} as sale
    using (venue_id, account_id, order_id)
left join (
    select distinct on (venue_id, account_id, order_id) venue_id, account_id, order_id, invoice_id
    from {{ scoped(ref('stg_square__invoices')) }} as invoice
    where order_id is not null
    order by venue_id, account_id, order_id, invoice_id
) as invoice using (venue_id, account_id, order_id)
left join (
    select distinct venue_id, account_id, payment_id
    from {{ scoped(ref('stg_square__disputes')) }} as dispute
) as dispute using (venue_id, account_id, payment_id)
{%- endmacro %}
