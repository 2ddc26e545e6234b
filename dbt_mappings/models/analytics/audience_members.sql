-- One row per contact of a mailing list, archived and unsubscribed ones included.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'source_id'], 'unique': true}]) }}

with audience_members as (
    {{ mailchimp__audience_members() }}
)

select
    member.venue_id,
    member.provider,
    member.account_id,
    member.source_id,
    member.created_at,
    member.updated_at,
    member.audience_id,
    member.audience_name,
    member.contact_id,
    member.email,
    {{ mapped('member.name') }} as name,
    {{ mapped('member.phone') }} as phone,
    member.status,
    member.is_subscribed,
    member.unsubscribe_reason,
    member.signed_up_at,
    member.opted_in_at,
    member.language,
    {{ mapped('member.country') }} as country,
    {{ mapped('member.is_vip', 'boolean') }} as is_vip,
    member.member_rating,
    member.avg_open_rate,
    member.avg_click_rate,
    member.tags,
    member.interests,
    member.metadata,
    {{ custom_fields() }} as custom_fields,
    {{ mapping_errors() }} as mapping_errors,
    mapping.version as mapping_version,
    member.raw_id,
    member.raw_observed_at,
    member.raw_content_hash,
    member.deleted_at,
    member.deleted_at is not null as is_deleted
from audience_members as member
join {{ source('control', 'venues') }} as venue using (venue_id)
{{ mapping('member', {'mailchimp': 'members'}) }}
