{% macro square__loyalty_accounts() -%}
select
    account.venue_id,
    'square' as provider,
    account.account_id,
    account.loyalty_account_id as source_id,
    account.created_at,
    account.updated_at,
    coalesce(account.enrolled_at, account.created_at) as enrolled_at,
    account.program_id,
    account.customer_id,
    account.phone,
    account.balance_points,
    account.lifetime_points,
    program.unit_plural as points_name,
    {{ provenance('account') }}
from {{ scoped(ref('stg_square__loyalty_accounts')) }} as account
left join {{ scoped(ref('stg_square__loyalty_programs')) }} as program
    on program.venue_id = account.venue_id
    and program.account_id = account.account_id
    and program.loyalty_program_id = account.program_id
{%- endmacro %}
