-- One row per line of a journal entry in a venue's books, debits positive; source_id is the entry's.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id', 'line_id']}, {'columns': ['venue_id', 'business_date']}]) }}

with journal_lines as (
    {{ quickbooks__journal_lines() }}
)

select
    line.venue_id,
    line.provider,
    line.account_id,
    line.source_id,
    line.line_id,
    line.line_number,
    line.occurred_at,
    {{ business_date('line.occurred_at') }} as business_date,
    line.created_at,
    line.document_number,
    line.is_adjustment,
    line.ledger_account_id,
    line.posting_type,
    line.entity_type,
    line.entity_id,
    line.class_id,
    line.department_id,
    line.description,
    line.note,
    line.currency,
    line.amount_minor,
    {{ money('line.amount_minor', 'line.currency') }} as amount,
    line.exchange_rate,
    line.raw_id,
    line.raw_observed_at,
    line.raw_content_hash,
    line.deleted_at,
    line.deleted_at is not null as is_deleted
from journal_lines as line
join {{ source('control', 'venues') }} as venue using (venue_id)
