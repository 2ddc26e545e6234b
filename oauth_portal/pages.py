"""The pages of a venue, and the ways of its accounts in and out."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for

from integration_pipelines.core.credentials import Connection
from integration_pipelines.core.provider import Provider
from oauth_portal import connecting
from oauth_portal import history as past
from oauth_portal.cards import card, cards, cause
from oauth_portal.connecting import NotConnected, Question
from oauth_portal.people import at_venue, browser, person_here, signed_in, venue_page
from oauth_portal.portal import asked_connection, asked_provider, portal

blueprint = Blueprint("pages", __name__)

SYNCS_A_PAGE = 30
STALE_HOURS = 24
"""What is older is shown as late."""


@blueprint.get("/")
@signed_in
def home() -> Any:
    """A person's venues; the only one at once."""
    who = person_here()
    if len(who.venues) == 1:
        return redirect(url_for("pages.venue", venue_id=next(iter(who.venues))), 303)
    return render_template("venues.html")


@blueprint.get("/venues/<venue_id>")
@at_venue("viewer")
def venue(venue_id: str) -> Any:
    """One card a provider."""
    with portal().scoped(venue_id) as session:
        shown = cards(portal(), session, venue_id)
    return render_template("venue.html", **venue_page(venue_id), cards=shown)


@blueprint.get("/venues/<venue_id>/<provider_name>/card")
@at_venue("viewer")
def venue_card(venue_id: str, provider_name: str) -> Any:
    """One card, as it stands now."""
    provider = asked_provider(provider_name)
    with portal().scoped(venue_id) as session:
        shown = card(portal(), session, venue_id, provider.name)
    return render_template("_card.html", **venue_page(venue_id), card=shown)


@blueprint.get("/venues/<venue_id>/<provider_name>/connect")
@at_venue("venue_admin")
def connect(venue_id: str, provider_name: str) -> Any:
    """What will be read, in plain words, before anything is allowed."""
    return _connect_page(venue_id, asked_provider(provider_name))


@blueprint.post("/venues/<venue_id>/<provider_name>/connect")
@at_venue("venue_admin")
def begin(venue_id: str, provider_name: str) -> Any:
    """To the provider's own screen."""
    provider = asked_provider(provider_name)
    if provider.oauth is None or not provider.oauth.is_configured(portal().settings):
        abort(404)
    url = connecting.begin(portal(), provider, venue_id=venue_id, session_hash=browser().hash)
    return redirect(url, 303)


@blueprint.post("/venues/<venue_id>/<provider_name>/key")
@at_venue("venue_admin")
def give_key(venue_id: str, provider_name: str) -> Any:
    """A key typed by hand."""
    provider = asked_provider(provider_name)
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
    provider = asked_provider(provider_name)
    try:
        venue_id, redirect_uri = connecting.redeem(
            portal(),
            provider,
            state=request.args.get("state", ""),
            session_hash=browser().hash,
        )
    except NotConnected as error:
        return render_template("error.html", status=400, error=_told(error)), 400
    if not person_here().may(venue_id, "venue_admin"):
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
    return _decided(
        venue_id,
        lambda: connecting.switch(
            portal(),
            venue_id=venue_id,
            pending_id=_pending_id(),
            who=person_here(),
            session_hash=browser().hash,
        ),
    )


@blueprint.post("/venues/<venue_id>/divide")
@at_venue("venue_admin")
def divide(venue_id: str) -> Any:
    """These locations are whose."""
    prefix = "location."
    owners = {
        name.removeprefix(prefix): venue
        for name, venue in request.form.items()
        if name.startswith(prefix)
    }
    return _decided(
        venue_id,
        lambda: connecting.divide(
            portal(),
            venue_id=venue_id,
            pending_id=_pending_id(),
            who=person_here(),
            session_hash=browser().hash,
            owners=owners,
            primary=request.form.get("primary", venue_id),
        ),
    )


@blueprint.get("/venues/<venue_id>/<provider_name>/disconnect")
@at_venue("venue_admin")
def disconnect(venue_id: str, provider_name: str) -> Any:
    """What disconnecting means, before it is done."""
    provider = asked_provider(provider_name)
    held = asked_connection(venue_id, provider)
    return render_template("disconnect.html", **venue_page(venue_id), provider=provider, held=held)


@blueprint.post("/venues/<venue_id>/<provider_name>/disconnect")
@at_venue("venue_admin")
def do_disconnect(venue_id: str, provider_name: str) -> Any:
    """End it."""
    provider = asked_provider(provider_name)
    left = connecting.disconnect(
        portal(), asked_connection(venue_id, provider), actor=person_here().email
    )
    flash(f"{provider.title} is disconnected. Its data stays.")
    if left:
        flash(f"One thing is left for you: {left}.")
    return redirect(url_for("pages.venue", venue_id=venue_id), 303)


