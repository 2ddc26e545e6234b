-- What to order, the most urgent first.
select venue_id, location_name, product_name, variation_name, alert, quantity, days_left
from marts.inventory_alerts
order by venue_id, array_position(array['out_of_stock', 'below_alert', 'gone_soon'], alert), days_left;
