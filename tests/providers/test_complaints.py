"""What users of other connectors suffer from, and cannot here: a test a fact, lettered as it is in
the list of complaints that this project was begun with.

What is about money and days of a mart stands in tests/dbt_mappings; what is about tokens with their
refresh.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine, text

from integration_pipelines.core.credentials import save_connection
from integration_pipelines.core.database import create_engine, venue_scope
from integration_pipelines.core.ingest import open_client, take_census
from integration_pipelines.core.provider import StreamPlan
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.transport import RetryPolicy
from integration_pipelines.providers import PROVIDERS
from provider_sandbox import Sandbox
from provider_sandbox.faults import ServerError, make_fault
from provider_sandbox.ledger import encode
from provider_sandbox.messages import Response
from tests.connected import ConnectedVenue
from tests.faults.moments import Meanwhile
from tests.providers.accounts import KINDS

Open = Callable[..., tuple[ConnectedVenue, Any]]


@pytest.fixture
def opened(
    settings: Settings, pipeline_engine: Engine, sandbox: Sandbox, venue: Callable[..., str]
) -> Open:
    """``opened(provider, venue_id="hall", **account)``: a connected venue and its account."""

    def open_one(name: str, venue_id: str = "hall", **options: Any) -> tuple[ConnectedVenue, Any]:
        kind = KINDS[name]
        account = kind.open_account(sandbox, venue_id, **options)
        hall = kind.connect(settings, pipeline_engine, sandbox, account, venue(venue_id))
        return hall, account

    return open_one


def failures(results: dict[str, Any]) -> dict[str, str]:
    return {name: result.error_kind for name, result in results.items() if result.error_kind}


@pytest.mark.parametrize("name", ["stripe", "square"])
def test_a_refunds_and_disputes_of_old_payments_arrive_and_a_full_pass_has_none_to_repair(
    opened: Open, name: str
) -> None:
    hall, account = opened(name, size=60)
    hall.sync()
    account.economy.advance(40 * 86_400)
    hall.sync()
    account.economy.mutate(12, kinds=["refund", "dispute"])
    account.economy.advance(3_600)
    changed = hall.sync()
    assert changed["refunds"].inserted and changed["disputes"].changed
    whole = hall.sync(full=True, allow_deletes=True)
    paid = "charges" if name == "stripe" else "payments"
    assert {whole[stream].repaired for stream in ("refunds", "disputes", paid)} == {0}
    assert KINDS[name].differences(hall, account) == []


@pytest.mark.parametrize("name", list(PROVIDERS))
def test_b_what_a_sync_missed_is_counted_apart_and_named(opened: Open, name: str) -> None:
    hall, account = opened(name, size=30)
    assert failures(hall.sync()) == {}
    stream = {"mailchimp": "members", "quickbooks": "sales_receipts"}.get(name, "payouts")
    lost = sorted(hall.payloads(stream))[:3]
    with hall.engine.begin() as session:
        venue_scope(session, hall.connection.venue_id)
        session.execute(
            text(f"DELETE FROM raw_{name}.{stream} WHERE id = ANY(:ids)"), {"ids": lost}
        )
    assert not hall.sync()[stream].changed

    def census() -> Any:
        return take_census(
            hall.engine, provider=hall.provider, connection=hall.connection, client=hall.client()
        )

    counted = census()
    assert {stream: sorted(ids) for stream, ids in counted.missing.items()} == {stream: lost}
    assert counted.requested
    hall.sync(streams=[], objects=counted.missing)
    assert not census().missing
    assert KINDS[name].differences(hall, account) == []


def test_c_all_lines_of_an_order_and_of_an_invoice_are_read(opened: Open) -> None:
    hall, account = opened("stripe", size=80)
    hall.sync()
    lines = Counter(
        {id: len(body["lines"]["data"]) for id, body in hall.payloads("invoices").items()}
    )
    assert lines.most_common(1)[0][1] > 10
    assert all(len(account.lines("invoices", id)) == count for id, count in lines.items())
    bar, other = opened("square", "bar", size=40)
    bar.sync()
    whole = {order["id"]: len(order.get("line_items", ())) for order in other.objects("orders")}
    landed = bar.payloads("orders")
    assert {id: len(body.get("line_items", ())) for id, body in landed.items()} == whole


REFUSALS: dict[str, Callable[[str, int], Any]] = {
    "stripe": lambda words, status: {"error": {"type": "invalid_request_error", "message": words}},
    "square": lambda words, status: {
        "errors": [{"category": "INVALID_REQUEST_ERROR", "code": "BAD_REQUEST", "detail": words}]
    },
    "mailchimp": lambda words, status: {"title": "Forbidden", "status": status, "detail": words},
    "quickbooks": lambda words, status: {
        "Fault": {"Error": [{"Message": words, "code": "4000"}], "type": "ValidationFault"}
    },
}
"""A refusal in each provider's own form."""


