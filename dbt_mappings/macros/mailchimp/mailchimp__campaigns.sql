{% macro mailchimp__campaigns() -%}
with variants as (
    select venue_id, account_id, campaign_id, count(*) as variant_count
    from {{ scoped(ref('stg_mailchimp__campaign_variants')) }} as variant
    group by venue_id, account_id, campaign_id
)

select
    campaign.venue_id,
    'mailchimp' as provider,
    campaign.account_id,
    campaign.campaign_id as source_id,
    campaign.created_at,
    campaign.sent_at,
    campaign.campaign_type,
    campaign.status,
    campaign.parent_campaign_id,
    nullif(campaign.list_id, '') as audience_id,
    campaign.title,
    campaign.subject,
    campaign.from_name,
    campaign.reply_to,
    campaign.archive_url,
    campaign.recipient_count,
    campaign.emails_sent,
    coalesce(variants.variant_count, 0) as variant_count,
    campaign.variate_settings as metadata,
    {{ provenance('campaign') }}
from {{ scoped(ref('stg_mailchimp__campaigns')) }} as campaign
left join variants using (venue_id, account_id, campaign_id)
{%- endmacro %}
