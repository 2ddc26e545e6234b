{% macro quickbooks__journal_lines() -%}
{#- A line that only describes posts nothing. The day stands at the opening of that business day. -#}
select
    line.venue_id,
    'quickbooks' as provider,
    line.account_id,
    line.journal_entry_id as source_id,
    coalesce(line.line_id, line.line_number::text) as line_id,
    line.line_number,
    {{ opening('line.transaction_on') }} as occurred_at,
    entry.created_at,
    entry.document_number,
    entry.is_adjustment,
    line.ledger_account_id,
    lower(line.posting_type) as posting_type,
    lower(line.entity_type) as entity_type,
    line.entity_id,
    line.class_id,
    coalesce(line.department_id, entry.department_id) as department_id,
    line.description,
    entry.private_note as note,
    line.currency,
    {{ minor_units("case line.posting_type when 'Debit' then line.amount when 'Credit' then -line.amount end", 'line.currency') }}
        as amount_minor,
    entry.exchange_rate,
    {{ provenance('line') }}
from {{ scoped(ref('stg_quickbooks__journal_lines')) }} as line
join {{ scoped(ref('stg_quickbooks__journal_entries')) }} as entry
    using (venue_id, account_id, journal_entry_id)
left join {{ source('control', 'venues') }} as venue using (venue_id)
where line.detail_type = 'JournalEntryLineDetail'
{%- endmacro %}
