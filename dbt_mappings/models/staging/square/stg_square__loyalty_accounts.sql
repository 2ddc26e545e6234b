-- One row per account in a Square loyalty program: a customer's points.
select
    {{ raw_provenance() }},
    raw.id as loyalty_account_id,
    {{ timestamp('account.created_at') }} as created_at,
    {{ timestamp('account.updated_at') }} as updated_at,
    {{ timestamp('account.enrolled_at') }} as enrolled_at,
    account.program_id,
    account.customer_id,
    {{ integer('account.balance') }} as balance_points,
    {{ integer('account.lifetime_points') }} as lifetime_points,
    account.mapping ->> 'phone_number' as phone
from {{ source('raw_square', 'loyalty_accounts') }} as raw
cross join lateral jsonb_to_record(raw.payload) as account (
    mapping jsonb,
    created_at text,
    updated_at text,
    enrolled_at text,
    program_id text,
    customer_id text,
    balance text,
    lifetime_points text
)
