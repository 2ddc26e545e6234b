-- One row per Square location, inactive ones included.
select
    {{ raw_provenance() }},
    raw.id as location_id,
    {{ timestamp('location.created_at') }} as created_at,
    location.name,
    location.business_name,
    location.status,
    location.type as location_type,
    location.timezone,
    upper(location.country) as country,
    upper(location.currency) as currency,
    location.language_code,
    location.mcc as merchant_category_code,
    location.address ->> 'address_line_1' as address_line1,
    location.address ->> 'address_line_2' as address_line2,
    location.address ->> 'locality' as city,
    location.address ->> 'administrative_district_level_1' as state,
    location.address ->> 'postal_code' as postal_code,
    location.phone_number as phone,
    location.business_email as email
from {{ source('raw_square', 'locations') }} as raw
cross join lateral jsonb_to_record(raw.payload) as location (
    address jsonb,
    created_at text,
    name text,
    business_name text,
    status text,
    type text,
    timezone text,
    country text,
    currency text,
    language_code text,
    mcc text,
    phone_number text,
    business_email text
)
