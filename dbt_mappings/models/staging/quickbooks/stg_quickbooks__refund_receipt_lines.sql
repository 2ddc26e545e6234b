-- One row per line of a QuickBooks refund receipt.
{{ quickbooks__sale_lines('refund_receipt') }}
