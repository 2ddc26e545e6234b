"""The JSON API, /api/v1: what the pages show and do, for programs.

Every operation says in its OpenAPI document who may call it and what it answers; an error is
problem+json with the request's id. A venue that is not the bearer's does not exist.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Response, abort, jsonify, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, ValidationError
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from integration_pipelines.core import mapping
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.events.letters import NO_VENUE, Asked, find, show
from integration_pipelines.core.provider import Provider
from integration_pipelines.core.tables import integrations
from oauth_portal import access, connecting, history, mappings, schemas
from oauth_portal.access import NotDone
from oauth_portal.administration import switch_provider
from oauth_portal.bearers import (
    JWT_GOOD_FOR,
    View,
    called_at_venue,
    called_by_administrators,
    caller,
    exchange,
    require_caller,
)
from oauth_portal.cards import Card, card, cards, cause
from oauth_portal.connecting import NotConnected, Question
from oauth_portal.letters import DEAD, in_words, replay_letters
from oauth_portal.people import Person
from oauth_portal.portal import asked_connection, asked_provider, portal
from oauth_portal.security import problem

TITLES = {
    401: "The bearer opens nothing",
    403: "This role may not",
    404: "There is no such thing, or it is not the bearer's",
    409: "Something stands in the way",
    413: "Too large",
    422: "A field is not as it should be",
    429: "Too many requests",
    500: "Something went wrong on our side",
    503: "The database does not answer",
}


def _problems(*codes: int) -> dict[Any, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        code: {
            "description": TITLES[code],
            "content": {"application/problem+json": {"schema": schema}},
        }
        for code in codes
    }


VENUES, CONNECTIONS, DATA, MAPPINGS, ACCESS, ADMINISTRATION, SERVICE = (
    Tag(name=name)
    for name in (
        "Venues",
        "Connections",
        "Data",
        "Mappings",
        "Access",
        "Administration",
        "Service",
    )
)
BEARER: list[dict[str, list[Any]]] = [{"bearer": []}]
OF_A_BEARER = _problems(401, 422, 429, 500, 503)
OF_A_VENUE = _problems(401, 403, 404, 422, 429, 500, 503)

blueprint = APIBlueprint(
    "api",
    __name__,
    url_prefix="/api/v1",
    operation_id_callback=lambda *, name, **_: name,
)


def _at_venue(
    method: Callable[..., Callable[[View], View]],
    rule: str,
    tag: Tag,
    role: str,
    answer: type[BaseModel] | None,
    *,
    status: int = 200,
    also: Sequence[int] = (),
) -> Callable[[View], View]:
    """An operation at a venue, for who has ``role`` there: it answers ``answer`` with ``status``,
    and beside what any may, the problems ``also``."""
    documented = {status: answer, **OF_A_VENUE, **_problems(*also)}
    route = method(f"/venues/<venue_id>{rule}", tags=[tag], security=BEARER, responses=documented)
    return lambda view: route(called_at_venue(role)(view))


@blueprint.before_request
def _require_caller() -> None:
    if request.endpoint != "api.health":
        require_caller()


def not_valid(error: ValidationError) -> Response:
    """The answer to fields that are not as they should be: their names, never their values."""
    errors = [
        {"field": ".".join(map(str, each["loc"])), "message": each["msg"]}
        for each in error.errors(include_input=False, include_url=False, include_context=False)
    ]
    named = ", ".join(sorted({each["field"] for each in errors if each["field"]})) or "the body"
    return problem(422, TITLES[422], f"Mend {named}.", errors=errors)


@blueprint.get(
    "/health", tags=[SERVICE], responses={200: schemas.Health, **_problems(422, 429, 503)}
)
def health() -> Response:
    """Whether the portal and its database answer. For anybody."""
    try:
        with portal().engine.connect() as session:
            session.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return problem(503, TITLES[503])
    return _json(schemas.Health(status="ok"))


@blueprint.get(
    "/me",
    tags=[SERVICE],
    security=BEARER,
    responses={200: schemas.Me, **OF_A_BEARER},
)
def me() -> Response:
    """Who the bearer is, and the role at each venue."""
    who = _who()
    return _json(schemas.Me(name=who.email, admin=who.is_admin, venues=dict(who.roles)))


@blueprint.post(
    "/token",
    tags=[SERVICE],
    security=BEARER,
    responses={200: schemas.Jwt, **OF_A_BEARER, **_problems(409)},
)
def token() -> Response:
    """A JWT of fifteen minutes in exchange for an API token: to hand to a page or a job."""
    made = exchange(_who(), portal().settings)
    if made is None:
        return problem(409, TITLES[409], "Only an API token is exchanged, where JWT_SECRET is set.")
    return _json(schemas.Jwt(access_token=made, expires_in=int(JWT_GOOD_FOR.total_seconds())))


@blueprint.get(
    "/venues",
    tags=[VENUES],
    security=BEARER,
    responses={200: schemas.Venues, **OF_A_BEARER},
)
def venues(query: schemas.VenuesQuery) -> Response:
    """The bearer's venues, by slug."""
    who = _who()
    after = sorted(each for each in who.venues if query.after is None or each > query.after)
    shown = after[: query.limit]
    items = [
        schemas.Venue(venue_id=each, name=who.venues[each], role=who.roles[each]) for each in shown
    ]
    return _json(schemas.Venues(items=items, next=shown[-1] if len(after) > len(shown) else None))


