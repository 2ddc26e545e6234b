-- Payouts that the books do not have, or have otherwise: what to ask the bookkeeper.
select
    venue_id,
    provider,
    payout_id,
    arrives_on,
    status,
    currency,
    payout_amount,
    deposit_id,
    deposited_on,
    deposit_amount,
    difference
from marts.payout_reconciliation
where status in ('amount_differs', 'currency_differs', 'lines_differ', 'no_deposit', 'no_payout')
order by venue_id, coalesce(arrives_on, deposited_on) desc;
