-- One row per QuickBooks sales tax code.
select
    {{ raw_provenance() }},
    raw.id as tax_code_id,
    {{ timestamp("code.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("code.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ boolean('code."Active"') }} as is_active,
    code."Name" as name,
    code."Description" as description,
    {{ boolean('code."Taxable"') }} as is_taxable,
    {{ boolean('code."TaxGroup"') }} as is_group,
    code."SalesTaxRateList" -> 'TaxRateDetail' as sales_rates,
    code."PurchaseTaxRateList" -> 'TaxRateDetail' as purchase_rates
from {{ source('raw_quickbooks', 'tax_codes') }} as raw
cross join lateral jsonb_to_record(raw.payload) as code (
    "MetaData" jsonb,
    "SalesTaxRateList" jsonb,
    "PurchaseTaxRateList" jsonb,
    "Active" text,
    "Name" text,
    "Description" text,
    "Taxable" text,
    "TaxGroup" text
)
