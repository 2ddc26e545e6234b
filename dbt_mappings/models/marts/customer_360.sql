-- One row per person, as far as e-mail addresses and telephone numbers tell, over all providers.
{{ config(indexes=[{'columns': ['venue_id', 'person_id'], 'unique': true}]) }}

with records as (
    select * from {{ scoped(ref('person_records')) }} as record
),

people as (
    select
        venue_id,
        person_id,
        (array_agg(name order by created_at desc nulls last, source_id) filter (where name is not null))[1] as name,
        array_agg(distinct email order by email) filter (where email is not null) as emails,
        array_agg(distinct phone order by phone) filter (where phone is not null) as phones,
        array_agg(distinct provider order by provider) as providers,
        count(*)::bigint as record_count,
        min(created_at) as first_seen_at
    from records
    group by venue_id, person_id
),

rules as (
    select venue_id, person_id, array_agg(distinct rule order by rule) as matched_by
    from records
    cross join lateral unnest(matched_by) as rule
    group by venue_id, person_id
),

contacts as (
    select record.venue_id, record.person_id, bool_or(member.is_subscribed) as is_subscribed
    from records as record
    join {{ scoped(ref('audience_members')) }} as member using (venue_id, provider, account_id, source_id)
    where record.record_type = 'contact'
    group by record.venue_id, record.person_id
),

loyalty as (
    select record.venue_id, record.person_id, sum(account.balance_points)::bigint as loyalty_points
    from records as record
    join {{ scoped(ref('loyalty_accounts')) }} as account using (venue_id, provider, account_id, source_id)
    where record.record_type = 'loyalty_account'
    group by record.venue_id, record.person_id
),

movements as (
    select
        record.venue_id,
        record.person_id,
        payment.currency,
        payment.occurred_at,
        payment.gross_amount,
        0::numeric as refund_amount
    from {{ scoped(ref('payments')) }} as payment
    join records as record
        on record.venue_id = payment.venue_id
        and record.provider = payment.provider
        and record.account_id = payment.account_id
        and record.record_type = 'customer'
        and record.source_id = payment.customer_id
    where not payment.is_deleted

    union all

    select
        record.venue_id,
        record.person_id,
        refund.currency,
        null as occurred_at,
        0::numeric as gross_amount,
        refund.amount as refund_amount
    from {{ scoped(ref('refunds')) }} as refund
    join {{ scoped(ref('payments')) }} as payment
        on payment.venue_id = refund.venue_id
        and payment.provider = refund.provider
        and payment.account_id = refund.account_id
        and payment.source_id = refund.payment_id
    join records as record
        on record.venue_id = payment.venue_id
        and record.provider = payment.provider
        and record.account_id = payment.account_id
        and record.record_type = 'customer'
        and record.source_id = payment.customer_id
    where refund.is_effective and not refund.is_deleted and not payment.is_deleted
),

spent as (
    select
        venue_id,
        person_id,
        currency,
        count(occurred_at)::bigint as payment_count,
        min(occurred_at) as first_payment_at,
        max(occurred_at) as last_payment_at,
        sum(gross_amount) as gross_amount,
        sum(refund_amount) as refund_amount
    from movements
    group by venue_id, person_id, currency
),

lifetimes as (
    select
        venue_id,
        person_id,
        sum(payment_count)::bigint as payment_count,
        min(first_payment_at) as first_payment_at,
        max(last_payment_at) as last_payment_at,
        jsonb_object_agg(currency, gross_amount) as gross_amounts,
        jsonb_object_agg(currency, refund_amount) as refund_amounts,
        jsonb_object_agg(currency, gross_amount - refund_amount) as net_amounts
    from spent
    group by venue_id, person_id
)

select
    people.venue_id,
    people.person_id,
    people.name,
    coalesce(people.emails, array[]::text[]) as emails,
    coalesce(people.phones, array[]::text[]) as phones,
    people.providers,
    people.record_count,
    coalesce(rules.matched_by, array[]::text[]) as matched_by,
    people.first_seen_at,
    contacts.is_subscribed,
    loyalty.loyalty_points,
    coalesce(lifetimes.payment_count, 0) as payment_count,
    lifetimes.first_payment_at,
    lifetimes.last_payment_at,
    coalesce(lifetimes.gross_amounts, '{}'::jsonb) as gross_amounts,
    coalesce(lifetimes.refund_amounts, '{}'::jsonb) as refund_amounts,
    coalesce(lifetimes.net_amounts, '{}'::jsonb) as net_amounts
from people
left join rules using (venue_id, person_id)
left join contacts using (venue_id, person_id)
left join loyalty using (venue_id, person_id)
left join lifetimes using (venue_id, person_id)
