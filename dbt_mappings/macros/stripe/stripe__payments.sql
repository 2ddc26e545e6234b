{% macro stripe__payments() -%}
{#-
    A payment is a charge that succeeded and was captured, for what was captured of it.

    Tax is what its payment intent states, else its Checkout session, else its invoice: of an
    invoice's tax a payment bears the share that it pays of the total, rounded on the running sum so
    that the shares of all payments add up to the tax. The link from invoice to payment stood on the
    charge in older API versions and stands on the invoice in newer ones.
-#}
with charges as (
    select *
    from {{ scoped(ref('stg_stripe__charges')) }} as charge
    -- An amount that cannot be read stays, for a test to name it.
    where status = 'succeeded' and is_captured and captured_amount_minor is distinct from 0
),

invoice_of_reference as (
    select distinct on (venue_id, account_id, reference_id)
        venue_id,
        account_id,
        reference_id,
        invoice_id
    from {{ scoped(ref('stg_stripe__invoice_payments')) }} as invoice_payment
    cross join lateral (values (charge_id), (payment_intent_id)) as paid_by (reference_id)
    where reference_id is not null
    order by venue_id, account_id, reference_id, invoice_id
),

session_of_intent as (
    select distinct on (venue_id, account_id, payment_intent_id)
        venue_id,
        account_id,
        payment_intent_id,
        invoice_id,
        case when {{ stripe__is_order('session') }} then checkout_session_id end as order_id,
        currency,
        tax_amount_minor
    from {{ scoped(ref('stg_stripe__checkout_sessions')) }} as session
    where payment_intent_id is not null
    order by venue_id, account_id, payment_intent_id, created_at desc nulls last, checkout_session_id
),

linked as (
    select
        charges.*,
        intent.tip_amount_minor,
        session.order_id,
        coalesce(
            intent.tax_amount_minor,
            case when session.currency = charges.currency then session.tax_amount_minor end
        ) as stated_tax_amount_minor,
        coalesce(
            charges.invoice_id,
            intent.invoice_id,
            by_charge.invoice_id,
            by_intent.invoice_id,
            session.invoice_id
        ) as paid_invoice_id
    from charges
    left join {{ scoped(ref('stg_stripe__payment_intents')) }} as intent
        using (venue_id, account_id, payment_intent_id)
    left join session_of_intent as session
        using (venue_id, account_id, payment_intent_id)
    left join invoice_of_reference as by_charge
        on by_charge.venue_id = charges.venue_id
        and by_charge.account_id = charges.account_id
        and by_charge.reference_id = charges.charge_id
    left join invoice_of_reference as by_intent
        on by_intent.venue_id = charges.venue_id
        and by_intent.account_id = charges.account_id
        and by_intent.reference_id = charges.payment_intent_id
),

summed as (
    select
        linked.*,
        sum(captured_amount_minor) over invoice_payments as paid_so_far_minor,
        sum(captured_amount_minor) over (partition by venue_id, account_id, paid_invoice_id) as paid_minor
    from linked
    window invoice_payments as (
        partition by venue_id, account_id, paid_invoice_id order by created_at, charge_id
    )
)

select
    charge.venue_id,
    'stripe' as provider,
    charge.account_id,
    charge.charge_id as source_id,
    charge.created_at as occurred_at,
    charge.currency,
    charge.captured_amount_minor as gross_amount_minor,
    charge.tip_amount_minor,
    coalesce(
        charge.stated_tax_amount_minor,
        round(invoice.tax_amount_minor * charge.paid_so_far_minor
            / greatest(invoice.total_amount_minor, charge.paid_minor))
        - round(invoice.tax_amount_minor * (charge.paid_so_far_minor - charge.captured_amount_minor)
            / greatest(invoice.total_amount_minor, charge.paid_minor))
    )::bigint as tax_amount_minor,
    case
        when settlement.currency = charge.currency then settlement.fee_amount_minor
        else {{ at_same_rate('settlement.fee_amount_minor', 'settlement.amount_minor', 'charge.captured_amount_minor') }}
    end as fee_amount_minor,
    settlement.currency as settlement_currency,
    settlement.amount_minor as settlement_gross_amount_minor,
    settlement.fee_amount_minor as settlement_fee_amount_minor,
    settlement.net_amount_minor as settlement_net_amount_minor,
    settlement.exchange_rate,
    charge.payment_method_type,
    charge.card_brand,
    charge.card_last4,
    charge.customer_id,
    charge.paid_invoice_id as invoice_id,
    charge.order_id,
    charge.payment_intent_id,
    charge.balance_transaction_id,
    charge.is_disputed,
    charge.description,
    charge.metadata,
    {{ provenance('charge') }}
from summed as charge
left join {{ scoped(ref('stg_stripe__invoices')) }} as invoice
    on invoice.venue_id = charge.venue_id
    and invoice.account_id = charge.account_id
    and invoice.invoice_id = charge.paid_invoice_id
    and invoice.currency = charge.currency
left join {{ scoped(ref('stg_stripe__balance_transactions')) }} as settlement
    on settlement.venue_id = charge.venue_id
    and settlement.account_id = charge.account_id
    and settlement.balance_transaction_id = charge.balance_transaction_id
{%- endmacro %}
