"""The pages of a venue, and the ways of its accounts in and out."""

from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from sqlalchemy import func, select

from integration_pipelines.core.credentials import Connection, Keeper, open_connections
from integration_pipelines.core.errors import AccessRevoked, IntegrationError
from integration_pipelines.core.ingest import identify
from integration_pipelines.core.provider import Provider
from integration_pipelines.core.tables import audit_log, sync_logs
from oauth_portal import connecting
from oauth_portal.cards import card, cards, cause
from oauth_portal.connecting import NotConnected, Question
from oauth_portal.people import Person, at_venue, browser, current_person, signed_in
from oauth_portal.portal import portal

blueprint = Blueprint("pages", __name__)

SYNCS_A_PAGE = 30


@blueprint.get("/")
@signed_in
def home() -> Any:
    """A person's venues; the only one at once."""
    who = _who()
    if len(who.venues) == 1:
        return redirect(url_for("pages.venue", venue_id=next(iter(who.venues))), 303)
    return render_template("venues.html")


@blueprint.get("/venues/<venue_id>")
@at_venue("viewer")
def venue(venue_id: str) -> Any:
    """One card a provider."""
    with portal().scoped(venue_id) as session:
        shown = cards(portal(), session, venue_id)
    return render_template("venue.html", **_of(venue_id), cards=shown)


@blueprint.get("/venues/<venue_id>/<provider_name>/card")
@at_venue("viewer")
def venue_card(venue_id: str, provider_name: str) -> Any:
    """One card, as it stands now."""
    provider = _provider(provider_name)
    with portal().scoped(venue_id) as session:
        shown = card(portal(), session, venue_id, provider.name)
    return render_template("_card.html", **_of(venue_id), card=shown)


@blueprint.get("/venues/<venue_id>/<provider_name>/connect")
@at_venue("venue_admin")
def connect(venue_id: str, provider_name: str) -> Any:
    """What will be read, in plain words, before anything is allowed."""
    return _connect_page(venue_id, _provider(provider_name))


@blueprint.post("/venues/<venue_id>/<provider_name>/connect")
@at_venue("venue_admin")
def begin(venue_id: str, provider_name: str) -> Any:
    """To the provider's own screen."""
    provider = _provider(provider_name)
    if provider.oauth is None or not provider.oauth.is_configured(portal().settings):
        abort(404)
    url = connecting.begin(portal(), provider, venue_id=venue_id, session_hash=browser().hash)
    return redirect(url, 303)


@blueprint.post("/venues/<venue_id>/<provider_name>/key")
@at_venue("venue_admin")
def give_key(venue_id: str, provider_name: str) -> Any:
    """A key typed by hand."""
    provider = _provider(provider_name)
    if provider.access.key is None:
        abort(404)
    try:
        return _connect(venue_id, provider, connecting.typed(provider, request.form.get("key", "")))
    except NotConnected as error:
        return _connect_page(venue_id, provider, why=str(error)), 400


@blueprint.get("/oauth/<provider_name>/callback")
@signed_in
def callback(provider_name: str) -> Any:
    """Back from the provider's screen."""
    provider = _provider(provider_name)
    try:
        venue_id, redirect_uri = connecting.redeem(
            portal(),
            provider,
            state=request.args.get("state", ""),
            session_hash=browser().hash,
        )
    except NotConnected as error:
        return render_template("error.html", status=400, error=_told(error)), 400
    if not _who().may(venue_id, "venue_admin"):
        abort(404)
    try:
        credentials = connecting.exchange(
            portal(),
            provider,
            venue_id=venue_id,
            redirect_uri=redirect_uri,
            fields=request.args.to_dict(),
        )
        return _connect(venue_id, provider, credentials)
    except NotConnected as error:
        return _connect_page(venue_id, provider, why=str(error)), 400


@blueprint.post("/venues/<venue_id>/switch")
@at_venue("venue_admin")
def switch(venue_id: str) -> Any:
    """Yes, the other account in this one's place."""
    try:
        connection = connecting.answer(
            portal(),
            venue_id=venue_id,
            pending_id=request.form.get("pending_id", ""),
            actor=_who().email,
            session_hash=browser().hash,
        )
    except NotConnected as error:
        return render_template("error.html", status=400, error=_told(error)), 400
    return _connected(venue_id, portal().providers[connection.provider], connection)


@blueprint.get("/venues/<venue_id>/<provider_name>/disconnect")
@at_venue("venue_admin")
def disconnect(venue_id: str, provider_name: str) -> Any:
    """What disconnecting means, before it is done."""
    provider = _provider(provider_name)
    held = _held(venue_id, provider)
    return render_template("disconnect.html", **_of(venue_id), provider=provider, held=held)


@blueprint.post("/venues/<venue_id>/<provider_name>/disconnect")
@at_venue("venue_admin")
def do_disconnect(venue_id: str, provider_name: str) -> Any:
    """End it."""
    provider = _provider(provider_name)
    left = connecting.disconnect(portal(), _held(venue_id, provider), actor=_who().email)
    flash(f"{provider.title} is disconnected. Its data stays.")
    if left:
        flash(f"One thing is left for you: {left}.")
    return redirect(url_for("pages.venue", venue_id=venue_id), 303)


