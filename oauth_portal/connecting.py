"""Connecting an account: the consent that a venue begins and the redirect that ends it, or a key
typed by hand. Whose account it is, is asked of the provider before anything is stored."""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from pydantic import BaseModel, SecretStr, ValidationError
from sqlalchemy import Connection as Session
from sqlalchemy import delete, func, insert, select, update

from integration_pipelines.core.credentials import (
    PENDING,
    Connection,
    Keeper,
    save_connection,
)
from integration_pipelines.core.errors import (
    AccessRevoked,
    ConfigurationError,
    ConfirmationNeeded,
    IntegrationError,
    Refused,
    VaultError,
)
from integration_pipelines.core.events.endpoints import leave
from integration_pipelines.core.ingest import (
    Share,
    claim,
    identify,
    shares,
    unconnected_client,
)
from integration_pipelines.core.ingest import divide as share_out
from integration_pipelines.core.ingest.batch import request_sync
from integration_pipelines.core.oauth import Consent
from integration_pipelines.core.provider import Account, Provider
from integration_pipelines.core.tables import oauth_states, pending_connections, sync_queue
from integration_pipelines.core.transport import RetryPolicy, open_transport
from oauth_portal.cards import cause
from oauth_portal.history import streams
from oauth_portal.people import Person, note
from oauth_portal.portal import Portal
from oauth_portal.sessions import hashed

log = structlog.get_logger(__name__)

GOOD_FOR = timedelta(minutes=10)
BY_HAND = 10
"""The priority of a sync that somebody waits for."""
PATIENCE = RetryPolicy(attempts=3, total=20, longest_wait=5)
"""Somebody is waiting for the page."""


class NotConnected(Exception):
    """Nothing was connected; the message says why, to whoever manages the venue."""


@dataclass(frozen=True, slots=True)
class Question:
    """What has to be decided before the account is connected, under ``pending_id``; ``why`` in a
    sentence. With ``held``, another account is open at the venue: which is it to be? Else several
    venues share the account, ``shares``: which locations are whose?"""

    pending_id: str
    why: str
    offered: Account
    held: Connection | None = None
    shares: Sequence[Share] = ()

    @property
    def owners(self) -> dict[str, str]:
        """The venue that has each location now, where one has."""
        return {
            id: share.venue_id
            for share in self.shares
            for id in (self.offered.locations if share.location_ids is None else share.location_ids)
        }

    @property
    def primary(self) -> str | None:
        """The venue that has what belongs to no location."""
        return next((share.venue_id for share in self.shares if share.is_primary), None)


@dataclass(frozen=True, slots=True)
class Tried:
    """Whether the provider let us in; ``message`` for whoever manages the venue."""

    ok: bool
    account_name: str | None
    message: str


@dataclass(frozen=True, slots=True)
class _Offer:
    """An account that lets us in, and what opens it."""

    provider: Provider
    account: Account
    credentials: BaseModel


def begin(portal: Portal, provider: Provider, *, venue_id: str, session_hash: bytes) -> str:
    """Where the browser goes to consent. What comes back is good for ten minutes, once, in this
    browser, for this venue and provider. Raises ConfigurationError."""
    oauth = provider.oauth
    if oauth is None:
        raise ConfigurationError(f"{provider.title} has no consent: give a key")
    application = oauth.application(portal.settings)
    state = secrets.token_urlsafe(32)
    redirect_uri = f"{portal.settings.public_base_url}/oauth/{provider.name}/callback"
    with portal.scoped(venue_id) as session:
        session.execute(delete(oauth_states).where(oauth_states.c.expires_at < func.now()))
        session.execute(
            insert(oauth_states).values(
                venue_id=venue_id,
                state_hash=hashed(state),
                provider=provider.name,
                session_hash=session_hash,
                redirect_uri=redirect_uri,
                expires_at=func.now() + GOOD_FOR,
            )
        )
    return oauth.authorize_url(portal.settings, application, state, redirect_uri)


def redeem(
    portal: Portal, provider: Provider, *, state: str, session_hash: bytes
) -> tuple[str, str]:
    """The venue that began with ``state``, and the redirect URI it began with; once. Raises
    NotConnected where it is unknown, used, too old, of another browser or another provider."""
    asked = hashed(state)
    with portal.engine.begin() as session:
        venue_id = session.scalar(select(func.control.venue_of_oauth_state(asked)))
    if venue_id is not None:
        with portal.scoped(venue_id) as session:
            redirect_uri = session.scalar(
                update(oauth_states)
                .where(
                    oauth_states.c.state_hash == asked,
                    oauth_states.c.provider == provider.name,
                    oauth_states.c.session_hash == session_hash,
                    oauth_states.c.used_at.is_(None),
                    oauth_states.c.expires_at > func.now(),
                )
                .values(used_at=func.now())
                .returning(oauth_states.c.redirect_uri)
            )
        if redirect_uri is not None:
            return venue_id, redirect_uri
    raise NotConnected(
        f"This way back from {provider.title} was used already, took longer than ten minutes, or "
        "began in another browser. Nothing was connected: begin again."
    )


