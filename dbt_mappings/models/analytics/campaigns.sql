-- One row per e-mail campaign, drafts included.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id'], 'unique': true}]) }}

with campaigns as (
    {{ mailchimp__campaigns() }}
)

select
    campaign.venue_id,
    campaign.provider,
    campaign.account_id,
    campaign.source_id,
    campaign.created_at,
    campaign.sent_at,
    {{ business_date('campaign.sent_at') }} as business_date,
    campaign.campaign_type,
    campaign.status,
    campaign.parent_campaign_id,
    campaign.audience_id,
    {{ mapped('campaign.title') }} as title,
    {{ mapped('campaign.subject') }} as subject,
    {{ mapped('campaign.from_name') }} as from_name,
    {{ mapped('campaign.reply_to') }} as reply_to,
    campaign.archive_url,
    campaign.recipient_count,
    campaign.emails_sent,
    campaign.variant_count,
    campaign.metadata,
    {{ custom_fields() }} as custom_fields,
    {{ mapping_errors() }} as mapping_errors,
    mapping.version as mapping_version,
    campaign.raw_id,
    campaign.raw_observed_at,
    campaign.raw_content_hash,
    campaign.deleted_at,
    campaign.deleted_at is not null as is_deleted
from campaigns as campaign
join {{ source('control', 'venues') }} as venue using (venue_id)
{{ mapping('campaign', {'mailchimp': 'campaigns'}) }}