@pytest.mark.parametrize("name", list(PROVIDERS))
@pytest.mark.parametrize("status", [400, 403, 404])
def test_d_a_refusal_fails_its_stream_by_name_and_is_never_no_data(
    opened: Open, sandbox: Sandbox, name: str, status: int
) -> None:
    hall, account = opened(name, size=15)
    hall.sync()
    stream, path = {
        "stripe": ("payouts", "/v1/payouts*"),
        "square": ("gift_cards", "/v2/gift-cards*"),
        "mailchimp": ("automations", "/3.0/automations"),
        "quickbooks": ("accounts", "*"),
    }[name]
    held = hall.payloads(stream)
    hall.retry = RetryPolicy(attempts=1)

    words = f"The bartender is out, says {name}."

    class Refused(ServerError):
        def before(self, provider: Any, request: Any) -> Any:
            return Response(status, encode(REFUSALS[name](words, status)))

    sandbox.faults.add(Refused(provider=name, path=path, times=None))
    result = hall.sync(streams=[stream], full=True, allow_deletes=True)[stream]
    assert result.outcome == "failed"
    assert words in str(result.error)
    assert result.error_kind in ("refused", "not_found")
    assert hall.payloads(stream) == held
    sandbox.faults.clear()
    assert failures(hall.sync()) == {}
    assert KINDS[name].differences(hall, account) == []


@pytest.mark.parametrize(("live", "pace"), [(True, 100), (False, 25)])
def test_e_live_and_sandbox_keep_to_limits_of_their_own(
    opened: Open, sandbox: Sandbox, live: bool, pace: int
) -> None:
    hall, account = opened("stripe", size=10)
    key = sandbox.stripe.create_key(account.id, live=live)
    with hall.engine.begin() as session:
        venue_scope(session, hall.connection.venue_id)
        connection = save_connection(
            session,
            hall.vault,
            venue_id=hall.connection.venue_id,
            provider="stripe",
            account=hall.client().identify(),
            credentials=hall.provider.credentials.model_validate({"api_key": key}),
        )
    # The pace that the provider's folder declares, and none that a test asks for.
    client = open_client(hall.settings, hall.engine, hall.vault, hall.provider, connection)
    list(client.extract([StreamPlan("customers", None, full=True)]))
    ((used,),) = hall.rows("SELECT rate FROM control.rate_limits")
    assert used == pace


def test_e_no_one_sleeps_for_days_because_a_provider_says_so(
    opened: Open, sandbox: Sandbox
) -> None:
    hall, _ = opened("stripe", size=10)
    hall.retry = RetryPolicy(longest_wait=1)
    sandbox.faults.add(
        make_fault("rate_limited", provider="stripe", times=None, retry_after=4 * 86_400)
    )
    results = hall.sync(streams=["customers"])
    assert failures(results) == {"customers": "rate_limited"}


def test_f_a_company_is_read_for_days_though_its_tokens_rotate_and_two_renew_at_once(
    opened: Open, sandbox: Sandbox
) -> None:
    hall, account = opened("quickbooks", size=10)
    hall.sync(streams=["customers"])
    sandbox.reset_stats()
    for hour in range(1, 4):
        end_token(hall, sandbox, account, at=datetime.now(UTC) - timedelta(seconds=1))
        clients = [hall.client() for _ in range(2)]
        with ThreadPoolExecutor(len(clients)) as pool:
            seen = {found.account_id for found in pool.map(lambda one: one.identify(), clients)}
        assert seen == {account.id}
        assert renewals(sandbox) == hour
        assert failures(hall.sync(streams=["customers"])) == {}
    assert renewals(sandbox) == 3


@pytest.mark.parametrize("left", [None, timedelta(minutes=9)], ids=["unknown", "too-little"])
def test_g_a_token_of_unknown_end_or_of_too_little_time_is_renewed_before_it_is_used(
    opened: Open, sandbox: Sandbox, left: timedelta | None
) -> None:
    hall, account = opened("quickbooks", size=10)
    end_token(hall, sandbox, account, at=left and datetime.now(UTC) + left)
    sandbox.reset_stats()
    assert failures(hall.sync(streams=["customers"])) == {}
    assert renewals(sandbox) == 1
    assert hall.payloads("customers")


