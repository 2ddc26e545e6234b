-- One row per Mailchimp automation.
select
    {{ raw_provenance() }},
    raw.id as automation_id,
    {{ timestamp('automation.create_time') }} as created_at,
    {{ timestamp('automation.start_time') }} as started_at,
    automation.status,
    {{ integer('automation.emails_sent') }} as emails_sent,
    automation.recipients ->> 'list_id' as list_id,
    automation.settings ->> 'title' as title,
    automation.trigger_settings ->> 'workflow_type' as trigger_type,
    {{ integer("automation.trigger_settings ->> 'workflow_emails_count'") }} as email_count,
    automation.report_summary
from {{ source('raw_mailchimp', 'automations') }} as raw
cross join lateral jsonb_to_record(raw.payload) as automation (
    recipients jsonb,
    settings jsonb,
    trigger_settings jsonb,
    report_summary jsonb,
    create_time text,
    start_time text,
    status text,
    emails_sent text
)