def exchange(
    portal: Portal,
    provider: Provider,
    *,
    venue_id: str,
    redirect_uri: str,
    fields: Mapping[str, str],
) -> BaseModel:
    """Credentials for what the provider's screen sent back. Raises NotConnected."""
    oauth = provider.oauth
    assert oauth is not None
    if "error" in fields or not fields.get("code"):
        raise NotConnected(f"You did not allow it at {provider.title}. Nothing was connected.")
    make_transport = partial(
        open_transport,
        portal.engine,
        venue_id=venue_id,
        provider=provider.name,
        account_id=None,
    )
    consent = Consent(SecretStr(fields["code"]), redirect_uri, fields)
    application = oauth.application(portal.settings)
    try:
        return oauth.exchange(portal.settings, application, consent, make_transport)
    except (AccessRevoked, Refused) as error:
        raise NotConnected(
            f"{provider.title} did not confirm what you allowed. Nothing was connected: begin "
            "again."
        ) from error
    except ConfigurationError as error:
        raise NotConnected(f"Nothing was connected: {error}.") from error
    except IntegrationError as error:
        raise _not_answered(provider) from error


def typed(provider: Provider, key: str) -> BaseModel:
    """Credentials of a key typed by hand. Raises NotConnected, which never quotes it."""
    assert provider.access.key is not None
    try:
        return provider.credentials.model_validate({provider.access.key: key.strip()})
    except ValidationError as error:
        raise NotConnected(
            f"That is not a key of {provider.title}. It looks like {provider.access.key_looks}"
        ) from error


def connect(
    portal: Portal,
    provider: Provider,
    credentials: BaseModel,
    *,
    venue_id: str,
    who: Person,
    session_hash: bytes,
) -> Connection | Question:
    """Ask whose account it is, store what opens it, and ask for its first sync; or the question
    that has to be answered first. Raises NotConnected."""
    try:
        account = unconnected_client(
            portal.settings, portal.engine, provider, credentials, venue_id, retry=PATIENCE
        ).identify()
    except AccessRevoked as error:
        # Its words may quote a part of what was given.
        raise NotConnected(
            f"{provider.title} does not let us in with this. Nothing was connected: check that it "
            "is whole, and of the right account."
        ) from error
    except Refused as error:
        raise NotConnected(
            f"{provider.title} lets us in, but not to what has to be read: a permission is "
            "missing. Nothing was connected."
        ) from error
    except ConfigurationError as error:
        raise NotConnected(f"Nothing was connected: {error}.") from error
    except IntegrationError as error:
        raise _not_answered(provider) from error
    offer = _Offer(provider, account, credentials)
    held = portal.held(venue_id, provider)
    others = _others(portal, offer, venue_id)
    if others and (held is None or held.account_id != account.account_id):
        _refuse_what_is_anothers(offer, others, held, who)
        why = f"{account.name} is connected to another venue: which locations are whose?"
        question = Question(_keep(portal, offer, venue_id, session_hash), why, account)
        return replace(question, shares=others)
    if held is not None and held.account_id != account.account_id:
        why = f"{held.account_name} is connected here, and this is {account.name}."
        question = Question(_keep(portal, offer, venue_id, session_hash), why, account)
        return replace(question, held=held)
    return _store(portal, offer, venue_id=venue_id, who=who)


def switch(
    portal: Portal, *, venue_id: str, pending_id: str, who: Person, session_hash: bytes
) -> Connection:
    """Take the offered account in the held one's place. The old account's rows stay apart, under
    its own id. Raises NotConnected where the question is too old, another browser's or another
    question, or where what opens the account cannot be kept: then the old one stays."""
    offer = _take(portal, venue_id, pending_id, session_hash)
    held = portal.held(venue_id, offer.provider)
    is_other = held is None or held.account_id != offer.account.account_id
    if is_other and _others(portal, offer, venue_id):
        raise _taken(offer.account)
    if held is not None:
        try:
            portal.vault.check(venue_id=venue_id, provider=offer.provider.name)
        except VaultError as error:
            raise _not_sealed(error) from error
        disconnect(portal, held, actor=who.email)
    return _store(portal, offer, venue_id=venue_id, who=who)