def end_token(hall: ConnectedVenue, sandbox: Sandbox, account: Any, *, at: datetime | None) -> None:
    """The access token opens nothing any more; what is known here of its end is ``at``."""
    sandbox.quickbooks.tokens.expire(account.id)
    hall.rows("UPDATE control.oauth_tokens SET expires_at = :at RETURNING 1", at=at)


def renewals(sandbox: Sandbox) -> int:
    tokens = "/oauth2/v1/tokens/bearer"
    return sum(count for (*_, path), count in sandbox.requests.items() if path == tokens)


def test_h_what_is_deleted_at_quickbooks_is_seen(opened: Open) -> None:
    hall, account = opened("quickbooks", size=30)
    hall.sync()
    deleted = account.economy.do("remove", "invoices")["Id"]
    assert hall.sync()["invoices"].deleted == 1
    assert deleted not in hall.payloads("invoices")


def test_i_no_list_of_square_is_clipped_and_no_row_is_there_twice(opened: Open) -> None:
    only = {"orders": 2_300, "customers": 450}
    hall, account = opened("square", only=only)
    results = hall.sync(streams=["locations", *only])
    for stream, expected in only.items():
        assert results[stream].inserted == expected == len(account.ids(stream))
        assert hall.payloads(stream).keys() == set(account.ids(stream))


def test_j_a_payment_that_changes_long_after_it_was_made_is_updated(opened: Open) -> None:
    hall, account = opened("square", size=40)
    hall.sync()
    account.economy.advance(30 * 86_400)
    hall.sync()
    before = hall.payloads("payments")
    account.economy.mutate(6, kinds=["refund"])
    hall.sync()
    after, truth = hall.payloads("payments"), account.objects("payments")
    changed = [body["id"] for body in truth if before.get(body["id"]) not in (None, body)]
    assert changed
    assert {body["id"]: body for body in truth} == after


def test_k_activity_is_whole_and_a_sync_cut_short_goes_on_where_it_was(
    opened: Open, sandbox: Sandbox
) -> None:
    hall, account = opened("mailchimp", size=60)
    asked: list[str] = []
    # The first of two requests is answered only when the second has come.
    both = Barrier(2, timeout=30)
    path = "*/email-activity"
    note = Meanwhile(
        provider="mailchimp",
        path=path,
        times=None,
        happens=lambda one: asked.append(f"{one.path}?{one.query}"),
    )
    meet = Meanwhile(provider="mailchimp", path=path, times=2, happens=lambda one: both.wait())
    cut = make_fault("server_error", provider="mailchimp", path=path, times=None, skip=3)
    for fault in (note, meet, cut):
        sandbox.faults.add(fault)
    hall.retry = RetryPolicy(attempts=1)
    assert failures(hall.sync())["email_activity"] == "transient"
    assert not both.broken
    here = {id.partition("/")[0] for id in hall.payloads("email_activity")}
    there = {id.partition("/")[0] for id in account.ids("email_activity")}
    assert here and here < there
    sandbox.faults.clear()
    asked.clear()
    sandbox.faults.add(note)
    assert failures(hall.sync()) == {}
    begun = {one.split("/")[3] for one in asked if "offset=0&" in one}
    assert begun == there - here, "what has landed is not read again, but for its end"
    assert KINDS["mailchimp"].differences(hall, account) == []


def test_n_a_draft_invoice_is_updated_until_it_is_paid_or_gone(opened: Open) -> None:
    hall, account = opened("stripe", size=40)
    hall.sync()
    drafts = set()
    for _ in range(4):
        account.economy.mutate(12, kinds=["create"])
        hall.sync()
        drafts |= {
            id for id, body in hall.payloads("invoices").items() if body["status"] == "draft"
        }
        account.economy.advance(3 * 86_400, mutations=5)
    hall.sync()
    truth = {body["id"]: body["status"] for body in account.objects("invoices")}
    landed = {id: body["status"] for id, body in hall.payloads("invoices").items()}
    assert drafts
    assert landed == truth
    assert any(truth.get(id) != "draft" for id in drafts)


def test_o_venues_that_sync_at_once_neither_lose_nor_double_rows(
    opened: Open, settings: Settings
) -> None:
    halls = [
        (name, *opened(name, f"{name}-{number}", size=25))
        for name in PROVIDERS
        for number in range(2)
    ]
    # Each sync holds two connections for as long as it lasts; as many as a run has.
    engine = create_engine(settings, pool_size=40)
    for _, hall, _ in halls:
        hall.engine = engine
    with ThreadPoolExecutor(len(halls)) as pool:
        for results in pool.map(lambda each: each[1].sync(), halls):
            assert failures(results) == {}
    for name, hall, account in halls:
        assert KINDS[name].differences(hall, account) == []
    engine.dispose()
