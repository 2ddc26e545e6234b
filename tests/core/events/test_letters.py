"""What people see of events, and what they replay by filter."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from integration_pipelines.core.database import Role, create_engine, venue_scope
from integration_pipelines.core.events.letters import NO_VENUE, Asked, count, find, replay, show
from integration_pipelines.core.events.masking import masked
from integration_pipelines.core.settings import Settings
from tests.canary import assert_unseen, make_canary

STRIPE = {
    "id": "evt_1Q2w3E4r5T6y7U8i",
    "type": "charge.updated",
    "created": 1_772_000_000,
    "livemode": True,
    "data": {
        "object": {
            "id": "ch_3Q2w3E4r5T6y7U8i",
            "amount": 4_200,
            "currency": "eur",
            "status": "succeeded",
            "customer": "cus_Q2w3E4r5T6y7U8",
            "billing_details": {
                "name": "Ana Muster",
                "email": "ana@mail.example",
                "phone": "+49 30 1234567",
                "address": {"line1": "Torstr. 1", "postal_code": "10119", "country": "DE"},
            },
            "payment_method_details": {"card": {"brand": "visa", "last4": "4242", "exp_year": 31}},
            "client_secret": "pi_1_secret_2",
            "receipt_url": "https://pay.example/receipts/abc",
            "metadata": {"table": 7, "guest": "Ana"},
        }
    },
}


def test_ids_amounts_times_and_statuses_are_shown_and_nothing_personal_or_secret() -> None:
    object_ = STRIPE["data"]["object"]  # type: ignore[index]
    assert masked(STRIPE) == STRIPE | {
        "data": {
            "object": object_
            | {
                "billing_details": {
                    "name": "[name]",
                    "email": "[e-mail]",
                    "phone": "[phone]",
                    "address": {
                        "line1": "[address]",
                        "postal_code": "[address]",
                        "country": "[address]",
                    },
                },
                "payment_method_details": {
                    "card": {"brand": "visa", "last4": "[personal]", "exp_year": "[personal]"}
                },
                "client_secret": "[secret]",
                "receipt_url": "[link]",
                "metadata": {"table": "[personal]", "guest": "[personal]"},
            }
        }
    }


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [
        # Square
        ("merchant_id", "MLPMXELBIUX5P", "MLPMXELBIUX5P"),
        ("created_at", "2026-02-28T13:45:00.123Z", "2026-02-28T13:45:00.123Z"),
        ("buyer_email_address", "ana@mail.example", "[e-mail]"),
        ("family_name", "Muster", "[name]"),
        ("phone_number", 491701234567, "[phone]"),
        ("note", "Ana's birthday", "[personal]"),
        ("reference_id", "ana-1984", "[personal]"),
        ("version", 3, 3),
        # QuickBooks
        ("realmId", "9341453", "9341453"),
        ("intuitentityid", "124", "124"),
        ("lastUpdated", "2026-02-28T13:45:00-08:00", "2026-02-28T13:45:00-08:00"),
        ("operation", "Update", "Update"),
        ("DisplayName", "Ana Muster", "[name]"),
        ("PrimaryEmailAddr", {"Address": "ana@mail.example"}, {"Address": "[e-mail]"}),
        ("BillAddr", {"Id": "7", "Line1": "Torstr. 1"}, {"Id": "[address]", "Line1": "[address]"}),
        ("TotalAmt", 12.5, 12.5),
        # Mailchimp
        ("fired_at", "2026-02-28 13:45:00", "2026-02-28 13:45:00"),
        ("data[id]", "8a25ff1d98", "8a25ff1d98"),
        ("data[email]", "ana@mail.example", "[e-mail]"),
        ("data[merges][FNAME]", "Ana", "[personal]"),
        ("data[ip_opt]", "203.0.113.9", "[personal]"),
        ("data[reason]", "manual", "[text]"),
        # Anything
        ("id", "ana@mail.example", "[e-mail]"),
        ("id", "Ana Muster", "[text]"),
        ("whatever", "+49 170 1234567", "[phone]"),
        ("whatever", "Ana", "[text]"),
        ("tax_id", "DE123456789", "[personal]"),
        ("tax_ids", [{"value": "DE123456789"}], [{"value": "[personal]"}]),
        ("TotalTax", 1.5, 1.5),
        ("tax_money", {"amount": "5.10"}, {"amount": "5.10"}),
        ("credit_notes_amount", 5, 5),
        ("metadata", {"amount": 5}, {"amount": "[personal]"}),
        ("api_key", "x", "[secret]"),
        ("status", "Ana Muster", "[text]"),
        ("amount_money", {"amount": 5, "currency": "USD"}, {"amount": 5, "currency": "USD"}),
        ("ids", ["a1", "b2"], ["a1", "b2"]),
        ("nothing", None, None),
        ("email", "", ""),
    ],
)
def test_each_providers_fields_are_masked_by_type(name: str, value: Any, seen: Any) -> None:
    assert masked({name: value}) == {name: seen}


@given(st.text(min_size=1))
def test_free_text_is_never_shown(said: str) -> None:
    free = f"{said} of Ana"
    payload = {"a": free, "id": free, "status": [free], "amount": {"name": said}, free: 1}
    shown = masked(payload)
    assert shown == {
        "a": shown["a"], "id": shown["id"], "status": shown["status"],
        "amount": {"name": "[name]"}, next(name for name in shown if shown[name] == 1): 1,
    }  # fmt: skip
    assert {shown["a"], shown["id"], *shown["status"]} <= {"[text]", "[e-mail]", "[link]"}


def test_no_secret_is_shown_wherever_it_stands_in_an_event() -> None:
    for shape in ("key", "nothing"):
        canary = make_canary(shape)
        hidden = {"a": canary, "url": f"https://x.example/?k={canary}", "b": [{"secret": canary}]}
        if shape == "key":
            hidden |= {"id": canary, "status": canary, "customer_id": canary}
        assert_unseen(canary, str(masked(hidden)))


@pytest.fixture
def letters(
    venue: Callable[..., str], connect: Callable[..., UUID], owner_engine: Engine,
    pipeline_engine: Engine,
) -> None:  # fmt: skip
    """Five of the hall's, one of the bar's, and two of nobody's, each an hour older than the one
    before; one of them is done, and one has lost its payload."""
    ids = {slug: connect(venue(slug), "square", f"M-{slug}") for slug in ("hall", "bar")}
    rows = (
        ("square", "hall", "M-hall", "payment.updated", "given up after 8 attempts: it is 100%"),
        ("square", "hall", "M-hall", "refund.updated", "it is not authentic: x"),
        ("stripe", "hall", "M-hall", "payment.updated", "given up after 8 attempts: it is 1000"),
        ("square", "bar", "M-bar", "payment.updated", "given up after 8 attempts: it is down"),
        ("square", None, "M-9", "payment.updated", "no venue has connected this account"),
        ("square", None, "M-8", "payment.updated", "no venue has connected this account"),
        ("square", "hall", "M-hall", "payment.updated", "done"),
        ("square", "hall", "M-hall", "payment.updated", "lost"),
    )
    with pipeline_engine.begin() as session:
        for age, (provider, venue_id, account, kind, reason) in enumerate(rows):
            session.execute(
                text(
                    "INSERT INTO control.integration_webhooks (provider, venue_id, connection_id,"
                    " account_id, event_id, event_type, status, attempts, processed_at, last_error,"
                    " payload, received_at) VALUES (:provider, :venue_id, :connection_id, :account,"
                    " :id, :kind, :status, 8, now(), :reason, CAST(:payload AS jsonb),"
                    " now() - make_interval(hours => :age))"
                ),
                {
                    "provider": provider,
                    "venue_id": venue_id,
                    "connection_id": ids.get(venue_id or ""),
                    "account": account,
                    "id": f"e{age}",
                    "kind": kind,
                    "status": "done" if reason == "done" else "dead",
                    "reason": reason,
                    "payload": None if reason == "lost" else '{"id": "p1", "email": "a@b.example"}',
                    "age": age,
                },
            )


def found(engine: Engine, scope: str | None = None, **asked: Any) -> list[str]:
    with engine.begin() as session:
        if scope is not None:
            venue_scope(session, scope)
        rows = find(session, Asked(**({"status": "dead"} | asked)), limit=100)
        return [row["event_id"] for row in rows][::-1]


def test_events_are_found_by_each_filter_and_by_several(
    letters: None, pipeline_engine: Engine
) -> None:
    def asked(**filters: Any) -> list[str]:
        return found(pipeline_engine, **filters)

    ago = datetime.now(UTC) - timedelta(hours=1, minutes=30)
    assert asked() == ["e0", "e1", "e2", "e3", "e4", "e5", "e7"]
    assert asked(status=None, reason="done") == ["e6"]
    assert asked(provider="stripe") == ["e2"]
    assert asked(venue_id="bar") == ["e3"]
    assert asked(event_type="refund.updated") == ["e1"]
    assert asked(account_id="M-9") == ["e4"]
    assert asked(reason="GIVEN UP") == ["e0", "e2", "e3"]
    assert asked(reason="100%") == ["e0"], "a sign of the text, and no wildcard"
    assert asked(since=ago) == ["e0", "e1"]
    assert asked(until=ago) == ["e2", "e3", "e4", "e5", "e7"]
    assert asked(venue_id="hall", reason="given", since=ago) == ["e0"]
    with pipeline_engine.connect() as session:
        assert count(session, Asked(venue_id="hall")) == {"dead": 4}, "not what is over"
        newest = find(session, Asked(), limit=1)[0]["webhook_id"]
        assert find(session, Asked(), limit=1, before=newest)[0]["webhook_id"] == newest - 1


def test_a_replay_by_filter_takes_what_is_asked_for_alone_and_is_safe_to_repeat(
    letters: None, pipeline_engine: Engine
) -> None:
    asked = Asked(status="dead", venue_id="hall", reason="given up")
    for expected in (2, 0):
        with pipeline_engine.begin() as session:
            assert replay(session, asked) == expected
    with pipeline_engine.begin() as session:
        rows = {row["event_id"]: row for row in find(session, Asked(), limit=100)}
        assert [id for id, row in sorted(rows.items()) if row["status"] == "pending"] == [
            "e0",
            "e2",
        ]
        again = rows["e0"]
        assert (again["attempts"], again["last_error"], again["processed_at"]) == (0, None, None)
        assert again["replayed_at"] is not None
        ids = [row["webhook_id"] for row in rows.values()]
        assert replay(session, Asked(status="dead", account_id="M-9"), ids) == 1
        assert replay(session, Asked(status="dead", reason="lost"), ids) == 0, "nothing is left"


@pytest.fixture
def portal_engine(settings: Settings) -> Iterator[Engine]:
    engine = create_engine(settings, Role.PORTAL)
    yield engine
    engine.dispose()


def test_the_portal_finds_and_replays_in_its_scope_alone(
    letters: None, portal_engine: Engine, pipeline_engine: Engine
) -> None:
    by_scope = {"hall": ["e0", "e1", "e2", "e7"], "bar": ["e3"], NO_VENUE: ["e4", "e5"], "": []}
    for scope, expected in by_scope.items():
        assert found(portal_engine, scope) == expected, scope
    with pipeline_engine.connect() as session:
        every = [row["webhook_id"] for row in find(session, Asked(), limit=100)]
    with portal_engine.begin() as session:
        venue_scope(session, "bar")
        shown = [each for id in every if (each := show(session, id)) is not None]
        assert [(each["event_id"], each["payload"]) for each in shown] == [
            ("e3", {"id": "p1", "email": "[e-mail]"})
        ]
        assert replay(session, Asked(status="dead"), every) == 1
    with portal_engine.begin() as session:
        venue_scope(session, NO_VENUE)
        assert replay(session, Asked(status="dead")) == 2
    assert found(pipeline_engine) == ["e0", "e1", "e2", "e7"]
