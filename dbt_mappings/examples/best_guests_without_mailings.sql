-- The fifty who spent most and get no mailing, with how to reach them.
select
    venue_id,
    name,
    emails,
    phones,
    payment_count,
    last_payment_at::date as last_paid_on,
    net_amounts
from marts.customer_360
where payment_count > 0 and is_subscribed is not true
order by payment_count desc, last_payment_at desc
limit 50;