@_at_venue(blueprint.get, "/connections", CONNECTIONS, "viewer", schemas.Connections)
def connections(path: schemas.VenuePath) -> Response:
    """How each provider stands at the venue."""
    with portal().scoped(path.venue_id) as session:
        shown = cards(portal(), session, path.venue_id)
    items = [_connection(path.venue_id, each) for each in shown]
    return _json(schemas.Connections(items=items))


@_at_venue(blueprint.get, "/connections/<provider>", CONNECTIONS, "viewer", schemas.Connection)
def connection(path: schemas.ProviderPath) -> Response:
    """How one provider stands at the venue."""
    return _json(_stands(path.venue_id, asked_provider(path.provider)))


@_at_venue(
    blueprint.put,
    "/connections/<provider>",
    CONNECTIONS,
    "venue_admin",
    schemas.Connection,
    also=[409, 413],
)
def connect(path: schemas.ProviderPath, body: schemas.Key) -> Response:
    """Connect an account by its API key, or give it a new key. For venue_admin.

    Accounts that are opened by consent are connected in the portal, at `portal_url`.
    """
    provider = asked_provider(path.provider)
    if provider.access.key is None:
        return problem(409, TITLES[409], f"{provider.title} is opened by consent: at portal_url.")
    try:
        done = connecting.connect(
            portal(),
            provider,
            connecting.typed(provider, body.key.get_secret_value()),
            venue_id=path.venue_id,
            who=_who(),
            session_hash=b"",
        )
    except NotConnected as error:
        return problem(409, TITLES[409], str(error))
    if isinstance(done, Question):
        return problem(409, TITLES[409], f"{done.why} Decide it in the portal.")
    return _json(_stands(path.venue_id, provider))


@_at_venue(blueprint.delete, "/connections/<provider>", CONNECTIONS, "venue_admin", schemas.Ended)
def disconnect(path: schemas.ProviderPath) -> Response:
    """End our access; the data stays. For venue_admin."""
    held = asked_connection(path.venue_id, asked_provider(path.provider))
    left = connecting.disconnect(portal(), held, actor=_who().email)
    return _json(schemas.Ended(left_to_do=left))


@_at_venue(
    blueprint.post, "/connections/<provider>/test", CONNECTIONS, "venue_admin", schemas.Answer
)
def test(path: schemas.ProviderPath) -> Response:
    """Ask the provider whose account it is. For venue_admin."""
    answer = connecting.tried(
        portal(), asked_connection(path.venue_id, asked_provider(path.provider))
    )
    return _json(
        schemas.Answer(ok=answer.ok, account_name=answer.account_name, message=answer.message)
    )


