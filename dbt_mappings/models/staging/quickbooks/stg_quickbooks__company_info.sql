-- One row per QuickBooks company.
select
    {{ raw_provenance() }},
    raw.id as company_id,
    {{ timestamp("company.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("company.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    company."CompanyName" as name,
    company."LegalName" as legal_name,
    upper(company."Country") as country,
    company."Email" ->> 'Address' as email,
    company."PrimaryPhone" ->> 'FreeFormNumber' as phone,
    company."FiscalYearStartMonth" as fiscal_year_starts_in,
    {{ calendar_date('company."CompanyStartDate"') }} as started_on,
    company."DefaultTimeZone" as timezone,
    company."CompanyAddr" ->> 'Line1' as address_line1,
    company."CompanyAddr" ->> 'Line2' as address_line2,
    company."CompanyAddr" ->> 'City' as city,
    company."CompanyAddr" ->> 'CountrySubDivisionCode' as state,
    company."CompanyAddr" ->> 'PostalCode' as postal_code,
    company."CompanyAddr" ->> 'Country' as address_country
from {{ source('raw_quickbooks', 'company_info') }} as raw
cross join lateral jsonb_to_record(raw.payload) as company (
    "MetaData" jsonb,
    "Email" jsonb,
    "PrimaryPhone" jsonb,
    "CompanyAddr" jsonb,
    "CompanyName" text,
    "LegalName" text,
    "Country" text,
    "FiscalYearStartMonth" text,
    "CompanyStartDate" text,
    "DefaultTimeZone" text
)
