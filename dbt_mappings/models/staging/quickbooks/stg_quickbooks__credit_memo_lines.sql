-- One row per line of a QuickBooks credit memo.
{{ quickbooks__sale_lines('credit_memo') }}
