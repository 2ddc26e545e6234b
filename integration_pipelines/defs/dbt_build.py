"""dbt: what the project declares, and a build of it for a set of venues. Knows no Dagster.

A build runs in this process: it ends with the run that asked for it, where a process of its own
would live on past a kill; and a process that stays builds again in seconds, where a new one takes
three to import dbt. dagster_dbt does neither, and importing it would cost every run 1.7 s more.

A build writes, audits and publishes. Models write the rows of its venues to `candidates`; tests
look at them there; then the tables of the venues that pass are replaced in one transaction. A venue
that fails keeps the rows it has, and `control.publications` says since when and why. Where rows of
one venue break a model itself, the build is divided until that venue stands alone.

The set stands in `control.dbt_build_venues`: a venue enters when its build begins and leaves when
the whole project has been built for it. What a build that was killed or broke has left there is
built with the next one. The first build of a project that has changed is of every venue built
before.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, case, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from integration_pipelines.core.database import (
    Role,
    create_engine,
    database_url,
    venue_scope,
)
from integration_pipelines.core.errors import IntegrationError
from integration_pipelines.core.mapping import TARGETS, mark_applied, waits_for_build
from integration_pipelines.core.redaction import redact
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import (
    dbt_build_venues,
    field_mappings,
    publications,
    venues,
)

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

PROJECT = Path(__file__).parents[2] / "dbt_mappings"


class BuildError(IntegrationError):
    """dbt could not build; the message is dbt's."""

    kind = "dbt"


# What the project declares.


