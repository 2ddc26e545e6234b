-- A row is a payout whose lines do not add up to it, or that has none. Payouts of Stripe's that a
-- person made have none by their nature.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'payout_lines'}}}) }}

select
    payout.venue_id,
    payout.provider,
    payout.account_id,
    payout.source_id,
    payout.amount_minor,
    sum(line.net_amount_minor) as lines_amount_minor
from {{ scoped(ref('payouts')) }} as payout
left join {{ scoped(ref('payout_lines')) }} as line
    on line.venue_id = payout.venue_id
    and line.provider = payout.provider
    and line.account_id = payout.account_id
    and line.payout_id = payout.source_id
    and line.currency = payout.currency
where (payout.provider = 'square' or payout.is_automatic) and payout.deleted_at is null
group by payout.venue_id, payout.provider, payout.account_id, payout.source_id, payout.amount_minor
having sum(line.net_amount_minor) is distinct from payout.amount_minor
