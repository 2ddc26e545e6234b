-- One row per Square invoice, of every location.
select
    {{ raw_provenance() }},
    raw.id as invoice_id,
    {{ timestamp('invoice.created_at') }} as created_at,
    {{ timestamp('invoice.updated_at') }} as updated_at,
    invoice.status,
    invoice.location_id,
    invoice.order_id,
    invoice.subscription_id,
    invoice.primary_recipient ->> 'customer_id' as customer_id,
    invoice.primary_recipient ->> 'email_address' as customer_email,
    invoice.invoice_number,
    invoice.title,
    invoice.description,
    {{ timestamp('invoice.scheduled_at') }} as scheduled_at,
    {{ calendar_date('invoice.sale_or_service_date') }} as sale_or_service_on,
    invoice.delivery_method,
    invoice.payment_requests,
    invoice.custom_fields,
    (
        select max({{ calendar_date("request ->> 'due_date'") }})
        from {{ elements('invoice.payment_requests') }} as request
    ) as due_on,
    upper(invoice.payment_requests #>> '{0,computed_amount_money,currency}') as currency,
    {{ sum_of_money('invoice.payment_requests', 'computed_amount_money') }} as total_amount_minor,
    {{ sum_of_money('invoice.payment_requests', 'total_completed_amount_money') }} as paid_amount_minor
from {{ source('raw_square', 'invoices') }} as raw
cross join lateral jsonb_to_record(raw.payload) as invoice (
    primary_recipient jsonb,
    payment_requests jsonb,
    custom_fields jsonb,
    created_at text,
    updated_at text,
    status text,
    location_id text,
    order_id text,
    subscription_id text,
    invoice_number text,
    title text,
    description text,
    scheduled_at text,
    sale_or_service_date text,
    delivery_method text
)