@dataclass(frozen=True)
class Project:
    """The project as dbt parsed it, reduced to what holds data: tables, and their tests. A view is
    looked through to what it reads."""

    manifest: Mapping[str, Any]

    @cached_property
    def tables(self) -> dict[str, dict[str, Any]]:
        """Models that are tables, by dbt's unique id; each after those it is made of."""
        found = {
            unique_id: node
            for unique_id, node in self.manifest["nodes"].items()
            if node["resource_type"] == "model" and node["config"]["materialized"] != "view"
        }
        ancestors: dict[str, set[str]] = {}
        for unique_id in self.manifest["nodes"]:
            self._ancestry(unique_id, ancestors)
        return {
            unique_id: found[unique_id]
            for unique_id in sorted(found, key=lambda each: (len(ancestors[each]), each))
        }

    @cached_property
    def schemas(self) -> list[str]:
        """Where tables and views are."""
        models = self.manifest["nodes"].values()
        return sorted({node["schema"] for node in models if node["resource_type"] == "model"})

    @cached_property
    def views_for_analysts(self) -> list[str]:
        """Views beside the tables, by unique id: what control tables hold, as it stands now."""
        return [
            unique_id
            for unique_id, node in self.manifest["nodes"].items()
            if node["resource_type"] == "model"
            and node["config"]["materialized"] == "view"
            and node["schema"] != "staging"
        ]

    @cached_property
    def tests(self) -> dict[str, str]:
        """Tests of tables: unique id of the test, and of the table that it is about."""
        return {test: node for test, node in self._tested.items() if node in self.tables}

    @cached_property
    def tests_of_views(self) -> dict[str, str]:
        """Tests of views: unique id of the test, and of the view that it is about."""
        return {
            test: node
            for test, node in self._tested.items()
            if node is not None and node not in self.tables
        }

    @cached_property
    def _tested(self) -> dict[str, str | None]:
        return {
            unique_id: node.get("attached_node") or self._most_downstream(node)
            for unique_id, node in self.manifest["nodes"].items()
            if node["resource_type"] == "test"
        }

    def node(self, unique_id: str) -> dict[str, Any]:
        """A model or test."""
        found: dict[str, Any] = self.manifest["nodes"][unique_id]
        return found

    def key(self, unique_id: str) -> list[str]:
        """Schema and name of a table or source."""
        node = self.manifest["nodes"].get(unique_id) or self.manifest["sources"][unique_id]
        return [node["schema"], node["name"]]

    def label(self, unique_id: str) -> str:
        """What people call it: `analytics.payments`, or a test's name."""
        node = self.node(unique_id)
        return node["name"] if node["resource_type"] == "test" else ".".join(self.key(unique_id))

    def upstream(self, unique_id: str) -> set[str]:
        """Tables and raw sources that a table is made of; what control holds is no data."""
        found: set[str] = set()
        for parent in self.node(unique_id)["depends_on"]["nodes"]:
            if parent in self.manifest["sources"]:
                if self.key(parent)[0].startswith("raw_"):
                    found.add(parent)
            elif parent in self.tables:
                found.add(parent)
            else:
                found |= self.upstream(parent)
        return found

    def sources_of(self, unique_id: str) -> set[str]:
        """Raw sources that a table is made of, through whatever tables."""
        found: set[str] = set()
        for parent in self.upstream(unique_id):
            found |= self.sources_of(parent) if parent in self.tables else {parent}
        return found

    def made_of(self, streams: Collection[tuple[str, str]]) -> tuple[list[str], list[str]]:
        """Tables that these streams, by provider and name, go into however far, and the tests of
        those tables and of the views that read the streams."""
        raw = {(f"raw_{provider}", stream) for provider, stream in streams}
        found: dict[str, None] = {}
        for table in self.tables:
            if self._reads(table, raw) or self.upstream(table) & found.keys():
                found[table] = None
        tests = [test for test, table in self.tests.items() if table in found]
        tests += [test for test, view in self.tests_of_views.items() if self._reads(view, raw)]
        return list(found), tests

    def _reads(self, unique_id: str, raw: Collection[tuple[str, str]]) -> bool:
        sources = self.upstream(unique_id) - self.tables.keys()
        return any(tuple(self.key(source)) in raw for source in sources)

    def _most_downstream(self, test: Mapping[str, Any]) -> str | None:
        tables = [table for table in self.tables if table in test["depends_on"]["nodes"]]
        return tables[-1] if tables else None

    def _ancestry(self, unique_id: str, known: dict[str, set[str]]) -> set[str]:
        """All nodes that a node comes from."""
        if unique_id not in known:
            node = self.manifest["nodes"].get(unique_id)
            parents = set(node["depends_on"]["nodes"]) if node else set()
            known[unique_id] = parents.union(*(self._ancestry(each, known) for each in parents))
        return known[unique_id]


@cache
def project() -> Project:
    """The project as it stands; parsed only where it is not as it was when last parsed."""
    return Project(json.loads((_parsed() / "manifest.json").read_bytes()))


def _parsed() -> Path:
    """The folder with what dbt made of the project, named by the project's content."""
    digest = hashlib.sha256(version("dbt-core").encode())
    for path in sorted(_sources()):
        digest.update(f"{path.relative_to(PROJECT)}\n".encode() + path.read_bytes())
    parsed = PROJECT / "target" / f"parsed-{digest.hexdigest()[:16]}"
    if not parsed.exists():
        parsed.parent.mkdir(exist_ok=True)
        draft = tempfile.mkdtemp(prefix="parsing-", dir=parsed.parent)
        _run_dbt("parse", target=Path(draft))
        try:
            Path(draft).rename(parsed)
        except OSError:  # Someone else was faster.
            shutil.rmtree(draft)
    return parsed


@cache
def _test_queries() -> dict[str, str]:
    """Of every test the rows that fail it, counted by venue, the most first; by unique id. The
    venues are a parameter, tables are found by the search_path. Every test's rows have a venue_id.
    """
    kept = _parsed() / "tests.json"
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix="compiling-", dir=kept.parents[1]) as draft:
            options = ("--select", "resource_type:test", "--no-introspect", "--no-populate-cache")
            compiled = _run_dbt("compile", *options, target=Path(draft), manifest=_manifest())
            queries = {each.node.unique_id: each.node.compiled_code for each in compiled}
            (Path(draft) / kept.name).write_text(json.dumps(queries))
            (Path(draft) / kept.name).rename(kept)
    queries = json.loads(kept.read_bytes())
    return {unique_id: _test_query(compiled) for unique_id, compiled in queries.items()}


