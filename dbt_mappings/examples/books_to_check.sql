-- Months in which the books are not what QuickBooks' own report says, or not what was taken: by how much, and where.
select
    venue_id,
    starts_on as month,
    currency,
    processor_amount,
    books_amount,
    sales_status,
    sales_difference,
    report_amount,
    report_difference,
    differing_accounts
from marts.sales_to_books
where period = 'month' and ledger_account_id is null
    and (report_status = 'differs' or sales_status in ('differs', 'not_in_books', 'not_at_processors'))
order by venue_id, month desc, currency;
