{% macro stripe__refunds() -%}
{#-
    The release of what was authorized and never captured is a refund too in Stripe's words: of a
    whole charge that was not captured, or of the rest of one captured in part. It moves no money,
    and so it has no balance transaction.
-#}
select
    refund.venue_id,
    'stripe' as provider,
    refund.account_id,
    refund.refund_id as source_id,
    refund.created_at as occurred_at,
    refund.charge_id as payment_id,
    refund.status,
    refund.status in ('succeeded', 'pending')
    and not coalesce(
        refund.balance_transaction_id is null
        and charge.captured_amount_minor < charge.amount_minor
        and refund.amount_minor = charge.amount_minor - charge.captured_amount_minor,
        false
    ) as is_effective,
    refund.reason,
    refund.failure_reason,
    refund.currency,
    refund.amount_minor,
    case
        when settlement.currency = refund.currency then settlement.fee_amount_minor
        else {{ at_same_rate('settlement.fee_amount_minor', 'settlement.amount_minor', 'refund.amount_minor') }}
    end as fee_amount_minor,
    settlement.currency as settlement_currency,
    settlement.amount_minor as settlement_amount_minor,
    refund.balance_transaction_id,
    refund.metadata,
    {{ provenance('refund') }}
from {{ scoped(ref('stg_stripe__refunds')) }} as refund
left join {{ scoped(ref('stg_stripe__charges')) }} as charge
    using (venue_id, account_id, charge_id)
left join {{ scoped(ref('stg_stripe__balance_transactions')) }} as settlement
    on settlement.venue_id = refund.venue_id
    and settlement.account_id = refund.account_id
    and settlement.balance_transaction_id = refund.balance_transaction_id
{%- endmacro %}
