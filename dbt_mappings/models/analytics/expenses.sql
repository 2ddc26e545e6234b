-- One row per line of what a venue bought or was billed for; source_id is the document's.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id', 'line_id']}, {'columns': ['venue_id', 'business_date']}]) }}

with expenses as (
    {{ quickbooks__expenses() }}
)

select
    expense.venue_id,
    expense.provider,
    expense.account_id,
    expense.source_id,
    expense.line_id,
    expense.line_number,
    expense.line_type,
    expense.document_type,
    {{ mapped('expense.document_number') }} as document_number,
    expense.occurred_at,
    {{ business_date('expense.occurred_at') }} as business_date,
    expense.created_at,
    expense.due_on,
    expense.status,
    expense.vendor_id,
    {{ mapped('expense.vendor_name') }} as vendor_name,
    expense.ledger_account_id,
    expense.settlement_account_id,
    expense.product_id,
    expense.quantity,
    expense.class_id,
    expense.department_id,
    expense.description,
    {{ mapped('expense.note') }} as note,
    expense.currency,
    expense.amount_minor,
    {{ money('expense.amount_minor', 'expense.currency') }} as amount,
    expense.exchange_rate,
    {{ custom_fields() }} as custom_fields,
    {{ mapping_errors() }} as mapping_errors,
    mapping.version as mapping_version,
    expense.raw_id,
    expense.raw_observed_at,
    expense.raw_content_hash,
    expense.deleted_at,
    expense.deleted_at is not null as is_deleted
from expenses as expense
join {{ source('control', 'venues') }} as venue using (venue_id)
{{ mapping('expense', {'quickbooks': {'purchase': 'purchases', 'bill': 'bills', 'vendor_credit': 'vendor_credits'}}) }}
