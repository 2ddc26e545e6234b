{% macro mailchimp__campaign_reports() -%}
select
    venue_id,
    'mailchimp' as provider,
    account_id,
    campaign_id as source_id,
    sent_at as occurred_at,
    list_id as audience_id,
    title,
    subject,
    emails_sent,
    hard_bounce_count,
    soft_bounce_count,
    open_count,
    unique_open_count,
    open_rate,
    click_count,
    unique_click_count,
    click_rate,
    unsubscribed_count,
    abuse_reports as abuse_report_count,
    forward_count,
    last_opened_at,
    last_clicked_at,
    {{ provenance('report') }}
from {{ scoped(ref('stg_mailchimp__reports')) }} as report
{%- endmacro %}
