{% macro stripe__orders() -%}
{#-
    An order is a Checkout session that its visitor completed: a basket with a total. Open and
    expired ones are none, nor are those that only save a card. Invoices and charges without a
    session are none either: they say what was billed or paid, and stand in their own tables.
    A session has no time of completion; its payment intent is made when the visitor pays.
-#}
select
    session.venue_id,
    'stripe' as provider,
    session.account_id,
    session.checkout_session_id as source_id,
    coalesce(session.created_at, intent.created_at) as created_at,
    intent.created_at as closed_at,
    'completed' as status,
    null as location_id,
    null as location_name,
    'Checkout' as channel,
    session.client_reference_id as reference,
    session.customer_id,
    session.customer_email,
    session.invoice_id,
    session.currency,
    session.subtotal_amount_minor,
    coalesce(session.discount_amount_minor, 0) as discount_amount_minor,
    coalesce(session.tax_amount_minor, 0) as tax_amount_minor,
    null::bigint as tip_amount_minor,
    coalesce(session.shipping_amount_minor, 0) as service_charge_amount_minor,
    session.total_amount_minor,
    null::bigint as return_amount_minor,
    case session.payment_status when 'unpaid' then session.total_amount_minor else 0 end as due_amount_minor,
    session.metadata,
    {{ provenance('session') }}
from {{ scoped(ref('stg_stripe__checkout_sessions')) }} as session
left join {{ scoped(ref('stg_stripe__payment_intents')) }} as intent
    using (venue_id, account_id, payment_intent_id)
where {{ stripe__is_order('session') }}
{%- endmacro %}


{% macro stripe__is_order(session) -%}
    {#- Sessions of early API versions have no status. -#}
    ({{ session }}.status = 'complete' or {{ session }}.payment_status = 'paid')
    and {{ session }}.mode is distinct from 'setup'
{%- endmacro %}
