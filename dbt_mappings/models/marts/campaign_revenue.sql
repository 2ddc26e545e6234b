-- One row per sent campaign and currency: what its recipients paid within seven days of it.
{{ config(indexes=[{'columns': ['venue_id', 'provider', 'account_id', 'campaign_id', 'currency'], 'unique': true}]) }}

with received as (
    select
        recipient.venue_id,
        recipient.account_id,
        recipient.campaign_id,
        record.person_id,
        min(campaign.sent_at) as sent_at,
        bool_or(exists (
            select from {{ elements('recipient.activity') }} as event where event ->> 'action' in ('open', 'click')
        )) as has_opened
    from {{ scoped(ref('stg_mailchimp__email_activity')) }} as recipient
    join {{ scoped(ref('campaigns')) }} as campaign
        on campaign.venue_id = recipient.venue_id
        and campaign.account_id = recipient.account_id
        and campaign.source_id = recipient.campaign_id
    join (
        select distinct venue_id, email, person_id from {{ scoped(ref('person_records')) }} as record
    ) as record
        on record.venue_id = recipient.venue_id
        and record.email = {{ normalised_email('recipient.email') }}
    where campaign.sent_at is not null
    group by recipient.venue_id, recipient.account_id, recipient.campaign_id, record.person_id
),

bought as (
    select
        record.venue_id,
        record.person_id,
        payment.provider,
        payment.account_id,
        payment.source_id,
        payment.occurred_at,
        payment.currency,
        payment.gross_amount_minor - coalesce(refunded.amount_minor, 0) as amount_minor
    from {{ scoped(ref('payments')) }} as payment
    join {{ scoped(ref('person_records')) }} as record
        on record.venue_id = payment.venue_id
        and record.provider = payment.provider
        and record.account_id = payment.account_id
        and record.record_type = 'customer'
        and record.source_id = payment.customer_id
    left join (
        select venue_id, provider, account_id, payment_id, currency, sum(amount_minor) as amount_minor
        from {{ scoped(ref('refunds')) }} as refund
        where is_effective and not is_deleted
        group by venue_id, provider, account_id, payment_id, currency
    ) as refunded
        on refunded.venue_id = payment.venue_id
        and refunded.provider = payment.provider
        and refunded.account_id = payment.account_id
        and refunded.payment_id = payment.source_id
        and refunded.currency = payment.currency
    where not payment.is_deleted
),

attributed as (
    -- To the last campaign that the buyer had received before, so that no payment counts twice.
    select distinct on (bought.venue_id, bought.provider, bought.account_id, bought.source_id)
        bought.venue_id,
        received.account_id as campaign_account_id,
        received.campaign_id,
        bought.person_id,
        received.has_opened,
        bought.currency,
        bought.amount_minor
    from bought
    join received
        on received.venue_id = bought.venue_id
        and received.person_id = bought.person_id
        and bought.occurred_at >= received.sent_at
        and bought.occurred_at < received.sent_at + interval '7 days'
    order by bought.venue_id, bought.provider, bought.account_id, bought.source_id,
        received.sent_at desc, received.campaign_id
)

select
    campaign.venue_id,
    campaign.provider,
    campaign.account_id,
    campaign.source_id as campaign_id,
    attributed.currency,
    campaign.sent_at,
    campaign.business_date,
    campaign.title,
    campaign.subject,
    campaign.emails_sent,
    count(distinct attributed.person_id)::bigint as buyer_count,
    count(distinct attributed.person_id) filter (where attributed.has_opened)::bigint as buyer_who_opened_count,
    count(*)::bigint as payment_count,
    sum(attributed.amount_minor)::bigint as revenue_amount_minor,
    {{ money('sum(attributed.amount_minor)::bigint', 'attributed.currency') }} as revenue_amount
from {{ scoped(ref('campaigns')) }} as campaign
join attributed
    on attributed.venue_id = campaign.venue_id
    and attributed.campaign_account_id = campaign.account_id
    and attributed.campaign_id = campaign.source_id
group by campaign.venue_id, campaign.provider, campaign.account_id, campaign.source_id, attributed.currency,
    campaign.sent_at, campaign.business_date, campaign.title, campaign.subject, campaign.emails_sent
