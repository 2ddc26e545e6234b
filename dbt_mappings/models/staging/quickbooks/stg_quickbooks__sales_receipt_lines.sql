-- One row per line of a QuickBooks sales receipt.
{{ quickbooks__sale_lines('sales_receipt') }}