def divide(
    portal: Portal,
    *,
    venue_id: str,
    pending_id: str,
    who: Person,
    session_hash: bytes,
    owners: Mapping[str, str],
    primary: str,
) -> Connection:
    """Connect the offered account to this venue too; ``owners`` names the venue of each location,
    ``primary`` that of everything else. What belongs to a venue that ``who`` does not manage stays
    as it is, whatever they say. Raises NotConnected."""
    offer = _take(portal, venue_id, pending_id, session_hash)
    account = offer.account
    others = _others(portal, offer, venue_id)
    _refuse_what_is_anothers(offer, others, portal.held(venue_id, offer.provider), who)
    theirs = [share for share in others if not who.may(share.venue_id, "venue_admin")]
    fixed = {id: share.venue_id for share in theirs for id in share.location_ids or ()}
    ours = {venue_id, *(share.venue_id for share in others)} - {each.venue_id for each in theirs}
    chosen = {id: venue for id, venue in owners.items() if venue in ours and id not in fixed}
    main = next((share.venue_id for share in theirs if share.is_primary), primary)
    connection = _store(
        portal,
        offer,
        venue_id=venue_id,
        who=who,
        settle=lambda session: share_out(
            session, offer.provider, account, {**chosen, **fixed}, primary=main
        ),
    )
    for share in others:
        if share not in theirs:
            with portal.scoped(share.venue_id) as session:
                note(
                    session, share.venue_id, who.email, "shared its locations with another venue",
                    offer.provider.name, account_name=account.name,
                )  # fmt: skip
            ask_for_sync(
                portal, venue_id=share.venue_id, provider=offer.provider.name, actor=who.email
            )
    return connection


def disconnect(portal: Portal, connection: Connection, *, actor: str) -> str | None:
    """End our access at the provider and destroy what is held here; what is left for its owner to
    do, in words."""
    provider = portal.providers[connection.provider]
    left = leave(Keeper(portal.settings, portal.engine, portal.vault, provider, connection))
    with portal.scoped(connection.venue_id) as session:
        note(
            session, connection.venue_id, actor, "disconnected", provider.name,
            account_id=connection.account_id,
        )  # fmt: skip
    return left


def tried(portal: Portal, held: Connection) -> Tried:
    """Ask the provider now whose account it is."""
    provider = portal.providers[held.provider]
    keeper = Keeper(portal.settings, portal.engine, portal.vault, provider, held)
    try:
        account = identify(keeper, retry=PATIENCE)
    except AccessRevoked:
        message = f"{provider.title} does not let us in any more. Reconnect to go on."
    except IntegrationError as error:
        message = cause(error.kind, provider.title)
    else:
        message = f"{provider.title} answers: this is the account {account.name}."
        return Tried(True, account.name, message)
    return Tried(False, None, message)


def ask_for_sync(portal: Portal, *, venue_id: str, provider: str, actor: str) -> bool:
    """Put a sync in the queue, unless one waits there already."""
    with portal.scoped(venue_id) as session:
        waiting = session.scalar(
            select(func.count()).where(
                sync_queue.c.provider == provider,
                sync_queue.c.claimed_at.is_(None),
                sync_queue.c.done_at.is_(None),
            )
        )
        if waiting:
            return False
        session.execute(
            insert(sync_queue).values(
                venue_id=venue_id, provider=provider, priority=BY_HAND, requested_by=actor
            )
        )
        note(session, venue_id, actor, "asked for a sync", provider)
        return True


def confirm_deletions(portal: Portal, held: Connection, *, actor: str) -> bool:
    """Somebody says that what vanished from the streams that ask for it is gone: they are read
    whole again, and may lose more than a full pass deletes by itself. False where none asks."""
    with portal.scoped(held.venue_id) as session:
        asking = [
            each["stream"]
            for each in streams(session, provider=held.provider)
            if each["error_kind"] == ConfirmationNeeded.kind
        ]
        if not asking:
            return False
        request_sync(
            session,
            held,
            requested_by=actor,
            streams=asking,
            full=True,
            allow_deletes=asking,
            priority=BY_HAND,
        )
        note(
            session, held.venue_id, actor, "confirmed that what vanished is gone", held.provider,
            streams=asking,
        )  # fmt: skip
    return True


def _others(portal: Portal, offer: _Offer, venue_id: str) -> list[Share]:
    """What other venues have of the account."""
    with portal.engine.begin() as session:
        found = shares(session, offer.provider.name, offer.account.account_id)
    return [share for share in found if share.venue_id != venue_id]


def _refuse_what_is_anothers(
    offer: _Offer, others: Sequence[Share], held: Connection | None, who: Person
) -> None:
    """An account that another venue has as a whole is not a second venue's too, unless it can be
    divided by somebody who manages both. Raises NotConnected."""
    provider, account = offer.provider, offer.account
    whole = [
        share
        for share in others
        if share.location_ids is None and not who.may(share.venue_id, "venue_admin")
    ]
    if not account.locations:
        cure = "Disconnect it there first."
    elif len(account.locations) <= len(others):
        cure = "It has no location that could be this venue's alone."
    elif held is not None:
        cure = f"Disconnect {held.account_name} here first, then its locations can be divided."
    elif whole:
        cure = "Somebody who manages both venues can divide its locations: ask them to."
    else:
        return
    raise NotConnected(
        f"The {provider.title} account {account.name} is connected to another venue here. "
        f"Nothing was connected. {cure}"
    )


