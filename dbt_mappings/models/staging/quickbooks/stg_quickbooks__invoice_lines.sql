-- One row per line of a QuickBooks invoice.
{{ quickbooks__sale_lines('invoice') }}
