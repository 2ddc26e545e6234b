-- What an average weekday of the last twelve weeks brought, net of refunds and fees.
select
    venue_id,
    currency,
    to_char(business_date, 'FMDay') as weekday,
    count(*) as days,
    round(avg(net_amount), 2) as average_net_amount
from marts.daily_revenue
where business_date >= current_date - 84
group by venue_id, currency, to_char(business_date, 'FMDay'), extract(isodow from business_date)
order by venue_id, currency, extract(isodow from business_date);
