"""Endpoints at the providers: made, kept, mended and taken away, whatever was there before; and
what comes by them is taken from those who know the secret alone."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from sqlalchemy import Engine, text
from werkzeug.serving import make_server

from integration_pipelines.core.credentials import Keeper
from integration_pipelines.core.errors import ConfigurationError, VaultError
from integration_pipelines.core.events.claims import claim, secrets_of
from integration_pipelines.core.events.endpoints import (
    Registration,
    base_url,
    ensure_application,
    ensure_connection,
    leave,
    unlooked_at,
)
from integration_pipelines.core.settings import AppEnv, Settings
from integration_pipelines.providers import PROVIDERS
from provider_sandbox import Sandbox, running_sandbox
from provider_sandbox.stripe.webhooks import signature_header
from tests.connected import ConnectedVenue
from tests.providers.accounts import KINDS
from webhook_receiver import create_app

Hall = Callable[..., ConnectedVenue]
STRIPE = PROVIDERS["stripe"]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=3) as running:
        yield running


@pytest.fixture
def hall(
    sandbox: Sandbox, settings: Settings, pipeline_engine: Engine, venue: Callable[..., str]
) -> Hall:
    """``hall(provider, venue_id, url)``: a venue with a small account, told of at ``url``."""

    def connect(
        provider: str, venue_id: str = "hall", url: str = "http://127.0.0.1:9", account: Any = None
    ) -> ConnectedVenue:
        found = account or getattr(sandbox, provider).create_account(venue_id, size=12)
        here = settings.model_copy(update={"webhook_base_url": url})
        kind = KINDS[provider]
        return kind.connect(here, pipeline_engine, sandbox, found, venue(venue_id))

    return connect


def ensured(hall: ConnectedVenue) -> Registration:
    done = ensure_connection(hall.settings, hall.engine, hall.vault, hall.provider, hall.connection)
    assert done is not None
    return done


def counts(done: Registration) -> tuple[int, int, int, int]:
    assert done.ensured is not None, done.error
    found = done.ensured
    return found.made, found.kept, found.mended, found.removed


def standing(hall: ConnectedVenue) -> list[Any]:
    webhooks = hall.provider.webhooks
    assert webhooks is not None
    assert webhooks.of_connection is not None
    hooks = webhooks.of_connection(hall.client())
    assert hooks is not None
    return list(hooks.standing())


def noted(hall: ConnectedVenue) -> list[Any]:
    return hall.rows("SELECT encode(path_hash, 'hex'), error FROM control.webhook_endpoints")


def keeper_of(hall: ConnectedVenue) -> Keeper:
    return Keeper(hall.settings, hall.engine, hall.vault, hall.provider, hall.connection)


def test_an_account_gets_one_endpoint_of_which_only_hash_and_sealed_secret_are_kept(
    hall: Hall,
) -> None:
    here = hall("stripe")
    assert counts(ensured(here)) == (1, 0, 0, 0)
    (hook,) = standing(here)
    assert hook.url.startswith("http://127.0.0.1:9/webhooks/stripe/")
    path = hook.url.rpartition("/")[2]
    assert len(path) == 43
    assert noted(here) == [(hashlib.sha256(path.encode()).hexdigest(), None)]
    (sealed,) = here.rows("SELECT ciphertext FROM control.venue_api_keys WHERE field <> 'api_key'")
    assert b"whsec_" not in sealed[0]
    with here.engine.begin() as session:
        (secret,) = secrets_of(session, here.vault, here.connection)
    assert secret.startswith("whsec_")
    assert counts(ensured(here)) == (0, 1, 0, 0)
    assert standing(here) == [hook]


def test_what_the_provider_disabled_is_enabled_again(hall: Hall, sandbox: Sandbox) -> None:
    here = hall("stripe")
    ensured(here)
    (endpoint,) = sandbox.stripe.endpoints.all.values()
    endpoint.shown["status"] = "disabled"
    assert counts(ensured(here)) == (0, 0, 1, 0)
    assert endpoint.shown["status"] == "enabled"
    endpoint.shown["enabled_events"] = ["charge.succeeded"]
    assert counts(ensured(here)) == (0, 0, 1, 0)
    assert endpoint.shown["enabled_events"] == ["*"]


def test_what_was_deleted_there_is_made_anew(hall: Hall, sandbox: Sandbox) -> None:
    here = hall("stripe")
    ensured(here)
    before = noted(here)
    sandbox.stripe.endpoints.all.clear()
    assert counts(ensured(here)) == (1, 0, 0, 0)
    assert len(noted(here)) == 1
    assert noted(here) != before


def test_what_nobody_owns_any_more_goes_and_what_is_not_ours_stays(
    hall: Hall, sandbox: Sandbox
) -> None:
    """Whoever dies between telling the provider and keeping the secret leaves such a one."""
    here = hall("stripe")
    webhooks = STRIPE.webhooks
    assert webhooks is not None
    assert webhooks.of_connection is not None
    hooks = webhooks.of_connection(here.client())
    assert hooks is not None
    hooks.add("http://127.0.0.1:9/webhooks/stripe/of-somebody-who-died", "")
    hooks.add("http://127.0.0.1:9/of-the-venue-s-own-shop", "")
    assert counts(ensured(here)) == (1, 0, 0, 1)
    left = {hook.url for hook in standing(here)}
    assert len(left) == 2
    assert "http://127.0.0.1:9/of-the-venue-s-own-shop" in left


def test_an_endpoint_whose_secret_is_gone_is_made_anew(hall: Hall) -> None:
    here = hall("stripe")
    ensured(here)
    here.rows("DELETE FROM control.venue_api_keys WHERE field = 'webhook_secret' RETURNING 1")
    assert counts(ensured(here)) == (1, 0, 0, 1)
    with here.engine.begin() as session:
        assert len(secrets_of(session, here.vault, here.connection)) == 1


def test_two_venues_of_one_account_have_an_endpoint_each(hall: Hall, sandbox: Sandbox) -> None:
    account = sandbox.mailchimp.create_account("shared", size=12)
    one, other = (hall("mailchimp", name, account=account) for name in ("one", "other"))
    with Answering(one) as url:
        one.settings = other.settings = one.settings.model_copy(
            update={"webhook_base_url": url.base}
        )
        places = len(account.ids("lists"))
        assert counts(ensured(one)) == (places, 0, 0, 0)
        assert counts(ensured(other)) == (places, 0, 0, 0)
        assert counts(ensured(one)) == (0, places, 0, 0)
        leave(keeper_of(other))
        assert len(standing(one)) == places
        assert counts(ensured(one)) == (0, places, 0, 0)


def test_each_audience_has_one_and_a_new_audience_gets_it_by_the_same_path(
    hall: Hall, sandbox: Sandbox
) -> None:
    here = hall("mailchimp")
    account = sandbox.mailchimp.account("hall")
    with Answering(here) as url:
        here.settings = here.settings.model_copy(update={"webhook_base_url": url.base})
        places = len(account.ids("lists"))
        assert counts(ensured(here)) == (places, 0, 0, 0)
        with here.engine.begin() as session:
            assert unlooked_at(session, here.provider) == []
        account.economy.add_list("New")
        here.sync(streams=["lists"])
        with here.engine.begin() as session:
            assert unlooked_at(session, here.provider) == [here.connection]
        assert counts(ensured(here)) == (1, places, 0, 0)
        assert len({hook.url for hook in standing(here)}) == 1
        with here.engine.begin() as session:
            assert unlooked_at(session, here.provider) == []


def test_connections_are_looked_at_once_a_day(hall: Hall) -> None:
    here = hall("stripe")

    def due() -> int:
        with here.engine.begin() as session:
            return len(unlooked_at(session, here.provider))

    assert due() == 1
    ensured(here)
    assert due() == 0
    a_day_ago = "SET checked_at = now() - interval '25 hours' RETURNING 1"
    assert here.rows(f"UPDATE control.webhook_endpoints {a_day_ago}") == [(1,)]
    assert due() == 1


def test_what_the_provider_refuses_is_told_and_noted_and_tried_again_the_next_day(
    hall: Hall,
) -> None:
    # Nobody answers there, and Mailchimp asks before it takes an URL.
    here = hall("mailchimp")
    done = ensured(here)
    assert done.ensured is None
    assert done.error
    ((_, error),) = noted(here)
    assert error == done.error
    with here.engine.begin() as session:
        assert unlooked_at(session, here.provider) == []


def test_leaving_takes_the_endpoint_away_and_succeeds_whatever_the_provider_does(
    hall: Hall, sandbox: Sandbox
) -> None:
    one = hall("stripe", "one")
    ensured(one)
    leave(keeper_of(one))
    assert not sandbox.stripe.endpoints.all
    assert noted(one) == []
    assert one.rows("SELECT status FROM control.connections") == [("disconnected",)]
    assert one.rows("SELECT count(*) FROM control.venue_api_keys") == [(0,)]
    other = hall("stripe", "other")
    ensured(other)
    other.settings = other.settings.model_copy(update={"stripe_api_base": "http://127.0.0.1:9"})
    leave(keeper_of(other))
    assert len(sandbox.stripe.endpoints.all) == 1
    assert noted(other) == []
    assert other.rows("SELECT DISTINCT status, count(*) OVER () FROM control.connections") == [
        ("disconnected", 2)
    ]


def test_the_application_has_one_endpoint_for_all_venues(
    sandbox: Sandbox, settings: Settings
) -> None:
    here = Settings.model_validate(
        settings.model_dump(exclude_unset=True)
        | {name.lower(): value for name, value in sandbox.environment.items()}
        | {"webhook_base_url": "http://127.0.0.1:9"}
    )
    stripe, square = STRIPE, PROVIDERS["square"]
    with pytest.raises(ConfigurationError, match="--show-secret"):
        ensure_application(here, stripe, may_make=False)
    for provider, secret in (
        (stripe, sandbox.stripe.webhook_secret),
        (square, sandbox.square.subscriptions.first_key),
    ):
        made = ensure_application(here, provider, may_make=True)
        assert made.secret is not None
        assert (made.made, made.secret.get_secret_value()) == (1, secret)
        again = ensure_application(here, provider, may_make=False)
        assert (again.made, again.kept) == (0, 1)
    with pytest.raises(ConfigurationError, match="SQUARE_ACCESS_TOKEN is needed"):
        ensure_application(
            here.model_copy(update={"square_access_token": None}), square, may_make=True
        )
    with pytest.raises(ConfigurationError, match="STRIPE_SECRET_KEY is needed"):
        ensure_application(
            here.model_copy(update={"stripe_secret_key": None}), stripe, may_make=True
        )


@pytest.mark.parametrize(
    "base", ["http://portal.example", "https://localhost", "https://127.0.0.1"]
)
def test_a_provider_that_could_not_reach_us_is_not_told_to(base: str) -> None:
    live = Settings.model_construct(
        app_env=AppEnv.PRODUCTION, public_base_url=base, webhook_base_url=None, stripe_api_base=None
    )
    with pytest.raises(ConfigurationError, match="Stripe cannot reach"):
        base_url(live, STRIPE)
    reached = live.model_copy(update={"webhook_base_url": "https://hooks.venue.example"})
    assert base_url(reached, STRIPE) == "https://hooks.venue.example"


class TestADeliveryToAPathOfItsOwn:
    """The receiver cannot open the vault: whoever claims the event sees whether it is authentic."""

    @pytest.fixture
    def here(self, hall: Hall) -> ConnectedVenue:
        found = hall("stripe")
        ensured(found)
        return found

    def deliver(
        self, here: ConnectedVenue, secret: str | None = None, *, away: int = 0, path: str = ""
    ) -> None:
        """Bring a delivery, signed with the endpoint's secret or ``secret``, ``away`` seconds from
        now; by ``path``, or the endpoint's."""
        (hook,) = standing(here)
        with here.engine.begin() as session:
            (right,) = secrets_of(session, here.vault, here.connection)
        body = (
            b'{"id": "evt_1", "type": "charge.updated", "created": 1772000000,'
            b' "data": {"object": {"object": "charge", "id": "ch_1"}}}'
        )
        header = signature_header(body, [secret or right], at=int(time.time()) + away)
        app = create_app(here.settings)
        answer = app.test_client().post(
            f"/webhooks/stripe/{path or hook.url.rpartition('/')[2]}",
            data=body,
            headers={"Stripe-Signature": header},
        )
        assert answer.status_code == 200

    def claimed(self, here: ConnectedVenue, **options: Any) -> Any:
        with here.engine.begin() as session:
            found = options.get("secrets") or (
                lambda connection: secrets_of(session, here.vault, connection)
            )
            done = claim(session, PROVIDERS, limit=10, secrets_of=found)
            row = session.execute(
                text("SELECT status, last_error, proof FROM control.integration_webhooks")
            ).one()
        return done, row

    def test_is_taken_where_the_endpoint_s_secret_signed_it(self, here: ConnectedVenue) -> None:
        self.deliver(here)
        done, row = self.claimed(here)
        assert (done.claimed, row.status, row.proof) == (1, "claimed", None)

    def test_is_a_dead_letter_where_another_did(self, here: ConnectedVenue) -> None:
        self.deliver(here, "whsec_of_another_endpoint_of_the_same_account")
        done, row = self.claimed(here)
        assert (done.claimed, done.dead, row.status) == (0, 1, "dead")
        assert "sign" in row.last_error

    @pytest.mark.parametrize("away", [-305, -295, 295, 305])
    def test_9_is_good_for_five_minutes_either_way_of_when_it_came(
        self, here: ConnectedVenue, away: int
    ) -> None:
        self.deliver(here, away=away)
        # However long after it is looked at.
        done, row = self.claimed(here)
        if abs(away) < 300:
            assert (done.claimed, row.status) == (1, "claimed")
        else:
            assert (done.dead, row.status) == (1, "dead")
            assert "s away from ours" in row.last_error

    def test_that_came_by_a_path_made_anew_since_is_held_against_the_secret_it_had(
        self, here: ConnectedVenue, sandbox: Sandbox
    ) -> None:
        with here.engine.begin() as session:
            (before,) = secrets_of(session, here.vault, here.connection)
        self.deliver(here)
        sandbox.stripe.endpoints.all.clear()
        assert counts(ensured(here)) == (1, 0, 0, 0)
        with here.engine.begin() as session:
            after = secrets_of(session, here.vault, here.connection)
        assert len(after) == 2
        assert before in after
        done, row = self.claimed(here)
        assert (done.claimed, row.status) == (1, "claimed")
        # No event waits for the former one any more.
        assert counts(ensured(here)) == (0, 1, 0, 0)
        with here.engine.begin() as session:
            assert before not in secrets_of(session, here.vault, here.connection)

    def test_waits_while_the_vault_is_closed(self, here: ConnectedVenue) -> None:
        self.deliver(here)

        def closed(connection: Any) -> list[str]:
            raise VaultError("KMS does not answer")

        done, row = self.claimed(here, secrets=closed)
        assert (done.claimed, done.dead, row.status) == (0, 0, "pending")
        assert row.proof is not None
        with here.engine.begin() as session:
            session.execute(text("UPDATE control.integration_webhooks SET next_attempt_at = now()"))
        done, row = self.claimed(here)
        assert (done.claimed, row.status) == (1, "claimed")


class Answering:
    """A listener that says 200 to whoever asks, as the receiver does to Mailchimp."""

    def __init__(self, hall: ConnectedVenue) -> None:
        self._server = make_server("127.0.0.1", 0, create_app(hall.settings), threaded=True)
        self.base = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Answering":
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        assert requests.get(f"{self.base}/health", timeout=5).status_code == 200
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
