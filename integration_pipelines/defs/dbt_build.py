"""dbt: what the project declares, and a build of it for a set of venues. Knows no Dagster.

A build runs in this process: it ends with the run that asked for it, where a process of its own
would live on past a kill; and a process that stays builds again in seconds, where a new one takes
three to import dbt. dagster_dbt does neither, and importing it would cost every run 1.7 s more.

The set stands in `control.dbt_build_venues`: a venue enters when its build begins and leaves when
the whole project has been built for it. What a build that was killed or broke has left there is
built with the next one.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from integration_pipelines.core.database import (
    Role,
    create_engine,
    database_url,
    venue_scope,
)
from integration_pipelines.core.errors import IntegrationError
from integration_pipelines.core.mapping import mark_applied, waits_for_build
from integration_pipelines.core.redaction import redact
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import dbt_build_venues, field_mappings, venues

PROJECT = Path(__file__).parents[2] / "dbt_mappings"
PARTIAL_PARSE = "partial_parse.msgpack"
NAMED_AT_MOST = 100
"""Venues that one failing test names."""


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
    views, which say whether raw rows can be read."""

    venue_ids: Sequence[str]
    tables: Sequence[Built]
    tests: Sequence[Built]
    tests_of_views: Sequence[Built] = ()

    @property
    def unreadable(self) -> list[Built]:
        """Tests of views that found rows which lack what their provider documents."""
        return [test for test in self.tests_of_views if not test.ok]

    @property
    def is_whole(self) -> bool:
        """Whether every table and test could be run, whatever the tests found."""
        return not any(each.status in ("error", "skipped") for each in (*self.tables, *self.tests))

    @property
    def broken(self) -> list[Built]:
        """Tables that could not be built, not those skipped because of them."""
        return [table for table in self.tables if table.status == "error"]


def warm_up(settings: Settings) -> None:
    """Import dbt and parse the project, which the first build of a process does otherwise."""
    with _connected(settings):
        _run_dbt("list", "--select", "config.materialized:table", target=_target(settings))


def build(
    settings: Settings,
    engine: Engine,
    *,
    venue_ids: Collection[str],
    tables: Collection[str] | None = None,
    streams: Collection[tuple[str, str]] | None = None,
) -> Build | None:
    """Build ``tables`` (unique ids; None: the whole project) for ``venue_ids`` and for those left
    over from earlier builds, and test them; None if there are none at all.

    ``streams``, by provider and name: only what is made of them, unless something has never been
    built.

    One build at a time, whoever asks; the others wait. A failing test is a result, and so is a
    model that cannot be built. Raises BuildError where dbt itself fails.
    """
    if streams is not None and _is_built(settings):
        made, tests = project().made_of(streams)
        if not made:
            return None
        names = [project().node(unique_id)["name"] for unique_id in (*made, *tests)]
        return _build(
            settings, engine, venue_ids, "build", "--select", *names, "--indirect-selection=empty"
        )
    if tables is None:
        return _build(settings, engine, venue_ids, "build", *ALL_BUT_VIEWS, whole=True)
    names = [project().node(unique_id)["name"] for unique_id in tables]
    return _build(
        settings, engine, venue_ids, "build", "--select", *names, "--indirect-selection=cautious"
    )


def _is_built(settings: Settings) -> bool:
    """Whether every table of the project is there."""
    names = [".".join(project().key(unique_id)) for unique_id in project().tables]
    missing = text(
        "SELECT count(*) FROM unnest(CAST(:names AS text[])) name WHERE to_regclass(name) IS NULL"
    )
    with _dbt_engine(settings) as dbt, dbt.connect() as session:
        return not session.scalar(missing, {"names": names})


ALL_BUT_VIEWS = ("--exclude", "config.materialized:view", "--indirect-selection=empty")
"""Of views only the tests, which would else go with them."""


def run_tests(settings: Settings, engine: Engine, *, tests: Collection[str]) -> Build | None:
    """Run ``tests`` (unique ids) over all venues' rows as they are; otherwise like build()."""
    names = [project().node(unique_id)["name"] for unique_id in tests]
    return _build(settings, engine, None, "test", "--select", *names)


