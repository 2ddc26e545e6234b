-- One row per captured payment: money that a customer paid and a processor took.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id'], 'unique': true}, {'columns': ['venue_id', 'business_date']}]) }}

with payments as (
    ({{ stripe__payments() }})
    union all
    ({{ square__payments() }})
)

select
    payment.venue_id,
    payment.provider,
    payment.account_id,
    payment.source_id,
    payment.occurred_at,
    {{ business_date('payment.occurred_at') }} as business_date,
    payment.currency,
    payment.gross_amount_minor,
    {{ money('payment.gross_amount_minor', 'payment.currency') }} as gross_amount,
    payment.tip_amount_minor,
    {{ money('payment.tip_amount_minor', 'payment.currency') }} as tip_amount,
    payment.tax_amount_minor,
    {{ money('payment.tax_amount_minor', 'payment.currency') }} as tax_amount,
    payment.fee_amount_minor,
    {{ money('payment.fee_amount_minor', 'payment.currency') }} as fee_amount,
    payment.gross_amount_minor - coalesce(payment.fee_amount_minor, 0) as net_amount_minor,
    {{ money('(payment.gross_amount_minor - coalesce(payment.fee_amount_minor, 0))', 'payment.currency') }} as net_amount,
    payment.settlement_currency,
    payment.settlement_gross_amount_minor,
    {{ money('payment.settlement_gross_amount_minor', 'payment.settlement_currency') }} as settlement_gross_amount,
    payment.settlement_fee_amount_minor,
    {{ money('payment.settlement_fee_amount_minor', 'payment.settlement_currency') }} as settlement_fee_amount,
    payment.settlement_net_amount_minor,
    {{ money('payment.settlement_net_amount_minor', 'payment.settlement_currency') }} as settlement_net_amount,
    payment.exchange_rate,
    {{ mapped('payment.payment_method_type') }} as payment_method_type,
    payment.card_brand,
    payment.card_last4,
    payment.customer_id,
    payment.invoice_id,
    payment.order_id,
    payment.payment_intent_id,
    payment.balance_transaction_id,
    payment.is_disputed,
    {{ mapped('payment.description') }} as description,
    payment.metadata,
    {{ custom_fields() }} as custom_fields,
    {{ mapping_errors() }} as mapping_errors,
    mapping.version as mapping_version,
    payment.raw_id,
    payment.raw_observed_at,
    payment.raw_content_hash,
    payment.deleted_at,
    payment.deleted_at is not null as is_deleted
from payments as payment
join {{ source('control', 'venues') }} as venue using (venue_id)
{{ mapping('payment', {'stripe': 'charges', 'square': 'payments'}) }}
