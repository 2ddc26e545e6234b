-- One row per customer of a venue, as one provider account knows them.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id'], 'unique': true}]) }}

with customers as (
    ({{ stripe__customers() }})
    union all
    ({{ square__customers() }})
    union all
    ({{ quickbooks__customers() }})
)

select
    customer.venue_id,
    customer.provider,
    customer.account_id,
    customer.source_id,
    customer.created_at,
    {{ mapped('customer.name') }} as name,
    {{ mapped('customer.email') }} as email,
    {{ mapped('customer.phone') }} as phone,
    {{ mapped('customer.address_line1') }} as address_line1,
    {{ mapped('customer.address_line2') }} as address_line2,
    {{ mapped('customer.city') }} as city,
    {{ mapped('customer.state') }} as state,
    {{ mapped('customer.postal_code') }} as postal_code,
    {{ mapped('customer.country') }} as country,
    customer.currency,
    customer.balance_minor,
    {{ money('customer.balance_minor', 'customer.currency') }} as balance,
    customer.is_delinquent,
    customer.metadata,
    {{ custom_fields() }} as custom_fields,
    {{ mapping_errors() }} as mapping_errors,
    mapping.version as mapping_version,
    customer.raw_id,
    customer.raw_observed_at,
    customer.raw_content_hash,
    customer.deleted_at,
    customer.deleted_at is not null as is_deleted
from customers as customer
join {{ source('control', 'venues') }} as venue using (venue_id)
{{ mapping('customer', {'stripe': 'customers', 'square': 'customers', 'quickbooks': 'customers'}) }}
