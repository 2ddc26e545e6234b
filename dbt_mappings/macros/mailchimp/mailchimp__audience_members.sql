{% macro mailchimp__audience_members() -%}
select
    member.venue_id,
    'mailchimp' as provider,
    member.account_id,
    member.member_id as source_id,
    coalesce(member.signed_up_at, member.opted_in_at) as created_at,
    member.updated_at,
    member.list_id as audience_id,
    list.name as audience_name,
    member.contact_id,
    member.email,
    nullif(member.full_name, '') as name,
    nullif(member.phone, '') as phone,
    member.status,
    member.status = 'subscribed' as is_subscribed,
    member.unsubscribe_reason,
    member.signed_up_at,
    member.opted_in_at,
    nullif(member.language, '') as language,
    nullif(member.country, '') as country,
    member.is_vip,
    member.member_rating,
    member.avg_open_rate,
    member.avg_click_rate,
    member.tags,
    member.interests,
    member.merge_fields as metadata,
    {{ provenance('member') }}
from {{ scoped(ref('stg_mailchimp__members')) }} as member
left join {{ scoped(ref('stg_mailchimp__lists')) }} as list using (venue_id, account_id, list_id)
{%- endmacro %}
