"""What is measured, one case a process: `python -m benchmarks.cases CASE JSON-ARGUMENTS`.

The bare loops are the least that does the work, with the same library and bytes: they set the
limit that a sync is held against.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import requests

PAGE_SIZE = 100
CHUNK_ROWS = 5_000

BARE_TABLE = """
CREATE TABLE IF NOT EXISTS {name} (
    venue_id text, account_id text, id text, payload jsonb NOT NULL, observed_at timestamptz,
    PRIMARY KEY (venue_id, account_id, id)
)
"""
BARE_STAGE = "CREATE TEMPORARY TABLE IF NOT EXISTS bare_stage (id text, payload jsonb)"
BARE_MERGE = """
INSERT INTO {name} SELECT 'bare', 'acct', id, payload, now() FROM bare_stage
ON CONFLICT (venue_id, account_id, id) DO UPDATE SET payload = excluded.payload
"""


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]
    has_more: bool


class _Head(msgspec.Struct):
    id: str


Work = Callable[[], dict[str, Any]]


def fetch(*, base: str, key: str, stream: str) -> Work:
    """(a) Fetch every page and discard it."""
    return lambda: {"rows": sum(len(page) for page in _pages(base, key, stream))}


def copy_and_merge(*, base: str, key: str, stream: str, dsn: str, table: str) -> Work:
    """(b) Fetch every page, COPY the same bytes into a staging table and merge them."""
    connection = psycopg.connect(dsn)
    connection.execute(BARE_TABLE.format(name=table))
    connection.execute(BARE_STAGE)
    connection.commit()

    def work() -> dict[str, Any]:
        rows = 0
        held: list[tuple[str, bytes]] = []
        for page in _pages(base, key, stream):
            held += page
            if len(held) >= CHUNK_ROWS:
                rows += _merge(connection, held, table)
                held = []
        return {"rows": rows + _merge(connection, held, table)}

    return work


def sync_venue(
    *,
    venue_id: str,
    full: bool = False,
    streams: list[str] | None = None,
    limits: dict[str, Any] | None = None,
    page_size: int | None = None,
) -> Work:
    """A sync of the venue's account, as the assets run it.

    ``limits``: the pace in place of none at all; {}: as the provider documents it. ``page_size``:
    rows a page, in place of the most that the provider gives.
    """
    from integration_pipelines.core.credentials import Vault, open_connections
    from integration_pipelines.core.database import create_engine
    from integration_pipelines.core.ingest import open_client, sync
    from integration_pipelines.core.provider import Limits
    from integration_pipelines.core.settings import load_settings
    from integration_pipelines.providers import PROVIDERS

    # The stand-in documents no pace, and Stripe's would hide what the work costs.
    unhurried = Limits(rate=2_000, concurrency=8)
    settings = load_settings()
    engine = create_engine(settings)
    vault = Vault(settings)
    with engine.begin() as session:
        (connection,) = open_connections(session, venue_ids=[venue_id])
    provider = PROVIDERS[connection.provider]
    pace = unhurried if limits is None else Limits(**limits) if limits else None
    client = open_client(settings, engine, vault, provider, connection, limits=pace)
    if page_size is not None:
        reader: Any = import_module(f"integration_pipelines.providers.{provider.name}.client")
        reader.PAGE_SIZE = page_size

    def work() -> dict[str, Any]:
        results = sync(
            engine,
            provider=provider,
            connection=connection,
            client=client,
            streams=streams,
            full=full,
        )
        failed = [f"{result.stream}: {result.error}" for result in results if result.error]
        if failed:
            raise SystemExit("; ".join(failed))
        counts = ("fetched", "inserted", "updated", "unchanged", "deleted", "api_calls")
        return {
            "rows": sum(result.fetched for result in results),
            **{name: sum(getattr(result, name) for result in results) for name in counts},
        }

    return work


def read_streams(*, venue_id: str, streams: list[str], page_size: int) -> Work:
    """A first load's reading alone, at the documented pace, which several may do at once."""
    from integration_pipelines.core.credentials import Vault, open_connections
    from integration_pipelines.core.database import create_engine
    from integration_pipelines.core.ingest import open_client
    from integration_pipelines.core.provider import Page, StreamPlan
    from integration_pipelines.core.settings import load_settings
    from integration_pipelines.providers import PROVIDERS

    settings = load_settings()
    engine = create_engine(settings)
    with engine.begin() as session:
        (connection,) = open_connections(session, venue_ids=[venue_id])
    provider = PROVIDERS[connection.provider]
    client = open_client(settings, engine, Vault(settings), provider, connection)
    reader: Any = import_module(f"integration_pipelines.providers.{provider.name}.client")
    reader.PAGE_SIZE = page_size

    def work() -> dict[str, Any]:
        calls = 0
        for page in client.extract([StreamPlan(name, None, full=True) for name in streams]):
            if not isinstance(page, Page):
                raise SystemExit(f"{page.stream}: {page.error}")
            calls += page.calls
        return {"api_calls": calls}

    return work


