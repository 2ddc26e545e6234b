-- One row per Mailchimp audience.
select
    {{ raw_provenance() }},
    raw.id as list_id,
    {{ timestamp('list.date_created') }} as created_at,
    list.name,
    list.contact ->> 'company' as company,
    upper(list.contact ->> 'country') as country,
    list.campaign_defaults ->> 'from_name' as default_from_name,
    list.campaign_defaults ->> 'from_email' as default_from_email,
    list.campaign_defaults ->> 'language' as default_language,
    list.visibility,
    {{ boolean('list.double_optin') }} as is_double_optin,
    {{ integer("list.stats ->> 'member_count'") }} as member_count,
    {{ integer("list.stats ->> 'total_contacts'") }} as total_contact_count,
    {{ integer("list.stats ->> 'unsubscribe_count'") }} as unsubscribe_count,
    {{ integer("list.stats ->> 'cleaned_count'") }} as cleaned_count,
    {{ integer("list.stats ->> 'campaign_count'") }} as campaign_count,
    {{ timestamp("list.stats ->> 'campaign_last_sent'") }} as last_campaign_sent_at,
    {{ decimal("list.stats ->> 'open_rate'") }} as open_rate,
    {{ decimal("list.stats ->> 'click_rate'") }} as click_rate
from {{ source('raw_mailchimp', 'lists') }} as raw
cross join lateral jsonb_to_record(raw.payload) as list (
    contact jsonb,
    campaign_defaults jsonb,
    stats jsonb,
    date_created text,
    name text,
    visibility text,
    double_optin text
)
