-- One row per customer, contact of a mailing list and loyalty account: whose it is.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'record_type', 'source_id'], 'unique': true}, {'columns': ['venue_id', 'person_id']}]) }}

with recursive records as (
    select
        venue_id, provider, account_id, 'customer' as record_type, source_id, created_at,
        name, email, phone, country, source_id as customer_id
    from {{ scoped(ref('customers')) }} as customer
    where not is_deleted

    union all

    select
        venue_id, provider, account_id, 'contact' as record_type, source_id, created_at,
        name, email, phone, country, null as customer_id
    from {{ scoped(ref('audience_members')) }} as member
    where not is_deleted

    union all

    select
        venue_id, provider, account_id, 'loyalty_account' as record_type, source_id, created_at,
        null as name, null as email, phone, null as country, customer_id
    from {{ scoped(ref('loyalty_accounts')) }} as account
    where not is_deleted
),

normalised as (
    select
        records.venue_id,
        records.provider,
        records.account_id,
        records.record_type,
        records.source_id,
        records.created_at,
        records.name,
        {{ normalised_email('records.email') }} as email,
        {{ normalised_phone('records.phone', 'records.country') }} as phone,
        records.customer_id,
        concat_ws(':', records.provider, records.account_id, records.record_type, records.source_id) as record_key
    from records
),

marks as (
    select venue_id, record_key, 'email' as rule, email as mark from normalised where email is not null
    union all
    select venue_id, record_key, 'phone' as rule, phone as mark from normalised where phone is not null
    union all
    select venue_id, record_key, 'customer' as rule, concat_ws(':', provider, account_id, customer_id) as mark
    from normalised
    where customer_id is not null
),

shared as (
    -- What more have in common is a switchboard or a placeholder, and tells nobody.
    select venue_id, rule, mark, min(record_key) as first_key
    from marks
    group by venue_id, rule, mark
    having count(*) between 2 and 20
),

matched as (
    select marks.venue_id, marks.record_key, shared.first_key, shared.rule
    from marks
    join shared using (venue_id, rule, mark)
),

links as (
    select venue_id, record_key as from_key, first_key as to_key from matched
    union
    select venue_id, first_key as from_key, record_key as to_key from matched
),

reached as (
    select venue_id, record_key, record_key as other_key from normalised
    union
    select reached.venue_id, reached.record_key, links.to_key as other_key
    from reached
    join links on links.venue_id = reached.venue_id and links.from_key = reached.other_key
),

people as (
    select venue_id, record_key, md5(min(other_key)) as person_id
    from reached
    group by venue_id, record_key
),

rules as (
    select venue_id, record_key, array_agg(distinct rule order by rule) as matched_by
    from matched
    group by venue_id, record_key
)

select
    normalised.venue_id,
    normalised.provider,
    normalised.account_id,
    normalised.record_type,
    normalised.source_id,
    people.person_id,
    coalesce(rules.matched_by, array[]::text[]) as matched_by,
    normalised.created_at,
    normalised.name,
    normalised.email,
    normalised.phone
from normalised
join people using (venue_id, record_key)
left join rules using (venue_id, record_key)
