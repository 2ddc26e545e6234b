-- One row per venue and provider that was ever connected to it: how the connection stands now.
{#- A view, for a sync that fails builds nothing, and is what there is to see. -#}
{{ config(materialized='view', grants={'select': ['analyst', 'analyst_all']}) }}

with recursive connections as (
    -- The open one, or else the last that was.
    select distinct on (venue_id, provider)
        venue_id, provider, connection_id, account_id, status, connected_at
    from {{ source('control', 'connections') }}
    order by venue_id, provider, status = 'disconnected', connected_at desc
),

cursors as (
    select
        venue_id,
        connection_id,
        count(*) as stream_count,
        case when bool_and(cursor_at is not null) then min(cursor_at) end as complete_up_to
    from {{ source('control', 'sync_cursors') }}
    group by venue_id, connection_id
),

streams as (
    -- From each stream to the next by the log's index: there are few streams, and syncs without end.
    select
        venue_id,
        connection_id,
        (
            select min(log.stream) from {{ source('control', 'sync_logs') }} as log
            where log.venue_id = connections.venue_id and log.connection_id = connections.connection_id
        ) as stream
    from connections
    union all
    select
        venue_id,
        connection_id,
        (
            select min(log.stream) from {{ source('control', 'sync_logs') }} as log
            where log.venue_id = streams.venue_id
                and log.connection_id = streams.connection_id
                and log.stream > streams.stream
        )
    from streams
    where stream is not null
),

synced as (
    select
        streams.venue_id,
        streams.connection_id,
        max(success.finished_at) as last_synced_at,
        array_agg(streams.stream order by streams.stream) filter (where latest.outcome <> 'succeeded')
            as failing_streams,
        array_agg(distinct latest.error_kind)
            filter (where latest.outcome <> 'succeeded' and latest.error_kind is not null)
            as error_kinds
    from streams
    left join lateral (
        select log.outcome, log.error_kind
        from {{ source('control', 'sync_logs') }} as log
        where log.venue_id = streams.venue_id
            and log.connection_id = streams.connection_id
            and log.stream = streams.stream
            and log.outcome <> 'running'
        order by log.started_at desc
        limit 1
    ) as latest on true
    left join lateral (
        select log.finished_at
        from {{ source('control', 'sync_logs') }} as log
        where log.venue_id = streams.venue_id
            and log.connection_id = streams.connection_id
            and log.stream = streams.stream
            and log.outcome = 'succeeded'
        order by log.started_at desc
        limit 1
    ) as success on true
    group by streams.venue_id, streams.connection_id
),

landed as (
    select venue_id, connection_id, sum(inserted - deleted)::bigint as row_count
    from {{ source('control', 'sync_days') }}
    group by venue_id, connection_id
),

dead_letters as (
    select venue_id, connection_id, count(*) as event_count
    from {{ source('control', 'integration_webhooks') }}
    where status = 'dead'
    group by venue_id, connection_id
),

quarantined as (
    select venue_id, provider, count(*) as row_count
    from {{ source('control', 'quarantine') }}
    group by venue_id, provider
),

publications as (
    select
        venue_id,
        max(published_at) as published_at,
        min(stale_since) as stale_since,
        array_agg(table_name order by table_name) filter (where stale_since is not null) as stale_tables
    from {{ source('control', 'publications') }}
    group by venue_id
)

select
    connections.venue_id,
    connections.provider,
    connections.account_id,
    connections.status,
    connections.connected_at,
    coalesce(health.breaker, 'closed') as breaker,
    synced.last_synced_at,
    cursors.complete_up_to,
    now() - cursors.complete_up_to as behind,
    coalesce(cursors.stream_count, 0) as stream_count,
    coalesce(synced.failing_streams, array[]::text[]) as failing_streams,
    coalesce(synced.error_kinds, array[]::text[]) as error_kinds,
    coalesce(landed.row_count, 0) as row_count,
    coalesce(dead_letters.event_count, 0) as dead_letters,
    coalesce(quarantined.row_count, 0) as mapping_failures,
    publications.published_at,
    publications.stale_since,
    coalesce(publications.stale_tables, array[]::text[]) as stale_tables
from connections
left join {{ source('control', 'integration_health') }} as health using (venue_id, provider)
left join synced using (venue_id, connection_id)
left join cursors using (venue_id, connection_id)
left join landed using (venue_id, connection_id)
left join dead_letters using (venue_id, connection_id)
left join quarantined using (venue_id, provider)
left join publications using (venue_id)
