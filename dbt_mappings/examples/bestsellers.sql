-- What sold most in each of the last four weeks, returns taken off.
select
    line.venue_id,
    date_trunc('week', sale.business_date)::date as week_of,
    line.currency,
    line.name,
    sum(case when line.is_return then -line.quantity else line.quantity end) as sold,
    sum(case when line.is_return then -line.total_amount else line.total_amount end) as amount
from analytics.order_lines as line
join analytics.orders as sale using (venue_id, provider, account_id, source_id)
where sale.business_date >= current_date - 28 and not sale.is_deleted
group by line.venue_id, date_trunc('week', sale.business_date), line.currency, line.name
order by line.venue_id, week_of desc, amount desc;