@_at_venue(
    blueprint.post,
    "/connections/<provider>/syncs",
    CONNECTIONS,
    "venue_admin",
    schemas.Requested,
    status=202,
    also=[409],
)
def request_sync(path: schemas.ProviderPath) -> Any:
    """Sync as soon as possible. For venue_admin."""
    provider = asked_provider(path.provider)
    if not asked_connection(path.venue_id, provider).is_due:
        stands = _stands(path.venue_id, provider)
        return problem(409, TITLES[409], stands.headline)
    added = connecting.ask_for_sync(
        portal(), venue_id=path.venue_id, provider=provider.name, actor=_who().email
    )
    return _json(schemas.Requested(waiting=not added), 202)


@_at_venue(
    blueprint.post,
    "/connections/<provider>/deletions",
    CONNECTIONS,
    "venue_admin",
    schemas.Requested,
    status=202,
    also=[409],
)
def confirm_deletions(path: schemas.ProviderPath) -> Any:
    """Say that what vanished at the provider is gone, where the cure is confirm. For venue_admin.

    The streams in question are read whole again, and what is gone there is marked as deleted here.
    """
    provider = asked_provider(path.provider)
    held = asked_connection(path.venue_id, provider)
    if not held.is_due:
        return problem(409, TITLES[409], _stands(path.venue_id, provider).headline)
    if not connecting.confirm_deletions(portal(), held, actor=_who().email):
        return problem(409, TITLES[409], f"Nothing of {provider.title} waits for that.")
    return _json(schemas.Requested(waiting=False), 202)


@_at_venue(blueprint.get, "/syncs", DATA, "viewer", schemas.Syncs)
def syncs(path: schemas.VenuePath, query: schemas.SyncsQuery) -> Response:
    """What was synced, the newest first."""
    with portal().scoped(path.venue_id) as session:
        rows = history.syncs(
            session, provider=query.provider, before=query.before, limit=query.limit
        )
    items = [_sync(row) for row in rows]
    return _json(
        schemas.Syncs(items=items, next=rows[-1].started_at if len(rows) == query.limit else None)
    )


@_at_venue(blueprint.get, "/streams", DATA, "viewer", schemas.Streams)
def streams(path: schemas.VenuePath, query: schemas.StreamsQuery) -> Response:
    """How much there is of each stream, how fresh, and how much changes a day."""
    with portal().scoped(path.venue_id) as session:
        rows = history.streams(session, provider=query.provider)
    items = [
        schemas.Stream(
            provider=row["provider"],
            stream=row["stream"],
            rows=row["rows"],
            complete_up_to=row["cursor_at"],
            full_pass_at=row["full_pass_at"],
            outcome=row["outcome"],
            error_kind=row["error_kind"],
            volumes=row["volumes"],
        )
        for row in rows
    ]
    return _json(schemas.Streams(items=items))


@_at_venue(blueprint.get, "/audit", ACCESS, "viewer", schemas.Deeds)
def audit(path: schemas.VenuePath, query: schemas.AuditQuery) -> Response:
    """Who did what at the venue, the newest first."""
    with portal().scoped(path.venue_id) as session:
        rows = history.deeds(session, before=query.before, limit=query.limit)
    items = [
        schemas.Deed(
            id=row.entry_id,
            at=row.at,
            actor=row.actor,
            action=row.action,
            provider=row.provider,
            details=row.details,
        )
        for row in rows
    ]
    return _json(
        schemas.Deeds(items=items, next=items[-1].id if len(items) == query.limit else None)
    )


@_at_venue(blueprint.get, "/dead-letters", DATA, "venue_admin", schemas.Letters)
def dead_letters(path: schemas.VenuePath, query: schemas.LettersQuery) -> Response:
    """Providers' messages that were given up, the newest first. For venue_admin."""
    return _letters(path.venue_id, query)


@_at_venue(blueprint.get, "/dead-letters/<letter_id>", DATA, "venue_admin", schemas.LetterShown)
def dead_letter(path: schemas.LetterPath) -> Response:
    """One of these with what it held, masked. For venue_admin."""
    return _letter_shown(path.venue_id, path.letter_id)


