-- One row per QuickBooks payment term.
select
    {{ raw_provenance() }},
    raw.id as term_id,
    {{ timestamp("term.\"MetaData\" ->> 'CreateTime'") }} as created_at,
    {{ timestamp("term.\"MetaData\" ->> 'LastUpdatedTime'") }} as updated_at,
    {{ boolean('term."Active"') }} as is_active,
    term."Name" as name,
    term."Type" as term_type,
    {{ integer('term."DueDays"') }} as due_days,
    {{ decimal('term."DiscountPercent"') }} as discount_percent,
    {{ integer('term."DiscountDays"') }} as discount_days
from {{ source('raw_quickbooks', 'terms') }} as raw
cross join lateral jsonb_to_record(raw.payload) as term (
    "MetaData" jsonb,
    "Active" text,
    "Name" text,
    "Type" text,
    "DueDays" text,
    "DiscountPercent" text,
    "DiscountDays" text
)
