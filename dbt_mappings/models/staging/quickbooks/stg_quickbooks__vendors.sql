-- One row per QuickBooks vendor, inactive ones included.
select
    {{ raw_provenance() }},
    raw.id as vendor_id,
    {{ timestamp("vendor.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("vendor.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ boolean('vendor."Active"') }} as is_active,
    vendor."DisplayName" as display_name,
    vendor."CompanyName" as company_name,
    vendor."PrimaryEmailAddr" ->> 'Address' as email,
    vendor."PrimaryPhone" ->> 'FreeFormNumber' as phone,
    upper(vendor."CurrencyRef" ->> 'value') as currency,
    {{ decimal('vendor."Balance"') }} as balance,
    {{ boolean('vendor."Vendor1099"') }} as is_1099,
    vendor."TermRef" ->> 'value' as term_id
from {{ source('raw_quickbooks', 'vendors') }} as raw
cross join lateral jsonb_to_record(raw.payload) as vendor (
    "MetaData" jsonb,
    "PrimaryEmailAddr" jsonb,
    "PrimaryPhone" jsonb,
    "CurrencyRef" jsonb,
    "TermRef" jsonb,
    "Active" text,
    "DisplayName" text,
    "CompanyName" text,
    "Balance" text,
    "Vendor1099" text
)