def _build(
    settings: Settings,
    engine: Engine,
    venue_ids: Collection[str] | None,
    *command: str,
    whole: bool = False,
) -> Build | None:
    with _alone(engine):
        begun, entered, everyone = _enter(engine, venue_ids)
        if not everyone:
            return None
        with _dbt_engine(settings) as dbt:
            with _connected(settings):
                if command[0] == "build":
                    _make_views(settings, dbt)
                results = _run_dbt(*command, target=_target(settings))
            done = [_built(result, dbt) for result in results]
        made = Build(
            everyone,
            [each for each in done if each.unique_id in project().tables],
            [each for each in done if each.unique_id in project().tests],
            [each for each in done if each.unique_id in project().tests_of_views],
        )
        if made.is_whole:
            _leave(engine, everyone if whole else entered)
            if whole:
                _mark_mappings(engine, everyone, begun)
    return made


BUILD_LOCK = 0x64627420
"""Held, as a lock of a database session, by the one build under way."""


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        session.execute(select(func.pg_advisory_lock(BUILD_LOCK)))
        try:
            yield
        finally:
            session.invalidate()


def _make_views(settings: Settings, dbt: Engine) -> None:
    """Make the views where they are not of this project as it stands: there are many, and what
    they are made of seldom changes."""
    current = f"views of {_parsed().name}"
    said = text("SELECT obj_description('staging'::regnamespace, 'pg_namespace')")
    with dbt.connect() as session:
        if session.scalar(said) == current:
            return
    made = _run_dbt("run", "--select", "config.materialized:view", target=_target(settings))
    if all(str(result.status) == "success" for result in made):
        with dbt.begin() as session:
            session.execute(text(f"COMMENT ON SCHEMA staging IS '{current}'"))


def _enter(
    engine: Engine, venue_ids: Collection[str] | None
) -> tuple[datetime, list[str], list[str]]:
    """Put venues (None: all) into the set; when that was, who is new in it, and who is in it. A
    venue removed meanwhile is in neither."""
    known = select(venues.c.venue_id)
    if venue_ids is not None:
        known = known.where(venues.c.venue_id.in_(venue_ids))
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


def _built(result: Any, reader: Engine) -> Built:
    node = result.node
    status = str(result.status)
    failing: dict[str, int] = {}
    if node.resource_type == "test" and status in ("warn", "fail"):
        failing = _failing_venues(reader, node.compiled_code)
    rows = result.adapter_response.get("rows_affected") if result.adapter_response else None
    return Built(
        node.unique_id,
        status,
        result.execution_time,
        _without_rows(result.message or ""),
        rows,
        failing,
    )


def _failing_venues(reader: Engine, compiled: str) -> dict[str, int]:
    """Rows that a test found, by venue, the most first. Every test's rows have a venue_id."""
    query = (
        f"SELECT venue_id, count(*) FROM ({compiled}) AS failing "
        f"GROUP BY venue_id ORDER BY count(*) DESC, venue_id LIMIT {NAMED_AT_MOST}"
    )
    with reader.connect().execution_options(no_parameters=True) as session:
        return {row[0]: row[1] for row in session.exec_driver_sql(query)}


def _without_rows(message: str) -> str:
    """A message without the lines in which Postgres quotes values: they are customers' data."""
    lines = [line.strip() for line in message.splitlines()]
    kept = [line for line in lines if not line.startswith(("DETAIL:", "CONTEXT:"))]
    return redact(" ".join(line for line in kept if line))


@contextmanager
def _dbt_engine(settings: Settings) -> Iterator[Engine]:
    engine = create_engine(settings, Role.DBT, pool_size=1, max_overflow=0)
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


def _target(settings: Settings) -> Path:
    """Where builds keep what dbt parsed, so that the next one need not parse again."""
    target = settings.data_path / "dbt"
    if not (target / PARTIAL_PARSE).exists():
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(_parsed() / PARTIAL_PARSE, target)
    return target


def _run_dbt(command: str, *options: str, target: Path) -> list[Any]:
    """Results of the command's nodes. Raises BuildError where dbt fails as a whole."""
    from dbt.cli.main import dbtRunner

    # Writing a build's manifest takes as long as the build; only a parse's is read.
    writes = [] if command == "parse" else ["--no-write-json"]
    ran = dbtRunner().invoke(
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