def _test_query(compiled: str) -> str:
    parameter = "%(venue_ids)s"
    compiled = compiled.replace("%", "%%").replace(parameter.replace("%", "%%"), parameter)
    return (
        f"SELECT venue_id, count(*) FROM ({compiled}) AS failing"
        " GROUP BY venue_id ORDER BY count(*) DESC, venue_id"
    )


def _sources() -> Iterator[Path]:
    for pattern in ("*.yml", "macros/**/*", "models/**/*", "tests/**/*"):
        yield from (path for path in PROJECT.glob(pattern) if path.is_file())


# Building.


@dataclass(frozen=True, slots=True)
class Built:
    """What became of one model or test. ``status`` is dbt's: success, error, skipped; pass, warn,
    fail, error. ``failing``: rows that fail a test, by venue; ``rows``: written by a model."""

    unique_id: str
    status: str
    seconds: float
    message: str
    rows: int | None = None
    failing: Mapping[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.status in ("success", "pass")


@dataclass(frozen=True, slots=True)
class Build:
    """A build: the venues built and what became of each node: tables, their tests, and the tests of
    views, which say whether raw rows can be read. ``refused``: venues that keep what they had, and
    why."""

    venue_ids: Sequence[str]
    tables: Sequence[Built]
    tests: Sequence[Built]
    tests_of_views: Sequence[Built] = ()
    refused: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def published(self) -> list[str]:
        """Venues whose tables were replaced."""
        return [venue_id for venue_id in self.venue_ids if venue_id not in self.refused]

    @property
    def unreadable(self) -> list[Built]:
        """Tests of views that found rows which lack what their provider documents."""
        return [test for test in self.tests_of_views if not test.ok]

    @property
    def broken(self) -> list[Built]:
        """What could be built or tested for no venue at all, not what was skipped because of it."""
        return [each for each in (*self.tables, *self.tests) if each.status == "error"]


def warm_up(settings: Settings, engine: Engine) -> None:
    """Import dbt and parse the project, and make views and tables that are not there, empty: what
    the first build does otherwise."""
    with _building(settings, engine) as (dbt, _):
        if _is_current(dbt):
            _manifest()
            _test_queries()
            return
        with engine.begin() as session:
            session.execute(update(dbt_build_venues).values(held_back=True))
        made = _run(settings, None)
        _drop_candidates(dbt)
        _test_queries()
        with engine.connect() as session:
            nobody = session.scalar(select(publications.c.venue_id).limit(1)) is None
        if nobody and not _errors(made):
            _note_current(dbt)


def build(
    settings: Settings,
    engine: Engine,
    *,
    venue_ids: Collection[str],
    tables: Collection[str] | None = None,
    streams: Collection[tuple[str, str]] | None = None,
) -> Build | None:
    """Build ``tables`` (unique ids; None: the whole project) for ``venue_ids`` and for those left
    over from earlier builds, test and publish them; None if there are none at all.

    ``streams``, by provider and name: only what is made of them. Where the project has changed
    since it was last built, everything is built, also for all who were ever built.

    One build at a time, whoever asks; the others wait. A failing test is a result, and so is a
    model that cannot be built. Raises BuildError where dbt itself fails.
    """
    with _building(settings, engine) as (dbt, lock):
        current = _is_current(dbt)
        tests: Collection[str] | None = None
        if not current:
            tables = None
        elif streams is not None:
            tables, tests = project().made_of(streams)
        elif tables is not None:
            tests = [test for test, table in project().tests.items() if table in tables]
        if tables is not None and not tables:
            return None
        begun, entered, everyone = _enter(engine, venue_ids, and_built=not current)
        if not everyone:
            return None
        made = _merged(
            everyone, _write_audit_publish(settings, engine, dbt, lock, everyone, tables, tests)
        )
        if not made.broken:
            _leave(engine, everyone if tables is None else entered)
            if tables is None:
                _mark_mappings(engine, made.published, begun)
                _note_current(dbt)
    return made


def run_tests(settings: Settings, engine: Engine, *, tests: Collection[str]) -> Build | None:
    """Run ``tests`` (unique ids) over all venues' rows as they are published; otherwise as
    build()."""
    published = select(venues.c.venue_id).where(
        venues.c.venue_id.in_(select(publications.c.venue_id))
    )
    with _building(settings, engine) as (dbt, _):
        with engine.connect() as session:
            everyone: list[str] = list(session.scalars(published.order_by(venues.c.venue_id)))
        if not everyone:
            return None
        return _merged(everyone, [(everyone, _audit(dbt, tests, everyone), {})])


@contextmanager
def _building(settings: Settings, engine: Engine) -> Iterator[tuple[Engine, Connection]]:
    """The one build under way: dbt's engine, with every view there and no candidate, and the
    session that holds the lock of builds."""
    with _alone(engine) as lock, _dbt_engine(settings) as dbt, _connected(settings):
        _make_views(settings, dbt)
        _drop_candidates(dbt)
        yield dbt, lock


_Part = tuple[Sequence[str], list[Built], Mapping[str, Sequence[str]]]
"""Venues built together; what became of each node; who of them is refused, and why."""

BROKEN_AT_MOST = 5
"""Venues found to break a model, one by one, before the model itself is taken for broken."""


def _write_audit_publish(
    settings: Settings,
    engine: Engine,
    dbt: Engine,
    lock: Connection,
    venue_ids: Sequence[str],
    tables: Collection[str] | None,
    tests: Collection[str] | None,
) -> Iterator[_Part]:
    """Build all venues together, or in halves where rows of some of them break a model. Raises
    OperationalError where the database went away meanwhile: that speaks against no venue."""
    waiting, broken = [list(venue_ids)], 0
    while waiting:
        part = waiting.pop()
        _hold_back_all_but(engine, part)
        done = _run(settings, tables)
        if not _errors(done):
            done += _audit(dbt, tests, part)
        lock.execute(select(1))
        if errors := _errors(done):
            if len(part) > 1 and broken < BROKEN_AT_MOST:
                half = len(part) // 2
                waiting += [part[half:], part[:half]]
                _drop_candidates(dbt)
                continue
            broken += 1
            why = [f"{project().label(each.unique_id)}: {each.message}" for each in errors]
            refused = dict.fromkeys(part, why)
        else:
            refused = _failing_venues_of(done)
        _publish(dbt, part, refused, tables)
        _drop_candidates(dbt)
        yield part, done, refused


def _run(settings: Settings, tables: Collection[str] | None) -> list[Built]:
    """`dbt run` of tables by unique id (None: all): what became of each."""
    if tables is None:
        options = ["--exclude", "config.materialized:view"]
    elif tables:
        options = ["--select", *(project().node(unique_id)["name"] for unique_id in tables)]
    else:
        return []
    return [_built(result) for result in _run_models(settings, *options)]


AUDITORS = 2
"""Tests under way at once."""


def _audit(dbt: Engine, tests: Collection[str] | None, venue_ids: Sequence[str]) -> list[Built]:
    """Run tests by unique id (None: all) over venues' rows: the candidates' where there are any.

    `dbt test` compiles each test anew, which takes ten times as long as the tests themselves, and
    says how many rows failed but not whose they are.
    """
    asked = _test_queries() if tests is None else {test: _test_queries()[test] for test in tests}
    with ThreadPoolExecutor(AUDITORS) as auditors:
        return list(auditors.map(partial(_tested, dbt, venue_ids), asked, asked.values()))


_LOOK_AT = text("SELECT set_config('search_path', :schemas, true)")


def _tested(dbt: Engine, venue_ids: Sequence[str], unique_id: str, query: str) -> Built:
    begun = time.monotonic()
    failing: dict[str, int] = {}
    try:
        with dbt.connect() as session:
            session.execute(_LOOK_AT, {"schemas": "candidates, " + ", ".join(project().schemas)})
            found = session.exec_driver_sql(query, {"venue_ids": list(venue_ids)})
            failing = {row[0]: row[1] for row in found}
    except DBAPIError as error:
        status, message = "error", _without_rows(str(error.orig))
    else:
        severity = project().node(unique_id)["config"]["severity"].lower()
        status = {"warn": "warn", "error": "fail"}[severity] if failing else "pass"
        message = f"{sum(failing.values())} rows" if failing else ""
    return Built(unique_id, status, time.monotonic() - begun, message, failing=failing)


def _errors(done: Collection[Built]) -> list[Built]:
    return [each for each in done if each.status == "error"]


def _failing_venues_of(done: Collection[Built]) -> dict[str, list[str]]:
    """Venues with rows that fail a test of a table which does not merely warn, and which tests."""
    found: dict[str, list[str]] = {}
    for test in done:
        if test.status == "fail" and test.unique_id in project().tests:
            for venue_id, rows in test.failing.items():
                name = project().node(test.unique_id)["name"]
                found.setdefault(venue_id, []).append(f"{name}: {rows} rows")
    return found


def _merged(venue_ids: Sequence[str], parts: Iterable[_Part]) -> Build:
    """Parts as one build. A node has failed where it failed for every part."""
    nodes: dict[str, list[Built]] = {}
    refused: dict[str, Sequence[str]] = {}
    for _, done, why in parts:
        refused |= why
        for each in done:
            nodes.setdefault(each.unique_id, []).append(each)
    merged = [_merged_node(several) for several in nodes.values()]
    return Build(
        venue_ids,
        [each for each in merged if each.unique_id in project().tables],
        [each for each in merged if each.unique_id in project().tests],
        [each for each in merged if each.unique_id in project().tests_of_views],
        refused,
    )


def _merged_node(several: Sequence[Built]) -> Built:
    if len(several) == 1:
        return several[0]
    ran = [each for each in several if each.status not in ("error", "skipped")]
    worst = min(ran or several, key=lambda each: STATUSES.index(each.status))
    failing: dict[str, int] = {}
    for each in several:
        failing |= each.failing
    return replace(
        worst,
        seconds=sum(each.seconds for each in several),
        rows=sum(each.rows or 0 for each in several),
        failing=failing,
    )


STATUSES = ("error", "skipped", "fail", "warn", "pass", "success")
"""dbt's, the worst first."""


# Publishing.


def _publish(
    dbt: Engine,
    venue_ids: Sequence[str],
    refused: Mapping[str, Sequence[str]],
    tables: Collection[str] | None,
) -> None:
    """Replace what is published of those who are not refused by their candidates, in one
    transaction, and note both. A venue that was removed meanwhile leaves nothing behind."""
    keys = [project().key(table) for table in (project().tables if tables is None else tables)]
    with dbt.begin() as session:
        there = _note_publications(
            session, [".".join(key) for key in keys], venue_ids=venue_ids, refused=refused
        )
        published = [venue_id for venue_id in there if venue_id not in refused]
        for schema, table in keys if published else ():
            columns = _alike(session, schema, table)
            session.execute(
                text(f"DELETE FROM {schema}.{table} WHERE venue_id = ANY (:venue_ids)"),
                {"venue_ids": published},
            )
            session.execute(
                text(
                    f"INSERT INTO {schema}.{table} ({columns}) SELECT {columns}"
                    f" FROM candidates.{table} WHERE venue_id = ANY (:venue_ids)"
                ),
                {"venue_ids": published},
            )
            if schema == "analytics" and table in TARGETS:
                _note_quarantined(session, table, venue_ids=published)


def _note_quarantined(session: Connection, table: str, *, venue_ids: Sequence[str]) -> None:
    """Note the rows on which the venues' mappings fail, and forget those that are mended."""
    key = "venue_id, provider, account_id, source_id"
    failing = f"candidates.{table}_failing"
    noted = f"{key}, raw_table, raw_id, raw_content_hash, errors, mapping_version, kept_out"
    rest = noted.removeprefix(f"{key}, ")
    values = {"table": table, "venue_ids": venue_ids}
    session.execute(
        text(
            "DELETE FROM control.quarantine AS former WHERE target_table = :table"
            f" AND venue_id = ANY (:venue_ids) AND NOT EXISTS (SELECT FROM {failing} AS failing"
            " WHERE (failing.venue_id, failing.provider, failing.account_id, failing.source_id)"
            " = (former.venue_id, former.provider, former.account_id, former.source_id))"
        ),
        values,
    )
    session.execute(
        text(
            f"INSERT INTO control.quarantine AS former (target_table, {noted})"
            f" SELECT DISTINCT ON ({key}) CAST(:table AS text), {noted}"
            f" FROM {failing} WHERE venue_id = ANY (:venue_ids)"
            f" ORDER BY {key} ON CONFLICT (target_table, {key}) DO UPDATE"
            f" SET ({rest}) = ROW ({_of('excluded', rest)})"
            f" WHERE ({_of('former', rest)}) IS DISTINCT FROM ({_of('excluded', rest)})"
        ),
        values,
    )


def _of(relation: str, columns: str) -> str:
    return ", ".join(f"{relation}.{column}" for column in columns.split(", "))


def _note_publications(
    session: Connection,
    tables: Sequence[str],
    *,
    venue_ids: Sequence[str],
    refused: Mapping[str, Sequence[str]],
) -> list[str]:
    """Note what becomes of each venue's tables; the venues that are there, and stay until the end
    of the transaction: a row that names a venue holds it."""
    known = select(venues.c.venue_id).where(venues.c.venue_id.in_(venue_ids))
    there: list[str] = sorted(session.scalars(known))
    if not there:
        return []
    noted = insert(publications)
    session.execute(
        noted.on_conflict_do_update(
            index_elements=["venue_id", "table_name"],
            set_={
                "published_at": func.coalesce(
                    noted.excluded.published_at, publications.c.published_at
                ),
                "stale_since": case(
                    (noted.excluded.stale_since.is_(None), None),
                    else_=func.coalesce(publications.c.stale_since, noted.excluded.stale_since),
                ),
                "reasons": noted.excluded.reasons,
            },
        ),
        [
            {
                "venue_id": venue_id,
                "table_name": table,
                "published_at": None if venue_id in refused else now,
                "stale_since": now if venue_id in refused else None,
                "reasons": list(refused.get(venue_id, ())),
            }
            for now in [session.scalar(select(func.now()))]
            for venue_id in there
            for table in tables
        ],
    )
    return there


def _alike(session: Connection, schema: str, table: str) -> str:
    """Give the published table the columns of its candidate; their names, as SQL. A venue that
    keeps its rows has nothing in a column that is new."""
    wanted, there = (_columns(session, *name) for name in (("candidates", table), (schema, table)))
    changes = [f"DROP COLUMN {name}" for name in there if name not in wanted]
    for name, type_ in wanted.items():
        if name not in there:
            changes.append(f"ADD COLUMN {name} {type_}")
        elif there[name] != type_:
            changes.append(f"ALTER COLUMN {name} TYPE {type_} USING {name}::text::{type_}")
    if changes:
        session.execute(text(f"ALTER TABLE {schema}.{table} {', '.join(changes)}"))
    return ", ".join(wanted)


def _columns(session: Connection, schema: str, table: str) -> dict[str, str]:
    query = text(
        "SELECT quote_ident(attname), format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = CAST(:name AS regclass) AND attnum > 0 AND NOT attisdropped"
        " ORDER BY attnum"
    )
    return {row[0]: row[1] for row in session.execute(query, {"name": f"{schema}.{table}"})}


def _drop_candidates(dbt: Engine) -> None:
    """Of this build or of one that was killed."""
    query = text("SELECT tablename FROM pg_tables WHERE schemaname = 'candidates'")
    with dbt.begin() as session:
        if names := [f"candidates.{name}" for name in session.scalars(query)]:
            session.execute(text(f"DROP TABLE {', '.join(names)}"))


def _is_current(dbt: Engine) -> bool:
    """Whether all tables are there, and as this project builds them."""
    names = [".".join(project().key(unique_id)) for unique_id in project().tables]
    missing = text(
        "SELECT count(*) FROM unnest(CAST(:names AS text[])) name WHERE to_regclass(name) IS NULL"
    )
    with dbt.connect() as session:
        return (
            _comment_on(session, "marts") == f"tables of {_parsed().name}"
            and not session.scalars(missing, {"names": names}).one()
        )


def _note_current(dbt: Engine) -> None:
    """Note that every venue built is built by this project."""
    current = f"tables of {_parsed().name}"
    with dbt.begin() as session:
        if _comment_on(session, "marts") != current:
            session.execute(text(f"COMMENT ON SCHEMA marts IS '{current}'"))


def _comment_on(session: Connection, schema: str) -> str | None:
    found: str | None = session.scalar(
        text("SELECT obj_description(CAST(:schema AS regnamespace), 'pg_namespace')"),
        {"schema": schema},
    )
    return found


# One build at a time.


BUILD_LOCK = 0x64627420
"""Held, as a lock of a database session, by the one build under way."""


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        session.execute(select(func.pg_advisory_lock(BUILD_LOCK)))
        try:
            yield session
        finally:
            session.invalidate()


def _make_views(settings: Settings, dbt: Engine) -> None:
    """Make the views where they are not of this project as it stands: there are many, and what
    they are made of seldom changes."""
    current = f"views of {_parsed().name}"
    with dbt.connect() as session:
        if _comment_on(session, "staging") == current:
            return
    made = _run_models(settings, "--select", "config.materialized:view")
    if all(str(result.status) == "success" for result in made):
        with dbt.begin() as session:
            session.execute(text(f"COMMENT ON SCHEMA staging IS '{current}'"))


def _enter(
    engine: Engine, venue_ids: Collection[str], *, and_built: bool
) -> tuple[datetime, list[str], list[str]]:
    """Put venues into the set, and if told so all that were ever built; when that was, who is new
    in it, and who is in it. A venue removed meanwhile is in neither."""
    known = select(venues.c.venue_id).where(
        venues.c.venue_id.in_(venue_ids)
        | (venues.c.venue_id.in_(select(publications.c.venue_id)) & and_built)
    )
    with engine.begin() as session:
        entered = session.scalars(
            insert(dbt_build_venues)
            .from_select(["venue_id"], known)
            .on_conflict_do_nothing()
            .returning(dbt_build_venues.c.venue_id)
        )
        everyone = select(dbt_build_venues.c.venue_id).order_by(dbt_build_venues.c.venue_id)
        begun: datetime = session.scalars(select(func.now())).one()
        return begun, list(entered), list(session.scalars(everyone))


def _hold_back_all_but(engine: Engine, venue_ids: Collection[str]) -> None:
    """Narrow the set to some of its venues."""
    held_back = dbt_build_venues.c.venue_id.not_in(venue_ids)
    with engine.begin() as session:
        session.execute(
            update(dbt_build_venues)
            .where(dbt_build_venues.c.held_back != held_back)
            .values(held_back=held_back)
        )


def _leave(engine: Engine, venue_ids: Collection[str]) -> None:
    """Take venues out of the set."""
    with engine.begin() as session:
        session.execute(delete(dbt_build_venues).where(dbt_build_venues.c.venue_id.in_(venue_ids)))


def _mark_mappings(engine: Engine, venue_ids: Collection[str], begun: datetime) -> None:
    """Note which changes of field mappings the build has applied."""
    waiting = select(field_mappings.c.venue_id).where(
        waits_for_build(), field_mappings.c.venue_id.in_(venue_ids)
    )
    with engine.begin() as session:
        remapped: list[str] = list(session.scalars(waiting.distinct()))
        for venue_id in remapped:
            venue_scope(session, venue_id)
            mark_applied(session, by_build_of=begun)


def _built(result: Any) -> Built:
    rows = result.adapter_response.get("rows_affected") if result.adapter_response else None
    return Built(
        result.node.unique_id,
        str(result.status),
        result.execution_time,
        _without_rows(result.message or ""),
        rows,
    )


def _without_rows(message: str) -> str:
    """A message without the lines in which Postgres quotes values, which are customers' data, nor
    those in which dbt names files."""
    dropped = ("DETAIL:", "CONTEXT:", "Database Error in ", "compiled code at ")
    lines = [line.strip() for line in message.splitlines()]
    kept = [line for line in lines if not line.startswith(dropped)]
    return redact(" ".join(line for line in kept if line))


@contextmanager
def _dbt_engine(settings: Settings) -> Iterator[Engine]:
    engine = create_engine(settings, Role.DBT, pool_size=AUDITORS, max_overflow=0)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _connected(settings: Settings) -> Iterator[None]:
    """The variables that profiles.yml reads, in our environment: dbt takes them from nowhere
    else."""
    url = database_url(settings, Role.DBT)
    variables = {
        "DBT_HOST": url.host or "",
        "DBT_PORT": str(url.port or 5432),
        "DBT_USER": url.username or "",
        "DBT_PASSWORD": str(url.password or ""),
        "DBT_DATABASE": url.database or "",
    }
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _run_dbt(
    command: str, *options: str, target: Path, manifest: "Manifest | None" = None
) -> list[Any]:
    """Results of the command's nodes; without a ``manifest`` the project is parsed first. Raises
    BuildError where dbt fails as a whole."""
    from dbt.cli.main import dbtRunner

    # Writing a build's manifest takes as long as the build; only a parse's is read.
    writes = [] if command == "parse" else ["--no-write-json"]
    ran = dbtRunner(manifest=manifest).invoke(
        [
            "--quiet",
            "--no-use-colors",
            "--log-level-file=none",
            *writes,
            command,
            *options,
            f"--project-dir={PROJECT}",
            f"--profiles-dir={PROJECT}",
            f"--target-path={target}",
            f"--log-path={target}",
        ]
    )
    if ran.exception is not None:
        raise BuildError(_without_rows(f"dbt {command}: {ran.exception}")) from ran.exception
    return list(getattr(ran.result, "results", ()))


def _run_models(settings: Settings, *options: str) -> list[Any]:
    """`dbt run` in the database of the settings: results of its models."""
    manifest = _manifest()
    database = database_url(settings, Role.DBT).database
    # A parsed project names the database, and dbt would parse it anew for each one.
    for node in (*manifest.nodes.values(), *manifest.sources.values()):
        node.database = database
    return _run_dbt("run", *options, target=settings.data_path / "dbt", manifest=manifest)


@cache
def _manifest() -> "Manifest":
    """The parsed project as dbt takes it."""
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    packed = (_parsed() / "partial_parse.msgpack").read_bytes()
    manifest: Manifest = Manifest.from_msgpack(packed, decoder=extended_mashumuro_decoder)
    return manifest