def _store(
    portal: Portal,
    offer: _Offer,
    *,
    venue_id: str,
    who: Person,
    settle: Callable[[Session], None] | None = None,
) -> Connection:
    """Store what opens the account and settle what of it is the venue's, in one transaction."""
    provider, account = offer.provider, offer.account
    try:
        with portal.scoped(venue_id) as session:
            connection = save_connection(
                session,
                portal.vault,
                venue_id=venue_id,
                provider=provider.name,
                account=account,
                credentials=offer.credentials,
                scopes=provider.oauth.scopes if provider.oauth else (),
            )
            note(
                session, venue_id, who.email, "connected", provider.name,
                account_id=account.account_id, account_name=account.name,
            )  # fmt: skip
            if settle is None:
                try:
                    connection = claim(session, provider, connection, account)
                except ConfigurationError as error:
                    # Its words are for who may see all venues.
                    raise _taken(account) from error
            else:
                settle(session)
    except ConfigurationError as error:
        raise NotConnected(f"Nothing was connected: {error}.") from error
    except VaultError as error:
        raise _not_sealed(error) from error
    ask_for_sync(portal, venue_id=venue_id, provider=provider.name, actor=who.email)
    return connection


def _keep(portal: Portal, offer: _Offer, venue_id: str, session_hash: bytes) -> str:
    """Keep the offered account, sealed, until its question is answered: under what name."""
    pending_id = secrets.token_urlsafe(24)
    provider, account = offer.provider, offer.account
    try:
        sealed = portal.vault.seal(
            _as_json(offer.credentials), venue_id=venue_id, provider=provider.name, field=PENDING
        )
    except VaultError as error:
        raise _not_sealed(error) from error
    described: dict[str, Any] = {
        "account_id": account.account_id,
        "name": account.name,
        "currency": account.currency,
        "country": account.country,
        "livemode": account.livemode,
        "details": dict(account.details),
        "locations": dict(account.locations),
    }
    with portal.scoped(venue_id) as session:
        session.execute(
            delete(pending_connections).where(pending_connections.c.expires_at < func.now())
        )
        session.execute(
            insert(pending_connections).values(
                venue_id=venue_id,
                pending_id=pending_id,
                session_hash=session_hash,
                provider=provider.name,
                account=described,
                credentials=sealed.ciphertext,
                key_id=sealed.key_id,
                expires_at=func.now() + GOOD_FOR,
            )
        )
    return pending_id


def _take(portal: Portal, venue_id: str, pending_id: str, session_hash: bytes) -> _Offer:
    """The account kept under that name; once. Raises NotConnected."""
    with portal.scoped(venue_id) as session:
        row = session.execute(
            delete(pending_connections)
            .where(
                pending_connections.c.pending_id == pending_id,
                pending_connections.c.session_hash == session_hash,
            )
            .returning(
                pending_connections, (pending_connections.c.expires_at > func.now()).label("good")
            )
        ).one_or_none()
    if row is None or not row.good:
        raise NotConnected("This question is too old. Nothing was changed: begin again.")
    provider = portal.providers[row.provider]
    try:
        opened = portal.vault.open(
            row.credentials, venue_id=venue_id, provider=provider.name, field=PENDING
        )
    except VaultError as error:
        raise _not_sealed(error) from error
    credentials = provider.credentials.model_validate_json(opened)
    return _Offer(provider, Account(**row.account), credentials)


def _taken(account: Account) -> NotConnected:
    return NotConnected(
        f"{account.name} is connected to another venue here by now. Nothing was changed: begin "
        "again."
    )


def _not_answered(provider: Provider) -> NotConnected:
    return NotConnected(
        f"{provider.title} did not answer properly just now. Nothing was connected: try again in a "
        "minute."
    )


def _not_sealed(error: VaultError) -> NotConnected:
    log.error("the vault does not seal", exc_info=error)
    return NotConnected(
        "What opens an account cannot be locked away safely at the moment, so nothing was "
        "connected. Try again in a few minutes."
    )


def _as_json(credentials: BaseModel) -> bytes:
    """All fields, secrets opened: for the vault alone."""
    fields = credentials.model_dump(mode="json", exclude_none=True)
    opened = {
        name: value.get_secret_value()
        for name, value in credentials
        if isinstance(value, SecretStr)
    }
    return json.dumps(fields | opened).encode()
