-- One row per line of a QuickBooks journal entry.
select
    {{ raw_provenance() }},
    raw.id as journal_entry_id,
    {{ calendar_date('entry."TxnDate"') }} as transaction_on,
    upper(entry."CurrencyRef" ->> 'value') as currency,
    line."Id" as line_id,
    line."Description" as description,
    line."DetailType" as detail_type,
    {{ decimal('line."Amount"') }} as amount,
    line."JournalEntryLineDetail" ->> 'PostingType' as posting_type,
    line."JournalEntryLineDetail" #>> '{AccountRef,value}' as ledger_account_id,
    line."JournalEntryLineDetail" #>> '{Entity,EntityRef,value}' as entity_id,
    line."JournalEntryLineDetail" #>> '{Entity,Type}' as entity_type,
    line."JournalEntryLineDetail" #>> '{ClassRef,value}' as class_id,
    line."JournalEntryLineDetail" #>> '{DepartmentRef,value}' as department_id,
    element.position as line_number
from {{ source('raw_quickbooks', 'journal_entries') }} as raw
cross join lateral jsonb_to_record(raw.payload) as entry ("Line" jsonb, "CurrencyRef" jsonb, "TxnDate" text)
cross join lateral {{ elements('entry."Line"') }} with ordinality as element (body, position)
cross join lateral jsonb_to_record(element.body) as line (
    "JournalEntryLineDetail" jsonb,
    "Id" text,
    "Description" text,
    "DetailType" text,
    "Amount" text
)
