-- One row per Mailchimp campaign, drafts and automations' e-mails included.
select
    {{ raw_provenance() }},
    raw.id as campaign_id,
    {{ timestamp('campaign.create_time') }} as created_at,
    {{ timestamp('campaign.send_time') }} as sent_at,
    campaign.type as campaign_type,
    campaign.status,
    campaign.parent_campaign_id,
    campaign.recipients ->> 'list_id' as list_id,
    campaign.recipients ->> 'list_name' as list_name,
    campaign.recipients #>> '{segment_opts,saved_segment_id}' as segment_id,
    {{ integer("campaign.recipients ->> 'recipient_count'") }} as recipient_count,
    {{ integer('campaign.emails_sent') }} as emails_sent,
    campaign.settings ->> 'subject_line' as subject,
    campaign.settings ->> 'preview_text' as preview_text,
    campaign.settings ->> 'title' as title,
    campaign.settings ->> 'from_name' as from_name,
    campaign.settings ->> 'reply_to' as reply_to,
    campaign.long_archive_url as archive_url,
    campaign.variate_settings,
    campaign.report_summary
from {{ source('raw_mailchimp', 'campaigns') }} as raw
cross join lateral jsonb_to_record(raw.payload) as campaign (
    recipients jsonb,
    settings jsonb,
    variate_settings jsonb,
    report_summary jsonb,
    create_time text,
    send_time text,
    type text,
    status text,
    parent_campaign_id text,
    emails_sent text,
    long_archive_url text
)
