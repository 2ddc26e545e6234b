-- One row per customer's account in a loyalty program: points earned, and points left.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id'], 'unique': true}]) }}

with loyalty_accounts as (
    {{ square__loyalty_accounts() }}
)

select
    account.venue_id,
    account.provider,
    account.account_id,
    account.source_id,
    account.created_at,
    account.updated_at,
    account.enrolled_at,
    {{ business_date('account.enrolled_at') }} as business_date,
    account.program_id,
    account.customer_id,
    {{ mapped('account.phone') }} as phone,
    account.balance_points,
    account.lifetime_points,
    {{ mapped('account.points_name') }} as points_name,
    {{ custom_fields() }} as custom_fields,
    {{ mapping_errors() }} as mapping_errors,
    mapping.version as mapping_version,
    account.raw_id,
    account.raw_observed_at,
    account.raw_content_hash,
    account.deleted_at,
    account.deleted_at is not null as is_deleted
from loyalty_accounts as account
join {{ source('control', 'venues') }} as venue using (venue_id)
{{ mapping('account', {'square': 'loyalty_accounts'}) }}
