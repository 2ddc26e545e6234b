-- One row per QuickBooks product or service, inactive ones included.
select
    {{ raw_provenance() }},
    raw.id as item_id,
    {{ timestamp("item.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("item.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ boolean('item."Active"') }} as is_active,
    item."Name" as name,
    item."FullyQualifiedName" as full_name,
    item."Sku" as sku,
    item."Description" as description,
    item."Type" as item_type,
    {{ decimal('item."UnitPrice"') }} as unit_price,
    {{ decimal('item."PurchaseCost"') }} as purchase_cost,
    {{ boolean('item."Taxable"') }} as is_taxable,
    {{ boolean('item."TrackQtyOnHand"') }} as tracks_quantity,
    {{ decimal('item."QtyOnHand"') }} as quantity_on_hand,
    item."IncomeAccountRef" ->> 'value' as income_account_id,
    item."ExpenseAccountRef" ->> 'value' as expense_account_id,
    item."ParentRef" ->> 'value' as parent_item_id
from {{ source('raw_quickbooks', 'items') }} as raw
cross join lateral jsonb_to_record(raw.payload) as item (
    "MetaData" jsonb,
    "IncomeAccountRef" jsonb,
    "ExpenseAccountRef" jsonb,
    "ParentRef" jsonb,
    "Active" text,
    "Name" text,
    "FullyQualifiedName" text,
    "Sku" text,
    "Description" text,
    "Type" text,
    "UnitPrice" text,
    "PurchaseCost" text,
    "Taxable" text,
    "TrackQtyOnHand" text,
    "QtyOnHand" text
)
