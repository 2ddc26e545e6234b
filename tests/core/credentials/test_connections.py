"""Connections and their sealed credentials, in the real Postgres, as the roles that use them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr
from sqlalchemy import select, text, update

from integration_pipelines.core import database
from integration_pipelines.core.credentials import (
    Vault,
    add_local_key,
    disconnect,
    load_credentials,
    mark_revoked,
    open_connections,
    rewrap_credentials,
    save_connection,
    save_secret,
    vault_status,
)
from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.errors import ConfigurationError, VaultError
from integration_pipelines.core.provider import Account
from integration_pipelines.core.tables import (
    connections,
    integration_configs,
    integrations,
    oauth_tokens,
    venue_api_keys,
)

HALL, BAR = "moonlight-hall", "corner-bar"
ACCOUNT = Account("acct_1", "Moonlight Hall", currency="USD", country="US", details={"a": 1})
KEY = SecretStr("sk_test_canary_424242")


class Credentials(BaseModel):
    """As a provider declares them."""

    model_config = ConfigDict(extra="ignore")

    api_key: SecretStr | None = None
    access_token: SecretStr | None = None
    refresh_token: SecretStr | None = None
    expires_at: datetime | None = None
    dc: str | None = None


@pytest.fixture
def vault(settings):
    return Vault(settings)


@pytest.fixture
def scoped(pipeline_engine, owner_engine, venue):
    """``scoped(venue_id)``: a transaction of the pipeline, bound to that venue."""
    venue(HALL)
    venue(BAR)

    class Scope:
        def __init__(self, venue_id=HALL):
            self.venue_id = venue_id

        def __enter__(self):
            self.block = pipeline_engine.begin()
            session = self.block.__enter__()
            venue_scope(session, self.venue_id)
            return session

        def __exit__(self, *error):
            return self.block.__exit__(*error)

    return Scope


@pytest.fixture
def connected(scoped, vault):
    """``connected(account=..., venue_id=..., **credentials) -> Connection``, committed."""

    def connect(account=ACCOUNT, venue_id=HALL, **credentials):
        with scoped(venue_id) as session:
            return save_connection(
                session,
                vault,
                venue_id=venue_id,
                provider="stripe",
                account=account,
                credentials=Credentials(**(credentials or {"api_key": KEY})),
            )

    return connect


def test_key_is_stored_sealed_and_comes_back(connected, scoped, vault):
    connection = connected(api_key=KEY, dc="us6")
    assert (connection.account_id, connection.status, connection.is_due) == (
        "acct_1",
        "active",
        True,
    )
    with scoped() as session:
        (row,) = session.execute(select(venue_api_keys)).mappings()
        assert b"canary" not in row["ciphertext"]
        assert "canary" not in str(session.execute(select(connections)).mappings().one())
        assert load_credentials(session, vault, connection) == {
            "api_key": KEY.get_secret_value(),
            "dc": "us6",
        }
        (held,) = open_connections(session)
    assert held == connection
    assert "canary" not in repr(held)


def test_tokens_are_stored_with_their_expiry(connected, scoped, vault):
    expires = datetime(2027, 1, 1, tzinfo=UTC)
    connection = connected(
        access_token=SecretStr("access-1"), refresh_token=SecretStr("refresh-1"), expires_at=expires
    )
    with scoped() as session:
        assert load_credentials(session, vault, connection) == {
            "access_token": "access-1",
            "refresh_token": "refresh-1",
            "expires_at": expires,
        }


def test_same_account_again_keeps_its_connection_and_takes_the_new_key(connected, scoped, vault):
    first = connected()
    with scoped() as session:
        assert mark_revoked(session, first, reason="401 Invalid key: reconnect")
    again = connected(
        account=Account("acct_1", "New name"), api_key=SecretStr("sk_test_second_4242")
    )
    assert again.connection_id == first.connection_id
    assert (again.status, again.status_reason, again.account_name) == ("active", None, "New name")
    with scoped() as session:
        assert load_credentials(session, vault, again) == {"api_key": "sk_test_second_4242"}


def test_another_account_is_refused_until_the_first_is_disconnected(connected, scoped):
    first = connected()
    with pytest.raises(ConfigurationError) as caught:
        connected(account=Account("acct_2", "Someone else"))
    for word in ("acct_1", "acct_2", "Moonlight Hall", "Someone else", "disconnect"):
        assert word in str(caught.value)
    with scoped() as session:
        disconnect(session, first)
    assert connected(account=Account("acct_2", "Someone else")).status == "active"
    with scoped() as session:
        assert [held.account_id for held in open_connections(session)] == ["acct_2"]


def test_two_accounts_connected_at_once_leave_one_open(connected):
    def attempt(number):
        try:
            return connected(account=Account(f"acct_{number}", str(number)))
        except ConfigurationError:
            return None

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(attempt, range(4)))
    assert len([outcome for outcome in outcomes if outcome]) == 1


def test_disconnecting_destroys_the_ciphertexts_and_keeps_the_connection(connected, scoped, vault):
    connection = connected(access_token=SecretStr("a1"), refresh_token=SecretStr("r1"))
    with scoped() as session:
        save_secret(session, vault, connection, field="webhook_secret", secret="whsec_1234")
    with scoped() as session:
        disconnect(session, connection)
    with scoped() as session:
        assert session.execute(select(venue_api_keys)).all() == []
        assert session.execute(select(oauth_tokens)).all() == []
        row = session.execute(select(connections)).one()
        assert (row.connection_id, row.status) == (connection.connection_id, "disconnected")
        assert row.disconnected_at
        assert open_connections(session) == []
        with pytest.raises(ConfigurationError, match="connect it again"):
            load_credentials(session, vault, connection)
    assert connected().connection_id == connection.connection_id


def test_stored_refresh_token_is_never_overwritten_with_nothing(connected, scoped, vault):
    connected(access_token=SecretStr("a1"), refresh_token=SecretStr("r1"))
    connection = connected(access_token=SecretStr("a2"))
    with scoped() as session:
        held = load_credentials(session, vault, connection)
    assert (held["access_token"], held["refresh_token"]) == ("a2", "r1")


@pytest.mark.parametrize("given", [{}, {"api_key": SecretStr("")}, {"dc": "us6"}])
def test_nothing_is_refused_and_changes_nothing(connected, scoped, vault, given):
    connection = connected()
    with pytest.raises(ConfigurationError, match="no credential for stripe"):
        connected(**(given or {"expires_at": None}))
    with scoped() as session:
        assert load_credentials(session, vault, connection)["api_key"] == KEY.get_secret_value()


def test_other_kind_of_credential_replaces_the_first_and_leaves_other_secrets(
    connected, scoped, vault
):
    connection = connected()
    with scoped() as session:
        save_secret(session, vault, connection, field="webhook_secret", secret="whsec_1")
        save_secret(session, vault, connection, field="webhook_secret", secret="whsec_2")
    connection = connected(access_token=SecretStr("a1"))
    with scoped() as session:
        assert load_credentials(session, vault, connection) == {
            "access_token": "a1",
            "webhook_secret": "whsec_2",
        }
    connection = connected()
    with scoped() as session:
        assert load_credentials(session, vault, connection) == {
            "api_key": KEY.get_secret_value(),
            "webhook_secret": "whsec_2",
        }


def test_ciphertext_swapped_between_venues_is_refused(connected, scoped, vault, settings):
    connected()
    bar = connected(
        account=Account("acct_9", "Bar"), venue_id=BAR, api_key=SecretStr("sk_test_bar")
    )
    with scoped(HALL) as session:
        stolen = session.scalars(
            select(venue_api_keys.c.ciphertext).where(venue_api_keys.c.venue_id == HALL)
        ).one()
    with scoped(BAR) as session:
        session.execute(
            update(venue_api_keys).where(venue_api_keys.c.venue_id == BAR).values(ciphertext=stolen)
        )
    for reader in (vault, Vault(settings)):
        with scoped(BAR) as session, pytest.raises(VaultError):
            load_credentials(session, reader, bar)


def test_revocation_is_noted_once_and_never_against_a_new_credential(connected, scoped):
    connection = connected()
    with scoped() as session:
        assert mark_revoked(session, connection, reason="401 with Bearer abcdefgh12345678")
        assert not mark_revoked(session, connection, reason="401 again")
    with scoped() as session:
        (held,) = open_connections(session)
        assert held.status == "revoked"
        assert "abcdefgh" not in held.status_reason
        assert open_connections(session, due=True) == []
    renewed = connected()
    with scoped() as session:
        assert not mark_revoked(session, connection, reason="401 of the old key, late")
        (held,) = open_connections(session, due=True)
    assert held == renewed


def test_paused_and_disabled_are_open_and_not_due(connected, scoped, pipeline_engine):
    connected()
    connected(account=Account("acct_9", "Bar"), venue_id=BAR)

    def due():
        with pipeline_engine.connect() as session:
            assert len(open_connections(session)) == 2
            return [held.venue_id for held in open_connections(session, due=True)]

    assert due() == [BAR, HALL]
    for change in ({"enabled": False}, {"paused_at": datetime.now(UTC)}):
        with scoped(BAR) as session:
            session.execute(
                integration_configs.insert().values(venue_id=BAR, provider="stripe", **change)
            )
        assert due() == [HALL]
        with scoped(BAR) as session:
            session.execute(
                integration_configs.delete().where(integration_configs.c.venue_id == BAR)
            )
    assert due() == [BAR, HALL]
    for change in ({"enabled": False}, {"enabled": True, "paused_at": datetime.now(UTC)}):
        with scoped() as session:
            session.execute(update(integrations).values(change))
        assert due() == []


def test_connections_are_asked_for_by_venue_and_provider(connected, pipeline_engine):
    connected()
    connected(account=Account("acct_9", "Bar"), venue_id=BAR)
    with pipeline_engine.connect() as session:
        assert len(open_connections(session, venue_ids=[HALL, BAR])) == 2
        assert [held.venue_id for held in open_connections(session, venue_ids=[HALL])] == [HALL]
        assert open_connections(session, venue_ids=[]) == []
        assert len(open_connections(session, providers=["stripe"])) == 2
        assert open_connections(session, providers=["square"]) == []


def test_portal_connects_and_disconnects(settings, scoped, vault):
    engine = database.create_engine(settings, database.Role.PORTAL)
    for _ in range(2):
        with engine.begin() as session:
            venue_scope(session, HALL)
            connection = save_connection(
                session,
                vault,
                venue_id=HALL,
                provider="stripe",
                account=ACCOUNT,
                credentials=Credentials(api_key=KEY),
            )
            assert [held.venue_id for held in open_connections(session)] == [HALL]
    with engine.begin() as session:
        venue_scope(session, BAR)
        assert open_connections(session) == []
        with pytest.raises(ConfigurationError):
            load_credentials(session, vault, connection)
    with engine.begin() as session:
        venue_scope(session, HALL)
        disconnect(session, connection)
    engine.dispose()


def test_rotation_rewraps_everything_and_resumes(connected, scoped, vault, settings, tmp_path):
    hall = connected(access_token=SecretStr("a1"), refresh_token=SecretStr("r1"))
    bar = connected(account=Account("acct_9", "Bar"), venue_id=BAR)
    old = vault.key_id
    with scoped() as session:
        save_secret(session, vault, hall, field="webhook_secret", secret="whsec_1")
        assert vault_status(session) == {old: 4}
    add_local_key(settings.data_path / "vault.key")
    rotated = Vault(settings)
    with scoped(HALL) as session:
        assert rewrap_credentials(session, rotated, venue_id=HALL) == 3
    with scoped(BAR) as session:
        assert vault_status(session) == {old: 1, rotated.key_id: 3}
        assert rewrap_credentials(session, rotated, venue_id=BAR) == 1
        assert rewrap_credentials(session, rotated, venue_id=BAR) == 0
        assert vault_status(session) == {rotated.key_id: 4}
    for reader in (vault, rotated):
        with scoped(HALL) as session:
            held = load_credentials(session, reader, hall)
        assert (held["access_token"], held["refresh_token"]) == ("a1", "r1")
        with scoped(BAR) as session:
            assert load_credentials(session, reader, bar)["api_key"] == KEY.get_secret_value()


def test_kept_refresh_token_under_an_older_key_is_found_by_rotation(
    connected, scoped, vault, settings
):
    connected(access_token=SecretStr("a1"), refresh_token=SecretStr("r1"))
    add_local_key(settings.data_path / "vault.key")
    rotated = Vault(settings)
    with scoped() as session:
        connection = save_connection(
            session,
            rotated,
            venue_id=HALL,
            provider="stripe",
            account=ACCOUNT,
            credentials=Credentials(access_token=SecretStr("a2")),
        )
    with scoped() as session:
        assert rewrap_credentials(session, rotated, venue_id=HALL) == 2
        assert load_credentials(session, rotated, connection)["refresh_token"] == "r1"
        assert vault_status(session) == {rotated.key_id: 2}


def test_no_scope_no_write(pipeline_engine, scoped, vault):
    with pytest.raises(Exception, match="row-level security"), pipeline_engine.begin() as session:
        save_connection(
            session,
            vault,
            venue_id=HALL,
            provider="stripe",
            account=ACCOUNT,
            credentials=Credentials(api_key=KEY),
        )


def test_statements_that_fail_show_no_secret(connected, scoped, vault):
    """What SQLAlchemy puts into its errors are the parameters, and they are ciphertext."""
    connection = connected()
    with pytest.raises(Exception) as caught, scoped() as session:
        session.execute(text("ALTER TABLE control.venue_api_keys ADD x int"))
        save_secret(session, vault, connection, field="x", secret=KEY.get_secret_value())
    assert "canary" not in str(caught.value)