@_at_venue(blueprint.post, "/replays", DATA, "venue_admin", schemas.Replayed, also=[413])
def replay_dead_letters(path: schemas.VenuePath, body: schemas.Replay) -> Response:
    """Have them worked on again; safe to repeat. For venue_admin."""
    return _replayed(path.venue_id, body)


@_at_venue(blueprint.get, "/tokens", ACCESS, "venue_admin", schemas.Tokens)
def tokens(path: schemas.VenuePath) -> Response:
    """The API tokens that are open. For venue_admin."""
    with portal().scoped(path.venue_id) as session:
        rows = access.tokens(session)
    return _json(schemas.Tokens(items=[schemas.Token(**row._mapping) for row in rows]))


@_at_venue(
    blueprint.post, "/tokens", ACCESS, "venue_admin", schemas.Issued, status=201, also=[409, 413]
)
def issue_token(path: schemas.VenuePath, body: schemas.NewToken) -> Response:
    """A new API token, shown this once. For venue_admin."""
    token_id, made = _done(
        path.venue_id,
        lambda session: access.issue(
            session,
            path.venue_id,
            name=body.name,
            role=body.role,
            days=body.days,
            actor=_who().email,
        ),
    )
    return _json(schemas.Issued(token_id=token_id, token=made), 201)


@_at_venue(
    blueprint.delete, "/tokens/<token_id>", ACCESS, "venue_admin", None, status=204, also=[409]
)
def revoke_token(path: schemas.TokenPath) -> Any:
    """From now on it opens nothing. For venue_admin."""
    _done(
        path.venue_id,
        lambda session: access.revoke(session, path.venue_id, path.token_id, actor=_who().email),
    )
    return "", 204


@_at_venue(blueprint.get, "/members", ACCESS, "venue_admin", schemas.Members)
def members(path: schemas.VenuePath) -> Response:
    """Who may see the venue, and as what. For venue_admin."""
    with portal().scoped(path.venue_id) as session:
        rows = access.members(session)
    items = [
        schemas.Member(
            user_id=row.user_id,
            email=row.email,
            name=row.name,
            role=row.role,
            signed_in_before=row.signed_in_before,
        )
        for row in rows
    ]
    return _json(schemas.Members(items=items))


@_at_venue(blueprint.put, "/members", ACCESS, "venue_admin", None, status=204, also=[409, 413])
def invite_member(path: schemas.VenuePath, body: schemas.Invitation) -> Any:
    """Invite an address, or give a member another role. For venue_admin."""
    _done(
        path.venue_id,
        lambda session: access.admit(
            session, path.venue_id, email=body.email, role=body.role, actor=_who().email
        ),
    )
    return "", 204


@_at_venue(
    blueprint.delete, "/members/<user_id>", ACCESS, "venue_admin", None, status=204, also=[409]
)
def remove_member(path: schemas.MemberPath) -> Any:
    """From now on they see nothing of the venue. For venue_admin."""
    _done(
        path.venue_id,
        lambda session: access.dismiss(session, path.venue_id, path.user_id, actor=_who().email),
    )
    return "", 204


@blueprint.get(
    "/mappings/targets",
    tags=[MAPPINGS],
    security=BEARER,
    responses={200: schemas.Targets, **OF_A_BEARER},
)
def mapping_targets() -> Response:
    """What may be mapped: entities, their fields, and the streams that are read."""
    return _json(
        schemas.Targets(
            fields={name: dict(target.fields) for name, target in mapping.TARGETS.items()},
            streams={
                name: {provider: list(streams) for provider, streams in target.streams.items()}
                for name, target in mapping.TARGETS.items()
            },
        )
    )


@_at_venue(blueprint.get, "/mappings", MAPPINGS, "viewer", schemas.Mappings)
def list_mappings(path: schemas.VenuePath) -> Response:
    """The venue's own rules that hold now; every other field is as it ships."""
    with portal().scoped(path.venue_id) as session:
        rows = mapping.rules_in_force(session)
    return _json(schemas.Mappings(items=[_mapping(row) for row in rows]))


