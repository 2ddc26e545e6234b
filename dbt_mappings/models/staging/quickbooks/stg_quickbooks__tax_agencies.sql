-- One row per agency that QuickBooks collects tax for.
select
    {{ raw_provenance() }},
    raw.id as tax_agency_id,
    {{ timestamp("agency.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("agency.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    agency."DisplayName" as name,
    agency."TaxRegistrationNumber" as registration_number,
    {{ boolean('agency."TaxTrackedOnPurchases"') }} as tracks_purchases,
    {{ boolean('agency."TaxTrackedOnSales"') }} as tracks_sales
from {{ source('raw_quickbooks', 'tax_agencies') }} as raw
cross join lateral jsonb_to_record(raw.payload) as agency (
    "MetaData" jsonb,
    "DisplayName" text,
    "TaxRegistrationNumber" text,
    "TaxTrackedOnPurchases" text,
    "TaxTrackedOnSales" text
)
