-- One row per Stripe dispute, with what it moved on the account's balance so far.
select
    {{ raw_provenance() }},
    raw.id as dispute_id,
    {{ instant('dispute.created') }} as created_at,
    {{ instant("coalesce(dispute.evidence_details ->> 'due_by', dispute.evidence_due_by)") }} as evidence_due_at,
    dispute.status,
    dispute.reason,
    upper(dispute.currency) as currency,
    {{ integer('dispute.amount') }} as amount_minor,
    {{ reference('dispute.charge') }} as charge_id,
    {{ reference('dispute.payment_intent') }} as payment_intent_id,
    {{ boolean('dispute.is_charge_refundable') }} as is_charge_refundable,
    {{ boolean("dispute.evidence_details ->> 'has_evidence'") }} as has_evidence,
    settlement.currency as settlement_currency,
    settlement.fee_amount_minor as settlement_fee_amount_minor,
    settlement.net_amount_minor as settlement_net_amount_minor,
    dispute.livemode = 'true' as is_live,
    dispute.metadata
from {{ source('raw_stripe', 'disputes') }} as raw
cross join lateral jsonb_to_record(raw.payload) as dispute (
    created text,
    evidence_details jsonb,
    evidence_due_by text,
    status text,
    reason text,
    currency text,
    amount text,
    charge jsonb,
    payment_intent jsonb,
    is_charge_refundable text,
    balance_transactions jsonb,
    livemode text,
    metadata jsonb
)
cross join lateral (
    select
        upper(min(movement ->> 'currency')) as currency,
        sum({{ integer("movement ->> 'fee'") }})::bigint as fee_amount_minor,
        sum({{ integer("movement ->> 'net'") }})::bigint as net_amount_minor
    from {{ elements('dispute.balance_transactions') }} as movement
) as settlement