@_at_venue(blueprint.put, "/mappings", MAPPINGS, "venue_admin", schemas.Version, also=[413])
def set_mapping(path: schemas.VenuePath, body: schemas.NewRule) -> Response:
    """Let a rule hold from the venue's next build on, which begins at once. It is tried on the
    venue's latest rows first, and refused where it fails on all. For venue_admin."""
    rule = _rule(body)
    version = _remapped(
        rule.provider,
        lambda: mappings.save(path.venue_id, rule, actor=_who().email, reason=body.reason),
    )
    return _json(schemas.Version(version=version))


@_at_venue(
    blueprint.post, "/mappings/preview", MAPPINGS, "venue_admin", schemas.Preview, also=[413]
)
def preview_mapping(path: schemas.VenuePath, body: schemas.NewRule) -> Response:
    """What a rule would make of the venue's latest rows; nothing is changed. For venue_admin."""
    with portal().scoped(path.venue_id) as session:
        tried = mapping.preview(session, _rule(body))
    return _json(
        schemas.Preview(
            rows=tried.rows,
            filled=tried.filled,
            changed=tried.changed,
            failures=dict(tried.failures),
            kept_out=tried.kept_out,
            examples=[dict(each) for each in tried.examples],
        )
    )


@_at_venue(
    blueprint.get,
    "/mappings/<provider>/<target_table>/<target_field>",
    MAPPINGS,
    "viewer",
    schemas.Mappings,
)
def mapping_versions(path: schemas.FieldPath) -> Response:
    """All that a field's rule ever was, the latest first."""
    with portal().scoped(path.venue_id) as session:
        rows = mapping.versions(session, path.provider, path.target_table, path.target_field)
    return _json(schemas.Mappings(items=[_mapping(row) for row in rows]))


@_at_venue(
    blueprint.delete,
    "/mappings/<provider>/<target_table>/<target_field>",
    MAPPINGS,
    "venue_admin",
    None,
    status=204,
)
def remove_mapping(path: schemas.FieldPath) -> Any:
    """Let what ships hold again. For venue_admin."""
    of_field = (path.venue_id, path.provider, path.target_table, path.target_field)
    _remapped(path.provider, lambda: mappings.remove(*of_field, actor=_who().email))
    return "", 204


@_at_venue(
    blueprint.post,
    "/mappings/<provider>/<target_table>/<target_field>/rollback",
    MAPPINGS,
    "venue_admin",
    schemas.Version,
    also=[413],
)
def roll_back_mapping(path: schemas.FieldPath, body: schemas.RollBack) -> Response:
    """Let an earlier version hold again, as a new one. For venue_admin."""
    of_field = (path.venue_id, path.provider, path.target_table, path.target_field)
    version = _remapped(
        path.provider,
        lambda: mappings.roll_back(*of_field, to=body.to, actor=_who().email, reason=body.reason),
    )
    return _json(schemas.Version(version=version))


@_at_venue(blueprint.get, "/quarantine", MAPPINGS, "viewer", schemas.Quarantine)
def quarantine(path: schemas.VenuePath) -> Response:
    """Rows on which the venue's rules fail, as its latest published build found them: counted by
    field and reason, and the first hundred, those kept out of their table first."""
    with portal().scoped(path.venue_id) as session:
        failures = mapping.count_failures(session, [path.venue_id])
        rows = mapping.find_quarantined(session, path.venue_id)
    return _json(
        schemas.Quarantine(
            failures=[schemas.Failure(**each._asdict()) for each in failures],
            items=[schemas.QuarantinedRow(**each._asdict()) for each in rows],
        )
    )


@blueprint.get(
    "/integrations",
    tags=[ADMINISTRATION],
    security=BEARER,
    responses={200: schemas.Integrations, **OF_A_BEARER},
)
def list_integrations() -> Response:
    """The providers there are, and whether each is on."""
    with portal().engine.begin() as session:
        rows = session.execute(select(integrations).order_by(integrations.c.provider)).all()
    items = [_integration(row) for row in rows if row.provider in portal().providers]
    return _json(schemas.Integrations(items=items))


