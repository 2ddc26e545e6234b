"""What fills each field of a venue's tables, and how its managers change that: rules tried on the
venue's own latest rows before they hold, with every version and what a rule cannot read."""

import json
from collections.abc import Callable
from typing import Any

from flask import (
    Blueprint,
    abort,
    current_app,
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from sqlalchemy import Connection as Session
from sqlalchemy import select

from integration_pipelines.core import mapping
from integration_pipelines.core.credentials import open_connections
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.events.masking import masked
from integration_pipelines.core.mapping import ADDED_UP, CUSTOM_NAME, TARGETS, Preview, Rule
from integration_pipelines.core.redaction import redact_value
from integration_pipelines.core.tables import venues
from oauth_portal import connecting, drafts
from oauth_portal.drafts import STEPS, Draft
from oauth_portal.people import at_venue, note, person_here, venue_page
from oauth_portal.portal import portal

blueprint = Blueprint("mappings", __name__)

NEW = "new"
"""In place of a field in a URL: one of the venue's own that is not there yet."""
CUSTOM = "custom."
TYPES = {
    "text": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "yes or no",
    "date": "a day",
    "timestamp": "an instant",
}
SQL_TYPES = {
    "number": "numeric",
    "integer": "bigint",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamptz",
}
ROWS_A_PAGE = 100


# Changes of a rule: what pages and API do alike.


def save(venue_id: str, rule: Rule, *, actor: str, reason: str | None) -> int:
    """Let a rule hold; its version. Raises ConfigurationError."""

    def change(session: Session) -> int:
        version = mapping.set_rule(session, venue_id, rule, by=actor, reason=reason)
        note(session, venue_id, actor, f"mapped {rule.target}", rule.provider, version=version)
        return version

    return _remapped(venue_id, rule.provider, actor, change)


def remove(
    venue_id: str, provider: str, table: str, field: str, *, actor: str, reason: str | None = None
) -> None:
    """Let what ships hold again. Raises NoSuchRule."""

    def change(session: Session) -> int:
        mapping.remove_rule(session, provider, table, field)
        did = f"removed the rule of {table}.{field}"
        note(session, venue_id, actor, did, provider, **({"reason": reason} if reason else {}))
        return 0

    _remapped(venue_id, provider, actor, change)


def roll_back(
    venue_id: str,
    provider: str,
    table: str,
    field: str,
    *,
    to: int,
    actor: str,
    reason: str | None,
) -> int:
    """Let an earlier version hold again; the number that it has now. Raises ConfigurationError."""

    def change(session: Session) -> int:
        version = mapping.roll_back(
            session, venue_id, provider, table, field, to=to, by=actor, reason=reason
        )
        did = f"rolled {table}.{field} back to version {to}"
        note(session, venue_id, actor, did, provider, version=version)
        return version

    return _remapped(venue_id, provider, actor, change)


def _remapped(venue_id: str, provider: str, actor: str, change: Callable[[Session], int]) -> int:
    """What ``change`` gives, with the venue's next sync, and with it the build, asked for."""
    with portal().scoped(venue_id) as session:
        changed = change(session)
        held = open_connections(session, venue_ids=[venue_id], providers=[provider])
    if held and held[0].is_due:
        connecting.ask_for_sync(portal(), venue_id=venue_id, provider=provider, actor=actor)
    return changed


# Pages.


@blueprint.get("/venues/<venue_id>/mappings")
@at_venue("viewer")
def overview(venue_id: str) -> Any:
    """Each field of each table of one provider, and what fills it."""
    mapped = {name for target in TARGETS.values() for name in target.streams}
    with portal().scoped(venue_id) as session:
        connected = {each.provider for each in open_connections(session, venue_ids=[venue_id])}
        rules = mapping.rules_in_force(session)
        failures = mapping.count_failures(session, [venue_id])
    names = [name for name in portal().providers if name in mapped]
    asked = request.args.get("provider")
    chosen = asked if asked in names else next((n for n in names if n in connected), names[0])
    own = {(row.target_table, row.target_field): row for row in rules if row.provider == chosen}
    failing = {(each.target_table, each.field) for each in failures if each.provider == chosen}
    tables = {
        table: [
            {
                "name": field,
                "rule": own.get((table, field)),
                "words": _words(own.get((table, field)), chosen, table, field),
                "fails": (table, field) in failing,
            }
            for field in (*target.fields, *_custom(own, table))
        ]
        for table, target in TARGETS.items()
        if chosen in target.streams
    }
    return render_template(
        "mappings.html",
        **venue_page(venue_id),
        chosen=chosen,
        names=names,
        tables=tables,
        new=NEW,
        kept_out=sum(each.kept_out for each in failures),
        failures=failures,
    )


@blueprint.get("/venues/<venue_id>/mappings/<provider_name>/<target_table>/<target_field>")
@at_venue("viewer")
def field(venue_id: str, provider_name: str, target_table: str, target_field: str) -> Any:
    """One field: what fills it, what it could be filled from, and all that it ever was."""
    _refuse_unknown(provider_name, target_table, target_field)
    return _field_page(venue_id, provider_name, target_table, target_field)


@blueprint.post("/venues/<venue_id>/mappings/<provider_name>/<target_table>/<target_field>/draft")
@at_venue("venue_admin")
def draft(venue_id: str, provider_name: str, target_table: str, target_field: str) -> Any:
    """The form with a step more or less, or with what it would make of the venue's rows."""
    _refuse_unknown(provider_name, target_table, target_field)
    made = drafts.draft_from(request.form, "" if target_field == NEW else target_field)
    press, _, place = request.form.get("press", "preview").partition("-")
    tried: tuple[Rule, Preview] | None = None
    why = None
    if press == "add" and request.form.get("step") in STEPS:
        with portal().scoped(venue_id) as session:
            zone: str = session.scalars(select(venues.c.timezone)).one()
        try:
            drafts.add_step(made, request.form["step"], zone=zone)
        except ConfigurationError as error:
            why = str(error)
    elif press == "remove" and place in map(str, range(len(made.steps))):
        del made.steps[int(place)]
    elif press == "preview":
        try:
            tried = _tried(
                venue_id, drafts.rule_of(made, provider_name, target_table), target_field
            )
        except ConfigurationError as error:
            why = str(error)
    return _field_page(
        venue_id, provider_name, target_table, target_field, draft=made, tried=tried, why=why
    )


@blueprint.post("/venues/<venue_id>/mappings/<provider_name>/<target_table>/<target_field>/save")
@at_venue("venue_admin")
def save_rule(venue_id: str, provider_name: str, target_table: str, target_field: str) -> Any:
    """Let what was previewed hold."""
    _refuse_unknown(provider_name, target_table, target_field)
    try:
        rule = mapping.read_rule(current_app.json.loads(request.form.get("rule", "")))
    except (ConfigurationError, ValueError):
        abort(400, "What was previewed did not come with the form: preview it again.")
    if (rule.provider, rule.target_table) != (provider_name, target_table) or (
        target_field not in (NEW, rule.target_field)
    ):
        abort(400, "What was previewed is of another field: preview it again.")
    reason = _reason()
    tried = None
    try:
        tried = _tried(venue_id, rule, target_field)
        if reason is None:
            raise ConfigurationError("Why: write a few words for whoever asks later")
        version = save(venue_id, rule, actor=person_here().email, reason=reason)
    except ConfigurationError as error:
        shown = _field_page(
            venue_id,
            provider_name,
            target_table,
            target_field,
            draft=drafts.draft_of(rule),
            tried=tried,
            why=str(error),
        )
        return shown, 400
    flash(f"Saved as version {version}. It holds as soon as your tables are built again.")
    return _to_field(venue_id, provider_name, target_table, rule.target_field)


@blueprint.post(
    "/venues/<venue_id>/mappings/<provider_name>/<target_table>/<target_field>/rollback"
)
@at_venue("venue_admin")
def roll_back_rule(venue_id: str, provider_name: str, target_table: str, target_field: str) -> Any:
    """Let an earlier version hold again, or what ships (version 0)."""
    _refuse_unknown(provider_name, target_table, target_field)
    of_field = (venue_id, provider_name, target_table, target_field)
    to, reason, who = request.form.get("to", ""), _reason(), person_here().email
    try:
        if reason is None:
            raise ConfigurationError("Why: write a few words for whoever asks later")
        if not to.isascii() or not to.isdecimal() or len(to) > 9:
            raise ConfigurationError("Version: choose one of the list")
        if int(to):
            version = roll_back(*of_field, to=int(to), actor=who, reason=reason)
            flash(f"Version {to} holds again, as version {version}.")
        else:
            remove(*of_field, actor=who, reason=reason)
            flash("Your rule is removed. It is filled as it ships.")
    except ConfigurationError as error:
        return _field_page(*of_field, why=str(error)), 400
    return _to_field(*of_field)


@blueprint.get("/venues/<venue_id>/quarantine")
@at_venue("viewer")
def quarantine(venue_id: str) -> Any:
    """Rows on which the venue's rules fail, and those of them that are kept out."""
    asked = request.args.get("provider")
    chosen = asked if asked in portal().providers else None
    with portal().scoped(venue_id) as session:
        failures = mapping.count_failures(session, [venue_id], provider=chosen)
        rows = mapping.find_quarantined(session, venue_id, provider=chosen, limit=ROWS_A_PAGE)
    return render_template(
        "quarantine.html",
        **venue_page(venue_id),
        chosen=chosen,
        failures=failures,
        rows=rows,
    )


def _field_page(
    venue_id: str,
    provider: str,
    table: str,
    field: str,
    *,
    draft: Draft | None = None,
    tried: tuple[Rule, Preview] | None = None,
    why: str | None = None,
) -> str:
    manages = person_here().may(venue_id, "venue_admin")
    with portal().scoped(venue_id) as session:
        past = [] if field == NEW else mapping.versions(session, provider, table, field)
        payloads = mapping.sample(session, provider, table)
        found = [] if field == NEW else mapping.found_by_analysts(session, provider, table, field)
        failures = mapping.count_failures(
            session, [venue_id], provider=provider, target_table=table, field=field
        )
    if field.startswith(CUSTOM) and not past:
        abort(404)
    in_force = next((row for row in past if row.superseded_at is None), None)
    latest = in_force or (past[0] if past and field.startswith(CUSTOM) else None)
    held = None if latest is None else mapping.as_rule(latest)
    if draft is None:
        if held is not None:
            draft = drafts.draft_of(held)
        elif shipped := mapping.default_rule(provider, table, field):
            draft = drafts.draft_of(shipped)
        else:
            draft = Draft("" if field == NEW else field)
    seen = redact_value if manages else masked
    preview = None
    if tried is not None:
        preview = {
            "rule": json.dumps(tried[0].model_dump(mode="json"), ensure_ascii=False),
            "words": mapping.in_words(tried[0]),
            "tried": tried[1],
            "examples": redact_value(
                [
                    {**each, **{name: _shown(each[name]) for name in ("before", "after")}}
                    for each in tried[1].examples
                ]
            ),
        }
    type_ = (draft.type if past else None) or TARGETS[table].fields.get(field, "text")
    return render_template(
        "mapping.html",
        **venue_page(venue_id),
        provider=portal().providers[provider],
        table=table,
        field=field,
        is_new=field == NEW,
        is_custom=field == NEW or field.startswith(CUSTOM),
        sql_type=SQL_TYPES.get(type_),
        type_=TYPES[type_],
        types=TYPES,
        words=_words(in_force, provider, table, field),
        in_force=in_force,
        waits=bool(past) and not _applied(past[0]),
        past=[(row, mapping.in_words(mapping.as_rule(row))) for row in past],
        draft=draft,
        may_be_required=table not in ADDED_UP,
        is_editable=held is None or drafts.is_said_by_form(held),
        steps=STEPS,
        sources=mapping.sources(map(seen, payloads)),
        sampled=len(payloads),
        preview=preview,
        found=[(row.source_id, _shown(seen({field: row.value})[field])) for row in found],
        failures=failures,
        why=why,
        here={
            "venue_id": venue_id,
            "provider_name": provider,
            "target_table": table,
            "target_field": field,
        },
    )


def _tried(venue_id: str, rule: Rule, field: str) -> tuple[Rule, Preview]:
    """A rule with what it makes of the venue's rows. Raises ConfigurationError where ``field`` is
    to be new, and is not."""
    with portal().scoped(venue_id) as session:
        if field == NEW and mapping.versions(
            session, rule.provider, rule.target_table, rule.target_field
        ):
            raise ConfigurationError(
                f"Name of the field: there is {rule.target_field.removeprefix(CUSTOM)} already; "
                "choose another, or change that one"
            )
        return rule, mapping.preview(session, rule)


def _refuse_unknown(provider: str, table: str, field: str) -> None:
    """404 where there is no such field to map."""
    target = TARGETS.get(table)
    if target is None or provider not in target.streams or provider not in portal().providers:
        abort(404)
    is_custom = field.startswith(CUSTOM) and CUSTOM_NAME.fullmatch(field.removeprefix(CUSTOM))
    if field != NEW and not is_custom and field not in target.fields:
        abort(404)


def _custom(own: Any, table: str) -> list[str]:
    return sorted(field for of, field in own if of == table and field.startswith(CUSTOM))


def _words(row: Any, provider: str, table: str, field: str) -> str:
    if row is not None:
        return mapping.in_words(mapping.as_rule(row))
    return mapping.default_in_words(provider, table, field)


def _applied(row: Any) -> bool:
    ended = row.superseded_at
    return row.applied_at is not None and (ended is None or row.applied_at >= ended)


def _shown(value: Any) -> Any:
    """A value as people read it."""
    if value is None:
        return "—"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


def _reason() -> str | None:
    return request.form.get("reason", "").replace("\0", "").strip()[:1000] or None


def _to_field(venue_id: str, provider: str, table: str, field: str) -> Any:
    return redirect(
        url_for(
            "mappings.field",
            venue_id=venue_id,
            provider_name=provider,
            target_table=table,
            target_field=field,
        ),
        303,
    )
