-- One row per e-mail of a Mailchimp automation.
select
    {{ raw_provenance() }},
    raw.id as automation_email_id,
    {{ timestamp('email.create_time') }} as created_at,
    {{ timestamp('email.start_time') }} as started_at,
    {{ timestamp('email.send_time') }} as sent_at,
    email.workflow_id as automation_id,
    {{ integer('email.position') }} as position,
    email.status,
    {{ integer('email.emails_sent') }} as emails_sent,
    email.recipients ->> 'list_id' as list_id,
    email.settings ->> 'subject_line' as subject,
    email.settings ->> 'title' as title,
    email.delay,
    email.report_summary
from {{ source('raw_mailchimp', 'automation_emails') }} as raw
cross join lateral jsonb_to_record(raw.payload) as email (
    recipients jsonb,
    settings jsonb,
    delay jsonb,
    report_summary jsonb,
    create_time text,
    start_time text,
    send_time text,
    workflow_id text,
    position text,
    status text,
    emails_sent text
)