@blueprint.put(
    "/integrations/<provider>",
    tags=[ADMINISTRATION],
    security=BEARER,
    responses={204: None, **OF_A_VENUE, **_problems(413)},
)
@called_by_administrators
def switch_integration(path: schemas.IntegrationPath, body: schemas.Switch) -> Any:
    """Switch a provider on or off, everywhere or at one venue. For administrators."""
    provider = asked_provider(path.provider)
    if body.venue_id is not None and body.venue_id not in _who().venues:
        abort(404, "There is no such venue.")
    action = {"on": "enable", "paused": "pause", "disabled": "disable"}[body.state]
    switch_provider(provider, action, venue_id=body.venue_id, reason=body.reason, who=_who())
    return "", 204


@blueprint.get(
    "/dead-letters",
    tags=[ADMINISTRATION],
    security=BEARER,
    responses={200: schemas.Letters, **_problems(401, 403, 422, 429, 500)},
)
@called_by_administrators
def stray_dead_letters(query: schemas.LettersQuery) -> Response:
    """Messages about accounts that nobody had connected when they were given up, the newest first.
    For administrators."""
    return _letters(NO_VENUE, query)


@blueprint.get(
    "/dead-letters/<letter_id>",
    tags=[ADMINISTRATION],
    security=BEARER,
    responses={200: schemas.LetterShown, **_problems(401, 403, 404, 422, 429, 500)},
)
@called_by_administrators
def stray_dead_letter(path: schemas.StrayLetterPath) -> Response:
    """One of these with what it held, masked. For administrators."""
    return _letter_shown(NO_VENUE, path.letter_id)


@blueprint.post(
    "/replays",
    tags=[ADMINISTRATION],
    security=BEARER,
    responses={200: schemas.Replayed, **_problems(401, 403, 413, 422, 429, 500)},
)
@called_by_administrators
def replay_stray_dead_letters(body: schemas.Replay) -> Response:
    """Have them worked on again, for whoever has connected the accounts since; safe to repeat. For
    administrators."""
    return _replayed(NO_VENUE, body)


def _letters(scope: str, query: schemas.LettersQuery) -> Response:
    with portal().scoped(scope) as session:
        rows = find(session, _asked(query), limit=query.limit, before=query.before)
    items = [schemas.Letter(**_letter(row)) for row in rows]
    return _json(
        schemas.Letters(items=items, next=items[-1].id if len(items) == query.limit else None)
    )


def _letter_shown(scope: str, letter_id: int) -> Response:
    with portal().scoped(scope) as session:
        found = show(session, letter_id, Asked(status=DEAD))
    if found is None:
        abort(404, "There is no such message, or it is being worked on again.")
    return _json(schemas.LetterShown(**_letter(found), payload=found["payload"]))


def _replayed(scope: str, body: schemas.Replay) -> Response:
    with portal().scoped(scope) as session:
        again = replay_letters(session, scope, _asked(body), body.ids, actor=_who().email)
    return _json(schemas.Replayed(replayed=again))


def _asked(given: schemas.LettersFilter) -> Asked:
    return Asked(
        status=DEAD,
        provider=given.provider,
        event_type=given.type,
        account_id=given.account,
        reason=given.reason,
        since=given.since,
        until=given.until,
    )


def _letter(row: Mapping[str, Any]) -> dict[str, Any]:
    provider = portal().providers.get(row["provider"])
    title = provider.title if provider else row["provider"]
    return {
        "id": row["webhook_id"],
        "provider": row["provider"],
        "type": row["event_type"],
        "account_id": row["account_id"],
        "event_id": row["event_id"],
        "created_at": row["event_created_at"],
        "received_at": row["received_at"],
        "given_up_at": row["processed_at"],
        "attempts": row["attempts"],
        "why": in_words(row["last_error"], title),
        "error": row["last_error"],
        "may_be_replayed": row["may_be_replayed"],
    }


