-- Mailings of the last year by what their recipients paid within a week, for each thousand sent.
select
    revenue.venue_id,
    revenue.sent_at::date as sent_on,
    revenue.subject,
    revenue.currency,
    revenue.revenue_amount,
    revenue.buyer_count,
    report.open_rate,
    round(1000 * revenue.revenue_amount / nullif(revenue.emails_sent, 0), 2) as revenue_per_thousand
from marts.campaign_revenue as revenue
left join analytics.campaign_reports as report
    on report.venue_id = revenue.venue_id
    and report.account_id = revenue.account_id
    and report.source_id = revenue.campaign_id
where revenue.sent_at >= now() - interval '1 year'
order by revenue_per_thousand desc nulls last;
