-- A row is a journal entry whose debits and credits differ.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'journal_lines'}}}) }}

select
    venue_id,
    provider,
    account_id,
    source_id,
    sum(amount_minor) as difference_minor
from {{ scoped(ref('journal_lines')) }} as line
where not is_deleted
group by venue_id, provider, account_id, source_id
having sum(amount_minor) <> 0
