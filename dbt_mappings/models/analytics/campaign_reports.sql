-- One row per sent campaign: what became of it so far.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id'], 'unique': true}]) }}

with campaign_reports as (
    {{ mailchimp__campaign_reports() }}
)

select
    report.venue_id,
    report.provider,
    report.account_id,
    report.source_id,
    report.occurred_at,
    {{ business_date('report.occurred_at') }} as business_date,
    report.audience_id,
    {{ mapped('report.title') }} as title,
    {{ mapped('report.subject') }} as subject,
    report.emails_sent,
    report.hard_bounce_count,
    report.soft_bounce_count,
    report.open_count,
    report.unique_open_count,
    report.open_rate,
    report.click_count,
    report.unique_click_count,
    report.click_rate,
    report.unsubscribed_count,
    report.abuse_report_count,
    report.forward_count,
    report.last_opened_at,
    report.last_clicked_at,
    {{ custom_fields() }} as custom_fields,
    {{ mapping_errors() }} as mapping_errors,
    mapping.version as mapping_version,
    report.raw_id,
    report.raw_observed_at,
    report.raw_content_hash,
    report.deleted_at,
    report.deleted_at is not null as is_deleted
from campaign_reports as report
join {{ source('control', 'venues') }} as venue using (venue_id)
{{ mapping('report', {'mailchimp': 'reports'}) }}