@blueprint.post("/venues/<venue_id>/<provider_name>/sync")
@at_venue("venue_admin")
def sync(venue_id: str, provider_name: str) -> Any:
    """As soon as possible."""
    provider = asked_provider(provider_name)
    if not asked_connection(venue_id, provider).is_due:
        flash(f"{provider.title} cannot be synced as it stands.")
    else:
        connecting.ask_for_sync(
            portal(), venue_id=venue_id, provider=provider.name, actor=person_here().email
        )
    return redirect(url_for("pages.venue", venue_id=venue_id), 303)


@blueprint.post("/venues/<venue_id>/<provider_name>/deletions")
@at_venue("venue_admin")
def confirm_deletions(venue_id: str, provider_name: str) -> Any:
    """Yes, what vanished there is gone."""
    provider = asked_provider(provider_name)
    held = asked_connection(venue_id, provider)
    if not held.is_due:
        flash(f"{provider.title} cannot be synced as it stands.")
    elif not connecting.confirm_deletions(portal(), held, actor=person_here().email):
        flash(f"Nothing of {provider.title} waits for that any more.")
    return redirect(url_for("pages.venue", venue_id=venue_id), 303)


@blueprint.post("/venues/<venue_id>/<provider_name>/test")
@at_venue("venue_admin")
def test(venue_id: str, provider_name: str) -> Any:
    """Whether the provider still lets us in, asked now."""
    provider = asked_provider(provider_name)
    held = asked_connection(venue_id, provider)
    flash(connecting.tried(portal(), held).message)
    return redirect(url_for("pages.venue", venue_id=venue_id), 303)


@blueprint.get("/venues/<venue_id>/history")
@at_venue("viewer")
def history(venue_id: str) -> Any:
    """What was synced and what failed, a page at a time, and who did what."""
    chosen, before = _chosen(), _time(request.args.get("before"))
    with portal().scoped(venue_id) as session:
        syncs = past.syncs(session, provider=chosen, before=before, limit=SYNCS_A_PAGE)
        deeds = past.deeds(session, limit=SYNCS_A_PAGE)
    return render_template(
        "history.html",
        **venue_page(venue_id),
        syncs=syncs,
        earlier=syncs[-1].started_at.isoformat() if len(syncs) == SYNCS_A_PAGE else None,
        deeds=deeds,
        chosen=chosen,
        cause=cause,
    )


@blueprint.get("/venues/<venue_id>/data")
@at_venue("viewer")
def data(venue_id: str) -> Any:
    """How much there is of each part, how fresh it is, and how much changes a day."""
    chosen = _chosen()
    with portal().scoped(venue_id) as session:
        streams = past.streams(session, provider=chosen)
    return render_template(
        "data.html",
        **venue_page(venue_id),
        streams=streams,
        chosen=chosen,
        cause=cause,
        hours_behind=_hours_behind,
        stale_hours=STALE_HOURS,
    )


def _connect(venue_id: str, provider: Provider, credentials: Any) -> Any:
    """Store what opens the account, or ask what is to be asked first. Raises NotConnected."""
    outcome = connecting.connect(
        portal(),
        provider,
        credentials,
        venue_id=venue_id,
        who=person_here(),
        session_hash=browser().hash,
    )
    if isinstance(outcome, Question):
        who = person_here()
        return render_template(
            "question.html" if outcome.held else "divide.html",
            **venue_page(venue_id),
            provider=provider,
            question=outcome,
            mine={each for each in who.venues if who.may(each, "venue_admin")},
        )
    return _connected(venue_id, provider, outcome)


def _decided(venue_id: str, decide: Callable[[], Connection]) -> Any:
    """The end of a question."""
    try:
        connection = decide()
    except NotConnected as error:
        return render_template("error.html", status=400, error=_told(error)), 400
    return _connected(venue_id, portal().providers[connection.provider], connection)


def _connected(venue_id: str, provider: Provider, connection: Connection) -> Any:
    flash(f"{provider.title} is connected: {connection.account_name}. The first sync begins now.")
    return redirect(url_for("pages.venue", venue_id=venue_id), 303)


def _connect_page(venue_id: str, provider: Provider, *, why: str | None = None) -> str:
    oauth = provider.oauth
    return render_template(
        "connect.html",
        **venue_page(venue_id),
        provider=provider,
        by_consent=oauth is not None and oauth.is_configured(portal().settings),
        why=why,
    )


def _pending_id() -> str:
    return request.form.get("pending_id", "").replace("\0", "")


def _chosen() -> str | None:
    """The provider that the page is asked to show alone."""
    asked = request.args.get("provider")
    return asked if asked in portal().providers else None


def _time(given: str | None) -> datetime | None:
    try:
        at = datetime.fromisoformat(given or "")
    except ValueError:
        return None
    return at if at.tzinfo else None


def _hours_behind(complete_up_to: datetime) -> float:
    return max((datetime.now(UTC) - complete_up_to).total_seconds() / 3_600, 0.0)


def _told(error: NotConnected) -> dict[str, Any]:
    return {"code": 400, "name": "Nothing was connected", "description": str(error)}