def _rule(given: schemas.NewRule) -> mapping.Rule:
    return mapping.Rule.model_validate(given.model_dump(exclude={"reason"}))


def _remapped(provider: str, change: Callable[[], Any]) -> Any:
    """What ``change`` gives; where it cannot be, the answer says why."""
    if provider not in portal().providers:
        abort(404, "There is no such provider.")
    try:
        return change()
    except mapping.NoSuchRule as error:
        abort(404, f"{error}.")
    except ConfigurationError as error:
        abort(problem(422, TITLES[422], f"{error}."))


def _mapping(row: Any) -> schemas.Mapping:
    applied = row.applied_at is not None and (
        row.superseded_at is None or row.applied_at >= row.superseded_at
    )
    return schemas.Mapping(
        provider=row.provider,
        target_table=row.target_table,
        target_field=row.target_field,
        version=row.version,
        source_path=row.source_path,
        transforms=row.transforms,
        default=row.default_value,
        required=row.required,
        type=row.type,
        created_by=row.created_by,
        created_at=row.created_at,
        reason=row.reason,
        superseded_at=row.superseded_at,
        applied=applied,
    )


def _json(body: BaseModel, status: int = 200) -> Response:
    response = jsonify(body.model_dump(mode="json"))
    response.status_code = status
    return response


def _who() -> Person:
    who = caller()
    assert who is not None
    return who


def _stands(venue_id: str, provider: Provider) -> schemas.Connection:
    with portal().scoped(venue_id) as session:
        return _connection(venue_id, card(portal(), session, venue_id, provider.name))


def _connection(venue_id: str, shown: Card) -> schemas.Connection:
    held: Mapping[str, Any] | None = shown.account
    name = shown.provider.name
    of_card = "/connect" if shown.cure in ("connect", "reconnect") else ""
    where = f"/venues/{venue_id}" + (f"/{name}{of_card}" if of_card else "")
    return schemas.Connection(
        provider=name,
        title=shown.provider.title,
        state=shown.state,
        headline=shown.headline,
        cure=shown.cure,
        portal_url=f"{portal().settings.public_base_url}{where}",
        account=held
        and schemas.Account(
            account_id=held["account_id"],
            name=held["account_name"],
            currency=held["currency"],
            country=held["country"],
            livemode=held["livemode"],
        ),
        rows=shown.rows,
        last_sync_at=shown.last_sync,
        complete_up_to=shown.fresh_at,
        progress=schemas.Progress(
            streams=shown.streams, streams_done=shown.streams_done, fetched=shown.fetched
        )
        if shown.state == "syncing"
        else None,
        reason=shown.reason if _who().may(venue_id, "venue_admin") else None,
    )


def _sync(row: Any) -> schemas.Sync:
    title = portal().providers[row.provider].title
    return schemas.Sync(
        sync_id=row.sync_id,
        provider=row.provider,
        mode=row.mode,
        outcome="running" if row.running else "failed" if row.failed else "succeeded",
        started_at=row.started_at,
        finished_at=None if row.running else row.finished_at,
        streams=row.streams,
        failed_streams=row.failed,
        fetched=row.fetched,
        inserted=row.inserted,
        updated=row.updated,
        deleted=row.deleted,
        error_kind=row.error_kind,
        message=cause(row.error_kind, title) if row.failed else None,
    )


def _integration(row: Any) -> schemas.Integration:
    state = "disabled" if not row.enabled else "paused" if row.paused_at else "on"
    return schemas.Integration(
        provider=row.provider,
        title=row.title,
        state=state,
        reason=row.pause_reason if state == "paused" else None,
    )


def _done(venue_id: str, change: Callable[[Any], Any]) -> Any:
    """What ``change`` gives, in one transaction; aborts with its reason where it refuses."""
    try:
        with portal().scoped(venue_id) as session:
            return change(session)
    except NotDone as error:
        abort(problem(409, TITLES[409], str(error)))
