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
    customer.name,
    customer.email,
    customer.phone,
    customer.address_line1,
    customer.address_line2,
    customer.city,
    customer.state,
    customer.postal_code,
    customer.country,
    customer.currency,
    customer.balance_minor,
    {{ money('customer.balance_minor', 'customer.currency') }} as balance,
    customer.is_delinquent,
    customer.metadata,
    customer.raw_id,
    customer.raw_observed_at,
    customer.raw_content_hash,
    customer.deleted_at,
    customer.deleted_at is not null as is_deleted
from customers as customer
join {{ source('control', 'venues') }} as venue using (venue_id)
