-- One row per Stripe customer, deleted ones included.
select
    {{ raw_provenance(deleted='customer.deleted') }},
    raw.id as customer_id,
    {{ instant('customer.created') }} as created_at,
    customer.name,
    customer.email,
    customer.phone,
    customer.description,
    customer.address ->> 'line1' as address_line1,
    customer.address ->> 'line2' as address_line2,
    customer.address ->> 'city' as city,
    customer.address ->> 'state' as state,
    customer.address ->> 'postal_code' as postal_code,
    customer.address ->> 'country' as country,
    upper(customer.currency) as currency,
    {{ integer('coalesce(customer.balance, customer.account_balance)') }} as balance_minor,
    {{ boolean('customer.delinquent') }} as is_delinquent,
    customer.tax_exempt,
    customer.livemode = 'true' as is_live,
    customer.metadata
from {{ source('raw_stripe', 'customers') }} as raw
cross join lateral jsonb_to_record(raw.payload) as customer (
    created text,
    name text,
    email text,
    phone text,
    description text,
    address jsonb,
    currency text,
    balance text,
    account_balance text,
    delinquent text,
    tax_exempt text,
    livemode text,
    deleted text,
    metadata jsonb
)
