"""For administrators: all venues at a glance, each provider's switch for all or for one, and
whether webhooks are set up."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from sqlalchemy import Connection as Session
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from integration_pipelines.core.database import venue_scope
from integration_pipelines.core.events.letters import NO_VENUE, Asked, count
from integration_pipelines.core.provider import Provider
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.tables import integration_configs, integrations, webhook_endpoints
from oauth_portal.cards import cards
from oauth_portal.people import Person, administrators_only, note, person_here
from oauth_portal.portal import asked_provider, portal

blueprint = Blueprint("administration", __name__, url_prefix="/admin")

VENUES_A_PAGE = 25
SWITCHES: dict[str, dict[str, Any]] = {
    "enable": {"enabled": True, "paused_at": None, "pause_reason": None},
    "disable": {"enabled": False},
    "pause": {"enabled": True, "paused_at": func.now()},
    "resume": {"enabled": True, "paused_at": None, "pause_reason": None},
}


@blueprint.get("")
@administrators_only
def overview() -> Any:
    """Every venue with how each provider stands there, a page at a time."""
    who = person_here()
    asked = request.args.get("page", "1")
    page = max(int(asked), 1) if asked.isdecimal() and len(asked) < 6 else 1
    venue_ids = list(who.venues)[(page - 1) * VENUES_A_PAGE : page * VENUES_A_PAGE]
    rows, endpoints = [], []
    for venue_id in venue_ids:
        with portal().scoped(venue_id) as session:
            rows.append((venue_id, cards(portal(), session, venue_id)))
            endpoints += [(venue_id, each) for each in _endpoints(session)]
    with portal().scoped(NO_VENUE) as session:
        strays = count(session, Asked(status="dead")).get("dead", 0)
    with portal().engine.begin() as session:
        catalog = {row.provider: row for row in session.execute(select(integrations))}
    return render_template(
        "admin.html",
        rows=rows,
        page=page,
        more=len(who.venues) > page * VENUES_A_PAGE,
        providers=portal().providers,
        catalog=catalog,
        setups=[
            setup
            for provider in portal().providers.values()
            if (setup := webhook_setup(provider, portal().settings)) is not None
        ],
        endpoints=endpoints,
        strays=strays,
    )


class WebhookSetup(NamedTuple):
    """What an administrator has to know of a provider's webhooks. ``words``: how they come here;
    ``setting``: the variable that holds what the application's endpoint signs with, None where
    nothing is signed; ``is_set``: whether that is set here."""

    provider: Provider
    words: str
    setting: str | None
    is_set: bool


def webhook_setup(provider: Provider, settings: Settings) -> WebhookSetup | None:
    """How the provider's webhooks are set up; None where it has none."""
    webhooks = provider.webhooks
    if webhooks is None:
        return None
    base = settings.webhook_base_url or settings.public_base_url
    url = f"{base}/webhooks/{provider.name}"
    words = []
    if webhooks.by_hand:
        words.append(webhooks.by_hand.format(url=url))
    if webhooks.of_application:
        words.append(f"integrations webhooks register {provider.name} has them sent to {url}.")
    if webhooks.of_connection:
        words.append("Endpoints of single accounts are made by themselves.")
    is_set = bool(webhooks.secrets(settings))
    return WebhookSetup(provider, " ".join(words), webhooks.setting or None, is_set)


def _endpoints(session: Session) -> Sequence[Any]:
    """Of the venue in scope, by provider: how many endpoints of its own it has, when the one that
    was not looked at for longest was, and what was wrong with one of them."""
    kept = webhook_endpoints.c
    return session.execute(
        select(
            kept.provider,
            func.count().label("endpoints"),
            func.count(kept.checked_at).label("checked"),
            func.min(kept.checked_at).label("checked_at"),
            func.max(kept.error).label("error"),
        )
        .group_by(kept.provider)
        .order_by(kept.provider)
    ).all()


@blueprint.post("/<provider_name>")
@administrators_only
def switch(provider_name: str) -> Any:
    """Enable, disable, pause or resume a provider, for all venues or for the one that is named."""
    provider = asked_provider(provider_name)
    action = request.form.get("action", "")
    venue_id = request.form.get("venue_id", "")
    if action not in SWITCHES or (venue_id and venue_id not in person_here().venues):
        abort(400, "Choose a venue that exists, and one of enable, disable, pause and resume.")
    switch_provider(
        provider,
        action,
        venue_id=venue_id or None,
        reason=request.form.get("reason"),
        who=person_here(),
    )
    flash(f"{provider.title}: {action} for {venue_id or 'all venues'}.")
    return redirect(url_for("administration.overview"), 303)


def switch_provider(
    provider: Provider, action: str, *, venue_id: str | None, reason: str | None, who: Person
) -> None:
    """Do one of SWITCHES, at one venue or everywhere; each venue it touches can see who did."""
    values = dict(SWITCHES[action])
    if action == "pause":
        values["pause_reason"] = (reason or "").replace("\0", "").strip()[:200] or None
    if venue_id is None:
        with portal().engine.begin() as session:
            session.execute(
                update(integrations)
                .where(integrations.c.provider == provider.name)
                .values(**values)
            )
            for each in who.venues:
                venue_scope(session, each)
                note(session, each, who.email, f"switched to {action} for all", provider.name)
        return
    with portal().scoped(venue_id) as session:
        add = insert(integration_configs).values(
            venue_id=venue_id, provider=provider.name, **values
        )
        session.execute(
            add.on_conflict_do_update(index_elements=["venue_id", "provider"], set_=values)
        )
        note(session, venue_id, who.email, f"switched to {action}", provider.name)
