"""A secret that exists nowhere else: how to make one, provoke its leak, and look for it; and the
people of the sandbox, who must not be named where only runs are told of."""

import base64
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, text

from integration_pipelines.core.database import venue_scope
from provider_sandbox import Fault, Sandbox
from provider_sandbox.messages import Provider, Request, Response


def make_canary(shape: str) -> str:
    """A key like Stripe's, or one that no pattern knows: ``shape`` "key" or "nothing"."""
    word = secrets.token_urlsafe(32).replace("-", "x").replace("_", "y")
    return f"sk_test_{word}" if shape == "key" else f"canary{word}"


@dataclass(slots=True)
class Echo(Fault):
    """A refusal that repeats the credential to whoever sent it, as Stripe's message and code."""

    kind = "echo"
    status: int = 500

    def before(self, provider: Provider, request: Request) -> Response:
        key = request.headers["authorization"].removeprefix("Bearer ")
        said = f'{{"error": {{"message": "Invalid API Key provided: {key}", "code": "{key}"}}}}'
        return Response(self.status, said.encode())


def echoes() -> list[Fault]:
    return [Echo(status=status, times=None) for status in (400, 401, 403, 418, 429, 500)]


def every_row(engine: Engine, venue_id: str) -> str:
    """Every row that the engine's role may read of the venue, after its table's name."""
    with engine.begin() as session:
        venue_scope(session, venue_id)
        tables = session.scalars(
            text(
                "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c"
                " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')"
                " AND c.relpersistence <> 't'"
                " AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
                " AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
            )
        ).all()
        return "\n".join(
            f"{table} {row}"
            for table in tables
            for row in session.scalars(text(f"SELECT t::text FROM {table} t")).all()
        )


def spellings(canary: str) -> list[str]:
    """The secret as it may be written: whole, its own part, in hexadecimal, in base64."""
    own = canary[8:-4]
    encoded = [base64.b64encode(b"\0" * shift + own.encode())[4:-4].decode() for shift in range(3)]
    return [canary, own, own.encode().hex(), *encoded]


def assert_unseen(canary: str, *places: str) -> None:
    assert all(places)
    seen = [spelling for spelling in spellings(canary) for place in places if spelling in place]
    assert seen == []


PEOPLE = {
    "stripe": ("customers",),
    "square": ("customers", "team_members"),
    "mailchimp": ("members",),
    "quickbooks": ("customers", "employees"),
}
"""Streams whose objects are persons."""


def people_of(sandbox: Sandbox) -> set[str]:
    """Names and e-mail addresses of everybody in the accounts of all four providers, as they are
    and as JSON writes them."""
    told = {
        words
        for provider, streams in PEOPLE.items()
        for account in getattr(sandbox, provider).accounts.values()
        for stream in streams
        for found in account.objects(stream)
        for words in _words(found)
        if "@" in words or " " in words
    }
    return told | {json.dumps(words)[1:-1] for words in told}


def _words(found: Any, key: str = "") -> Iterator[str]:
    """What stands in an object under keys that tell of a person."""
    if isinstance(found, dict):
        for name, value in found.items():
            yield from _words(value, name.lower())
    elif isinstance(found, str) and (key.endswith("name") or "@" in found):
        yield found


def assert_nobody_is_named(sandbox: Sandbox, *places: str) -> None:
    people = people_of(sandbox)
    assert all(places)
    assert {words for words in people for place in places if words in place} == set()