@blueprint.post("/venues/<venue_id>/<provider_name>/sync")
@at_venue("venue_admin")
def sync(venue_id: str, provider_name: str) -> Any:
    """As soon as possible."""
    provider = _provider(provider_name)
    if not _held(venue_id, provider).is_due:
        flash(f"{provider.title} cannot be synced as it stands.")
    else:
        connecting.ask_for_sync(
            portal(), venue_id=venue_id, provider=provider.name, actor=_who().email
        )
    return redirect(url_for("pages.venue", venue_id=venue_id), 303)


@blueprint.post("/venues/<venue_id>/<provider_name>/test")
@at_venue("venue_admin")
def test(venue_id: str, provider_name: str) -> Any:
    """Whether the provider still lets us in, asked now."""
    provider = _provider(provider_name)
    held = _held(venue_id, provider)
    keeper = Keeper(portal().settings, portal().engine, portal().vault, provider, held)
    try:
        account = identify(keeper, retry=connecting.PATIENCE)
    except AccessRevoked:
        flash(f"{provider.title} does not let us in any more. Reconnect to go on.")
    except IntegrationError as error:
        flash(cause(error.kind, provider.title))
    else:
        flash(f"{provider.title} answers: this is the account {account.name}.")
    return redirect(url_for("pages.venue", venue_id=venue_id), 303)


@blueprint.get("/venues/<venue_id>/history")
@at_venue("viewer")
def history(venue_id: str) -> Any:
    """What was synced, what failed, and who did what."""
    asked = request.args.get("provider")
    chosen = asked if asked in portal().providers else None
    with portal().scoped(venue_id) as session:
        of = [sync_logs.c.provider == chosen] if chosen else []
        syncs = session.execute(
            select(
                sync_logs.c.sync_id,
                sync_logs.c.provider,
                func.min(sync_logs.c.started_at).label("started_at"),
                func.max(sync_logs.c.finished_at).label("finished_at"),
                func.sum(sync_logs.c.inserted).label("inserted"),
                func.sum(sync_logs.c.updated).label("updated"),
                func.sum(sync_logs.c.deleted).label("deleted"),
                func.bool_or(sync_logs.c.outcome == "running").label("running"),
                func.count().filter(sync_logs.c.outcome == "failed").label("failed"),
                func.count().label("streams"),
                func.max(sync_logs.c.error_kind).label("error_kind"),
            )
            .where(*of)
            .group_by(sync_logs.c.sync_id, sync_logs.c.provider)
            .order_by(func.min(sync_logs.c.started_at).desc())
            .limit(SYNCS_A_PAGE)
        ).all()
        deeds = session.execute(
            select(audit_log).order_by(audit_log.c.entry_id.desc()).limit(SYNCS_A_PAGE)
        ).all()
    return render_template(
        "history.html", **_of(venue_id), syncs=syncs, deeds=deeds, chosen=chosen, cause=cause
    )


def _connect(venue_id: str, provider: Provider, credentials: Any) -> Any:
    """Store what opens the account, or ask what is to be asked first. Raises NotConnected."""
    outcome = connecting.connect(
        portal(),
        provider,
        credentials,
        venue_id=venue_id,
        actor=_who().email,
        session_hash=browser().hash,
    )
    if isinstance(outcome, Question):
        return render_template(
            "question.html", **_of(venue_id), provider=provider, question=outcome
        )
    return _connected(venue_id, provider, outcome)


def _connected(venue_id: str, provider: Provider, connection: Connection) -> Any:
    flash(f"{provider.title} is connected: {connection.account_name}. The first sync begins now.")
    return redirect(url_for("pages.venue", venue_id=venue_id), 303)


def _connect_page(venue_id: str, provider: Provider, *, why: str | None = None) -> str:
    oauth = provider.oauth
    return render_template(
        "connect.html",
        **_of(venue_id),
        provider=provider,
        by_consent=oauth is not None and oauth.is_configured(portal().settings),
        why=why,
    )


def _who() -> Person:
    who = current_person()
    assert who is not None
    return who


def _of(venue_id: str) -> dict[str, Any]:
    """What every page of a venue is told."""
    who = _who()
    return {
        "venue_id": venue_id,
        "venue_name": who.venues[venue_id],
        "manages": who.may(venue_id, "venue_admin"),
        "providers": portal().providers,
    }


def _provider(name: str) -> Provider:
    if name not in portal().providers:
        abort(404)
    return portal().providers[name]


def _held(venue_id: str, provider: Provider) -> Connection:
    with portal().scoped(venue_id) as session:
        found = open_connections(session, venue_ids=[venue_id], providers=[provider.name])
    if not found:
        abort(404)
    return found[0]


def _told(error: NotConnected) -> dict[str, Any]:
    return {"code": 400, "name": "Nothing was connected", "description": str(error)}