def take_census(*, venue_id: str) -> Work:
    """A count of what exists in the venue's account against what landed."""
    from integration_pipelines.core import ingest
    from integration_pipelines.core.credentials import Vault, open_connections
    from integration_pipelines.core.database import create_engine
    from integration_pipelines.core.settings import load_settings
    from integration_pipelines.providers import PROVIDERS

    settings = load_settings()
    engine = create_engine(settings)
    with engine.begin() as session:
        (connection,) = open_connections(session, venue_ids=[venue_id])
    provider = PROVIDERS[connection.provider]
    client = ingest.open_client(settings, engine, Vault(settings), provider, connection)

    def work() -> dict[str, Any]:
        counted = ingest.take_census(
            engine, provider=provider, connection=connection, client=client
        )
        if counted.failed or counted.missing:
            raise SystemExit(f"failed: {counted.failed}, missing: {counted.missing}")
        return {}

    return work


def build(*, venue_ids: list[str], streams: list[str], project: str) -> Work:
    """A build of what these streams of Stripe's go into, by the dbt ``project`` at that path."""
    from integration_pipelines.core.database import create_engine
    from integration_pipelines.core.settings import load_settings
    from integration_pipelines.defs import dbt_build

    dbt_build.PROJECT = Path(project)
    settings = load_settings()
    engine = create_engine(settings)
    dbt_build.warm_up(settings, engine)

    def work() -> dict[str, Any]:
        built = dbt_build.build(
            settings,
            engine,
            venue_ids=venue_ids,
            streams=[("stripe", stream) for stream in streams],
        )
        if built is None or built.refused or built.broken:
            raise SystemExit(f"not built: {built}"[:2000])
        label = dbt_build.project().label
        return {"rows": {label(table.unique_id): table.rows for table in built.tables}}

    return work


CASES: dict[str, Callable[..., Work]] = {
    "fetch": fetch,
    "copy_and_merge": copy_and_merge,
    "sync_venue": sync_venue,
    "read_streams": read_streams,
    "take_census": take_census,
    "build": build,
}


def _pages(base: str, key: str, stream: str) -> Iterator[list[tuple[str, bytes]]]:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {key}"
    params = {"limit": str(PAGE_SIZE)}
    while True:
        answer = session.get(f"{base}/v1/{stream}", params=params, timeout=60)
        page = msgspec.json.decode(answer.content, type=_Page)
        yield [(msgspec.json.decode(raw, type=_Head).id, bytes(raw)) for raw in page.data]
        if not page.has_more:
            return
        params["starting_after"] = msgspec.json.decode(page.data[-1], type=_Head).id


def _merge(connection: psycopg.Connection[Any], held: list[tuple[str, bytes]], table: str) -> int:
    lines = (
        b"%s\t%s\n" % (name.encode(), msgspec.json.format(body, indent=-1).replace(b"\\", b"\\\\"))
        for name, body in held
    )
    with connection.cursor() as cursor:
        with cursor.copy("COPY bare_stage (id, payload) FROM STDIN") as copy:
            copy.write(b"".join(lines))
        cursor.execute(BARE_MERGE.format(name=table))
        cursor.execute("TRUNCATE bare_stage")
    connection.commit()
    return len(held)


def main() -> None:
    """Do the case that the command line names and print its figures as one line of JSON.

    Imports, and opening what a long-lived process holds open, are not part of the work.
    """
    case, arguments = sys.argv[1], json.loads(sys.argv[2])
    work = CASES[case](**arguments)
    began = time.time()
    before, begun = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    result = work()
    seconds = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        **result,
        "began": began,
        "seconds": seconds,
        "client_cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_mb": after.ru_maxrss / 1024,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
