{% macro stripe__payout_lines() -%}
{#-
    No object of Stripe's says which payout took a balance transaction. An automatic payout takes
    all that has become available in its currency since the one before, so a transaction belongs to
    the first one made at or after the instant at which it was available; the test
    payouts_equal_their_lines holds this against each payout's amount. A payout that a person made
    takes an amount, and no transactions: it stands, as a whole, in the next automatic one.
-#}
with payouts as (
    select *
    from {{ scoped(ref('stg_stripe__payouts')) }} as payout
    where is_automatic
),

movements as (
    select
        movement.*,
        greatest(created_at, available_at) as taken_at,
        case
            when category in ('charge', 'payment') then 'payment'
            when category in ('refund', 'payment_refund', 'refund_failure') then 'refund'
            when category in ('dispute', 'dispute_reversal') then 'dispute'
            when category in ('payout_reversal', 'payout_failure') then 'returned_payout'
            else category
        end as line_type
    from {{ scoped(ref('stg_stripe__balance_transactions')) }} as movement
    cross join lateral (values (coalesce(reporting_category, type))) as known (category)
    -- The payout's own is what its lines add up to.
    where not exists (
        select from payouts as payout
        where payout.venue_id = movement.venue_id
            and payout.account_id = movement.account_id
            and payout.balance_transaction_id = movement.balance_transaction_id
    )
),

placed as (
    select
        venue_id,
        account_id,
        currency,
        payout_id,
        balance_transaction_id,
        -- Payouts made before, which is the place of a payout among them, too.
        count(payout_id) over (
            partition by venue_id, account_id, currency
            order by at, payout_id nulls first
            rows between unbounded preceding and 1 preceding
        ) as place
    from (
        select venue_id, account_id, currency, null as payout_id, balance_transaction_id, taken_at as at
        from movements
        where taken_at is not null
        union all
        select venue_id, account_id, currency, payout_id, null as balance_transaction_id, created_at as at
        from payouts
    ) as event
)

select
    movement.venue_id,
    'stripe' as provider,
    movement.account_id,
    movement.balance_transaction_id as source_id,
    payout.payout_id,
    movement.created_at as occurred_at,
    movement.line_type,
    case movement.line_type when 'payment' then movement.source_object_id end as payment_id,
    case movement.line_type when 'refund' then movement.source_object_id end as refund_id,
    case movement.line_type when 'dispute' then movement.source_object_id end as dispute_id,
    movement.currency,
    movement.amount_minor as gross_amount_minor,
    movement.fee_amount_minor,
    movement.net_amount_minor,
    movement.description,
    {{ provenance('movement') }}
from movements as movement
join placed using (venue_id, account_id, balance_transaction_id)
join placed as payout
    on payout.venue_id = placed.venue_id
    and payout.account_id = placed.account_id
    and payout.currency = placed.currency
    and payout.place = placed.place
    and payout.payout_id is not null
{%- endmacro %}
