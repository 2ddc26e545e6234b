-- Connections that somebody has to see to, or whose data is older than a day.
select venue_id, provider, status, complete_up_to, failing_streams, error_kinds, dead_letters, stale_since, stale_tables
from marts.venue_health
where status in ('paused', 'revoked')
    or (status = 'active' and (complete_up_to is null or behind > interval '1 day'))
    or cardinality(failing_streams) > 0
    or dead_letters > 0
    or stale_since is not null
order by venue_id, provider;
