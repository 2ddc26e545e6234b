"""Who is there: locks that a process holds by a name, and that end with it however it ends."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Engine,
    cast,
    column,
    exists,
    func,
    literal_column,
    select,
    table,
)
from sqlalchemy import Connection as Session
from sqlalchemy.exc import SQLAlchemyError

LOOKS_EVERY = 5.0
"""Seconds after which who is present takes the lock again, if it was lost with its session."""

_locks = table(
    "pg_locks",
    *map(column, ("locktype", "database", "classid", "objid", "objsubid", "granted")),
    schema="pg_catalog",
).c
_databases = table("pg_database", column("oid"), column("datname"), schema="pg_catalog").c


@contextmanager
def alone(engine: Engine, name: str) -> Iterator[bool]:
    """Hold the lock ``name`` within; False where another holds it."""
    with _session(engine) as session:
        yield _take(session, name)


@contextmanager
def present(engine: Engine, name: str) -> Iterator[None]:
    """Hold the lock ``name`` within, also over a restart of the database."""
    left = threading.Event()

    def stay() -> None:
        while not left.is_set():
            with suppress(SQLAlchemyError), _session(engine) as session:
                while not left.is_set():
                    _take(session, name)
                    left.wait(LOOKS_EVERY)
            left.wait(LOOKS_EVERY / 5)

    thread = threading.Thread(target=stay, name=f"present as {name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()


def is_held(name: str | ColumnElement[str]) -> ColumnElement[bool]:
    """Whether somebody holds the lock ``name``, as a condition. To try it would take it for a
    moment from whoever has just come for it."""
    ours = select(_databases.oid).where(_databases.datname == func.current_database())
    high, low = cast(_locks.classid, BigInteger), cast(_locks.objid, BigInteger)
    return exists(
        select(1).where(
            _locks.locktype == "advisory",
            _locks.database == ours.scalar_subquery(),
            _locks.objsubid == 1,
            _locks.granted,
            high.op("<<")(literal_column("32")).op("|")(low) == _key(name),
        )
    )


def _key(name: str | ColumnElement[str]) -> ColumnElement[int]:
    return func.hashtextextended(name, 0)


def _take(session: Session, name: str) -> bool:
    return bool(session.scalar(select(func.pg_try_advisory_lock(_key(name)))))


@contextmanager
def _session(engine: Engine) -> Iterator[Session]:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        try:
            yield session
        finally:
            # A server notices a closed session in its own time, and the next one has come by then.
            with suppress(SQLAlchemyError):
                session.execute(select(func.pg_advisory_unlock_all()))
            # Closed rather than given back to the pool: locks end with it, whatever went wrong.
            session.invalidate()
