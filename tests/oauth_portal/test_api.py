"""The JSON API: who may call what, what a bearer must be, and what it answers to anything."""

import hashlib
import hmac
import json
import re
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask
from pydantic import SecretStr
from sqlalchemy import Engine, text
from werkzeug.test import TestResponse

from integration_pipelines.core.credentials import open_connections
from integration_pipelines.core.database import Role, create_engine, venue_scope
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.settings import Settings
from oauth_portal import create_app
from oauth_portal.access import issue
from oauth_portal.portal import EXTENSION
from provider_sandbox import Sandbox
from tests.oauth_portal.conftest import ADMIN, MANAGER, OTHER

SECRET = "a-secret-of-the-test-of-at-least-32-bytes"
ISSUER = "https://issuer.example"


class Caller:
    """A program with a bearer."""

    def __init__(self, app: Flask, here: Settings, bearer: str | None) -> None:
        self.client, self.here, self.bearer = app.test_client(), here, bearer

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.bearer}"} if self.bearer else {}
        return self.client.open(
            f"/api/v1{path}",
            method=method,
            json=body,
            headers=headers | options.pop("headers", {}),
            base_url=self.here.public_base_url,
            **options,
        )


@pytest.fixture
def here(here: Settings) -> Settings:
    return here.model_copy(update={"jwt_secret": SecretStr(SECRET)})


@pytest.fixture
def token(app: Flask) -> Callable[..., str]:
    """``token(venue_id, role)``: an API token of the venue's."""
    portal = app.extensions[EXTENSION]

    def made(venue_id: str = "hall", role: str = "venue_admin") -> str:
        with portal.scoped(venue_id) as session:
            return issue(
                session, venue_id, name=f"t{uuid4().hex[:6]}", role=role, days=1, actor="test"
            )[1]

    return made


@pytest.fixture
def call(app: Flask, here: Settings, token: Callable[..., str]) -> Callable[..., Caller]:
    """``call(venue_id, role)``: a program of the venue's; or with just that ``bearer``."""

    def made(
        venue_id: str = "hall", role: str = "venue_admin", *, bearer: str | None = None
    ) -> Caller:
        return Caller(app, here, bearer or token(venue_id, role))

    return made


def ways(app: Flask, venue_id: str) -> list[tuple[str, str]]:
    places = {
        "venue_id": venue_id,
        "provider": "stripe",
        "target_table": "customers",
        "target_field": "name",
        "letter_id": "1",
    }
    found = []
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/api/v1/"):
            path = re.sub(r"<(\w+)>", lambda at: places.get(at[1], str(uuid4())), rule.rule)
            methods = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
            found += [(method, path.removeprefix("/api/v1")) for method in methods]
    return found


RULE_OF_NAME = {
    "provider": "stripe",
    "target_table": "customers",
    "target_field": "name",
    "source_path": "name",
}
BODIES = {
    "connections/stripe": {"key": "rk_test_1"},
    "tokens": {"name": "x"},
    "members": {"email": "who@else.example"},
    "integrations/stripe": {"state": "disabled"},
    "mappings": RULE_OF_NAME,
    "mappings/preview": RULE_OF_NAME,
    "rollback": {"to": 1},
    "replays": {},
}


def body_of(path: str) -> Any:
    return next((body for end, body in BODIES.items() if path.endswith(end)), None)


def test_nothing_is_told_without_a_bearer(app: Flask, here: Settings) -> None:
    nobody = Caller(app, here, None)
    asked = [way for way in ways(app, "hall") if way[1] not in ("/health", "/openapi.json")]
    assert len(asked) > 18
    for bearer in (None, "vit_" + "x" * 43, "x.y.z", "é", "vit_" + "x" * 9_999, "\x00"):
        nobody.bearer = bearer
        for method, path in asked:
            if bearer is None or path == "/me":
                if bearer and not bearer.isprintable():
                    continue
                answer = nobody(method, path, body_of(path))
                assert answer.status_code == 401, (method, path)
                assert answer.mimetype == "application/problem+json"
                assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_22_another_venue_does_not_exist_for_a_bearer(
    app: Flask, call: Callable[..., Caller], pipeline_engine: Engine
) -> None:
    caller = call("bar")
    asked = [way for way in ways(app, "hall") if "/hall" in way[1]]
    assert len(asked) > 13
    for method, path in asked:
        theirs = caller(method, path, body_of(path))
        unknown = caller(method, path.replace("/hall", "/invented"), body_of(path))
        assert theirs.status_code == unknown.status_code == 404, (method, path)
        told, of_none = ({**each.json, "request_id": None} for each in (theirs, unknown))
        assert told == of_none
    with pipeline_engine.connect() as session:
        for table in ("sync_queue", "connections"):
            assert session.scalar(text(f"SELECT count(*) FROM control.{table}")) == 0


def test_22_what_another_venue_has_is_unknown_under_ones_own(
    app: Flask, call: Callable[..., Caller], token: Callable[..., str]
) -> None:
    token("hall", "viewer")
    hall, bar = call("hall"), call("bar")
    (token_id, *_) = (each["token_id"] for each in hall("GET", "/venues/hall/tokens").json["items"])
    (user_id, *_) = (each["user_id"] for each in hall("GET", "/venues/hall/members").json["items"])
    before = [hall("GET", f"/venues/hall/{what}").json for what in ("tokens", "members")]
    for what, theirs in (("tokens", token_id), ("members", user_id)):
        told, of_none = (
            bar("DELETE", f"/venues/bar/{what}/{each}") for each in (theirs, str(uuid4()))
        )
        assert told.status_code == of_none.status_code == 409
        assert told.json["detail"] == of_none.json["detail"]
    after = [hall("GET", f"/venues/hall/{what}").json for what in ("tokens", "members")]
    assert after == before


def test_a_viewer_looks_and_changes_nothing(app: Flask, call: Callable[..., Caller]) -> None:
    viewer = call(role="viewer")
    for method, path in ways(app, "hall"):
        if "/hall" not in path:
            continue
        answer = viewer(method, path, body_of(path))
        of_managers = ("tokens", "members", "dead-letters", "dead-letters/1")
        looks = method == "GET" and not path.endswith(of_managers)
        assert answer.status_code == (200 if looks else 403), (method, path)
    for role in ("viewer", "venue_admin"):
        refused = call(role=role)("PUT", "/integrations/stripe", {"state": "disabled"})
        assert refused.status_code == 403


def encoded(
    claims: dict[str, Any], key: Any = SECRET, algorithm: str = "HS256", **headers: Any
) -> str:
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers or None)


def claims_of(here: Settings, **over: Any) -> dict[str, Any]:
    """What a JWT of ours for the manager of the hall says."""
    now = int(time.time())
    usual = {
        "iss": here.public_base_url,
        "aud": f"{here.public_base_url}/api/v1",
        "sub": "manager-subject",
        "iat": now,
        "exp": now + 600,
        "venue_id": "hall",
        "role": "venue_admin",
    }
    return {name: value for name, value in (usual | over).items() if value is not None}


@pytest.fixture
def subjects(people: None, owner_engine: Engine, here: Settings) -> None:
    """What our own issuer and the other one call the people."""
    with owner_engine.begin() as session:
        for email, subject in (
            (MANAGER, "manager-subject"),
            (OTHER, "other-subject"),
            (ADMIN, "admin-subject"),
        ):
            session.execute(
                text(
                    "UPDATE control.users SET issuer = :issuer, subject = :subject"
                    " WHERE email = :email"
                ),
                {"issuer": here.public_base_url, "subject": subject, "email": email},
            )


def test_a_jwt_of_ours_opens_what_its_subject_may_now(
    app: Flask, here: Settings, call: Callable[..., Caller], subjects: None, owner_engine: Engine
) -> None:
    def asks(path: str = "/venues/hall/connections", **over: Any) -> int:
        return call(bearer=encoded(claims_of(here, **over)))("GET", path).status_code

    assert asks() == 200
    assert asks("/venues/hall/tokens") == 200
    assert asks("/venues/hall/tokens", role="viewer") == 403
    assert asks("/venues/bar/connections") == 404
    # A claim adds nothing to what the subject has.
    assert asks(venue_id="bar") == asks(role="admin") == asks(role="owner") == 401
    assert asks(venue_id=None, role="admin") == asks(venue_id=None) == 401
    assert asks(venue_id=["hall"]) == asks(sub="nobody") == asks(sub="other-subject") == 401
    assert asks(sub="admin-subject", venue_id=None, role="admin") == 200
    assert asks("/venues/bar/connections", sub="admin-subject", venue_id=None, role="admin") == 200
    assert asks("/venues/bar/connections", sub="admin-subject", role="viewer") == 404
    with owner_engine.begin() as session:
        venue_scope(session, "hall")
        session.execute(text("DELETE FROM control.memberships"))
    assert asks() == 401


def test_22_a_jwt_that_is_not_as_it_should_be_opens_nothing(
    app: Flask, here: Settings, call: Callable[..., Caller], subjects: None
) -> None:
    def part(content: Any) -> str:
        return urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    good = claims_of(here)
    signed = encoded(good)
    header, payload, signature = signed.split(".")
    now = int(time.time())
    bad = {
        "no algorithm": f"{part({'alg': 'none', 'typ': 'JWT'})}.{payload}.",
        "None": f"{part({'alg': 'None'})}.{payload}.{signature}",
        "no signature": f"{header}.{payload}.",
        "another secret": encoded(good, "another-secret-of-at-least-32-bytes!"),
        "another strength": encoded(good, SECRET + "0" * 30, "HS512"),
        "HS512": encoded(good, SECRET, "HS512"),
        "changed": f"{header}.{part({**good, 'role': 'admin'})}.{signature}",
        "a key of a file": encoded(good, "\0" * 32, "HS256", kid="../../../../dev/null"),
        "a key by SQL": encoded(good, "x" * 32, "HS256", kid="' UNION SELECT 'x"),
        "a key of its own": encoded(good, "x" * 32, "HS256", jwk={"kty": "oct", "k": "eHh4"}),
        "a key from elsewhere": encoded(good, "x" * 32, "HS256", jku="http://127.0.0.1:9/keys"),
        "expired": encoded({**good, "iat": now - 7_200, "exp": now - 3_600}),
        "not yet": encoded({**good, "nbf": now + 3_600}),
        "of the future": encoded({**good, "iat": now + 3_600, "exp": now + 7_200}),
        "for ever": encoded({**good, "exp": now + 86_400 * 400}),
        "another audience": encoded({**good, "aud": "https://other.example"}),
        "another issuer": encoded({**good, "iss": ISSUER}),
        "nested": "a" * 3_000 + ".b.c",
    }
    for name in ("exp", "iat", "aud", "iss", "sub"):
        bad[f"no {name}"] = encoded(claims_of(here, **{name: None}))
    assert call(bearer=signed)("GET", "/me").status_code == 200
    for name, bearer in bad.items():
        assert call(bearer=bearer)("GET", "/me").status_code == 401, name


@pytest.mark.parametrize("kind", ["RS256", "ES256", "EdDSA"])
def test_22_a_public_key_is_nobodys_secret(
    here: Settings, subjects: None, owner_engine: Engine, kind: str
) -> None:
    private: Any = {
        "RS256": lambda: rsa.generate_private_key(public_exponent=65_537, key_size=2_048),
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
    }[kind]()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    theirs = here.model_copy(update={"jwt_secret": None, "jwt_public_key": public.decode()})
    app = create_app(theirs)
    good = claims_of(here, iss=ISSUER, sub="manager-subject")
    with owner_engine.begin() as session:
        session.execute(text("UPDATE control.users SET issuer = :issuer"), {"issuer": ISSUER})
    try:
        own = encoded(good, private, kind)
        assert Caller(app, theirs, own)("GET", "/venues/hall/connections").status_code == 200
        # PyJWT refuses to sign with a public key as a secret: an attacker does not ask it.
        header = urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")
        payload = own.split(".")[1].encode()
        mac = hmac.new(public, header + b"." + payload, hashlib.sha256).digest()
        confused = b".".join((header, payload, urlsafe_b64encode(mac).rstrip(b"="))).decode()
        for bearer in (confused, encoded(good, SECRET)):
            assert Caller(app, theirs, bearer)("GET", "/me").status_code == 401
    finally:
        app.extensions[EXTENSION].engine.dispose()


def test_a_key_that_is_none_or_weak_is_named_at_the_start(here: Settings, people: None) -> None:
    with pytest.raises(ConfigurationError, match="JWT_PUBLIC_KEY is no public key"):
        create_app(here.model_copy(update={"jwt_public_key": "nonsense"}))
    with pytest.raises(ConfigurationError, match="JWT_SECRET is shorter"):
        create_app(here.model_copy(update={"jwt_secret": SecretStr("short")}))


def test_an_api_token_is_exchanged_for_a_jwt_that_dies_with_it(
    call: Callable[..., Caller], app: Flask
) -> None:
    program = call(role="viewer")
    made = program("POST", "/token").json
    assert made["expires_in"] == 900
    page = call(bearer=made["access_token"])
    assert page("GET", "/venues/hall/connections").status_code == 200
    assert page("GET", "/venues/hall/tokens").status_code == 403
    manager = call()
    (held,) = (
        each
        for each in manager("GET", "/venues/hall/tokens").json["items"]
        if each["role"] == "viewer"
    )
    assert held["last_used_at"] is not None
    assert manager("DELETE", f"/venues/hall/tokens/{held['token_id']}").status_code == 204
    assert page("GET", "/me").status_code == program("GET", "/me").status_code == 401
    assert manager("DELETE", f"/venues/hall/tokens/{held['token_id']}").status_code == 409


def test_a_token_is_shown_once_and_kept_by_its_hash(
    call: Callable[..., Caller], owner_engine: Engine
) -> None:
    manager = call()
    issued = manager("POST", "/venues/hall/tokens", {"name": "dashboard", "days": 30})
    assert issued.status_code == 201
    token = issued.json["token"]
    assert call(bearer=token)("GET", "/me").json == {
        "name": "API token dashboard",
        "admin": False,
        "venues": {"hall": "viewer"},
    }
    assert token not in manager("GET", "/venues/hall/tokens").text
    again = manager("POST", "/venues/hall/tokens", {"name": "dashboard"})
    assert (again.status_code, "already" in again.json["detail"]) == (409, True)
    with owner_engine.connect() as session:
        rows = str(session.execute(text("SELECT * FROM control.api_tokens")).all())
    assert token not in rows


def test_the_last_manager_of_a_venue_stays(call: Callable[..., Caller]) -> None:
    program = call()
    members = {each["email"]: each for each in program("GET", "/venues/hall/members").json["items"]}
    manager = members[MANAGER]["user_id"]
    for refused in (
        program("DELETE", f"/venues/hall/members/{manager}"),
        program("PUT", "/venues/hall/members", {"email": MANAGER, "role": "viewer"}),
        program("PUT", "/venues/hall/members", {"email": MANAGER.upper(), "role": "viewer"}),
    ):
        assert refused.status_code == 409
        assert "Somebody has to manage the venue" in refused.json["detail"]
    second = {"email": "second@hall.example", "role": "venue_admin"}
    assert program("PUT", "/venues/hall/members", second).status_code == 204
    assert program("DELETE", f"/venues/hall/members/{manager}").status_code == 204
    deeds = program("GET", "/venues/hall/audit").json["items"]
    assert deeds[0]["action"] == f"removed {MANAGER}"
    nonsense = program("PUT", "/venues/hall/members", {"email": "nonsense"})
    assert (nonsense.status_code, "not an e-mail" in nonsense.json["detail"]) == (409, True)


def test_a_key_connects_and_its_data_is_told(
    call: Callable[..., Caller], sandbox: Sandbox, pipeline_engine: Engine
) -> None:
    manager = call()
    account = sandbox.stripe.create_account("of-the-api", size=5)
    refused = manager("PUT", "/venues/hall/connections/stripe", {"key": "nonsense-key"})
    assert refused.status_code == 409
    assert "nonsense-key" not in refused.text
    by_consent = manager("PUT", "/venues/hall/connections/square", {"key": "x"})
    assert "at portal_url" in by_consent.json["detail"]
    done = manager("PUT", "/venues/hall/connections/stripe", {"key": account.api_key})
    assert done.status_code == 200, done.text
    assert (done.json["state"], done.json["account"]["account_id"]) == ("waiting", account.id)
    assert account.api_key not in done.text
    assert manager("POST", "/venues/hall/connections/stripe/syncs").json == {"waiting": True}
    tested = manager("POST", "/venues/hall/connections/stripe/test").json
    assert (tested["ok"], tested["account_name"]) == (True, done.json["account"]["name"])
    other = sandbox.stripe.create_account("another-of-the-api", size=5)
    asked = manager("PUT", "/venues/hall/connections/stripe", {"key": other.api_key})
    assert (asked.status_code, "Decide it in the portal" in asked.json["detail"]) == (409, True)
    ended = manager("DELETE", "/venues/hall/connections/stripe")
    assert ended.json["left_to_do"]
    assert manager("POST", "/venues/hall/connections/stripe/syncs").status_code == 404
    with pipeline_engine.connect() as session:
        assert open_connections(session, venue_ids=["hall"]) == []


RULE = {
    "provider": "stripe",
    "target_table": "customers",
    "target_field": "custom.table",
    "type": "integer",
    "source_path": "metadata.table",
}
FIELD = "/venues/hall/mappings/stripe/customers/custom.table"


@pytest.fixture
def rows(settings: Settings, people: None) -> None:
    """Three customers of the hall's and one of the bar's, as landed."""
    engine = create_engine(settings, Role.PIPELINE)
    for venue_id, tables in (("hall", ("4", "x", None)), ("bar", ("7",))):
        with engine.begin() as session:
            venue_scope(session, venue_id)
            for place, table in enumerate(tables):
                session.execute(
                    text(
                        "INSERT INTO raw_stripe.customers (venue_id, account_id, id, payload,"
                        " observed_at, content_hash) VALUES"
                        " (:venue, 'acct', :id, CAST(:payload AS jsonb), now(), 'x')"
                    ),
                    {
                        "venue": venue_id,
                        "id": f"cus_{place}",
                        "payload": json.dumps({"metadata": {"table": table}}),
                    },
                )
    engine.dispose()


def test_a_mapping_is_previewed_set_changed_rolled_back_and_removed(
    call: Callable[..., Caller], rows: None
) -> None:
    manager = call()
    seen = manager("POST", "/venues/hall/mappings/preview", RULE).json
    assert (seen["rows"], seen["filled"], seen["changed"]) == (3, 1, 2)
    assert seen["failures"] == {"is not a whole number": 1}
    assert {each["after"] for each in seen["examples"]} == {4, None}
    first = manager("PUT", "/venues/hall/mappings", RULE | {"reason": "seats"})
    assert first.json == {"version": 1}
    fixed = RULE | {
        "transforms": [{"do": "lookup", "table": {"x": 0, "4": 4}}],
        "default": -1,
    }
    assert manager("POST", "/venues/hall/mappings/preview", fixed).json["changed"] == 2
    assert manager("PUT", "/venues/hall/mappings", fixed).json == {"version": 2}
    rolled = manager("POST", f"{FIELD}/rollback", {"to": 1, "reason": "as before"})
    assert rolled.json == {"version": 3}
    (held,) = call(role="viewer")("GET", "/venues/hall/mappings").json["items"]
    assert (held["version"], held["reason"], held["applied"]) == (3, "as before", False)
    history = manager("GET", FIELD).json["items"]
    assert [each["version"] for each in history] == [3, 2, 1]
    assert history[1]["default"] == -1
    assert manager("DELETE", FIELD).status_code == 204
    assert manager("GET", "/venues/hall/mappings").json["items"] == []
    assert manager("DELETE", FIELD).status_code == 404
    assert manager("POST", f"{FIELD}/rollback", {"to": 9}).status_code == 404
    deeds = [each["action"] for each in manager("GET", "/venues/hall/audit").json["items"]]
    assert [deed for deed in deeds if "custom" in deed] == [
        "removed the rule of customers.custom.table",
        "rolled customers.custom.table back to version 1",
        "mapped customers.custom.table",
        "mapped customers.custom.table",
    ]
    assert manager("GET", "/venues/hall/quarantine").json == {"failures": [], "items": []}
    targets = manager("GET", "/mappings/targets").json
    assert targets["fields"]["expenses"]["note"] == "text"
    assert targets["streams"]["expenses"] == {
        "quickbooks": ["purchases", "bills", "vendor_credits"]
    }
    # What is sampled is the venue's own.
    assert call("bar")("POST", "/venues/bar/mappings/preview", RULE).json["rows"] == 1


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"target_field": "custom.X"}, "", "is not custom. and then a small letter"),
        ({"target_field": "source_id"}, "", "is unknown: customers has name"),
        ({"source_path": "a'); DROP TABLE x--"}, "source_path", "makes no sense from character 2"),
        ({"transforms": [{"do": "explode"}]}, "transforms.0", "does not match any of the expected"),
        ({"default": "\0"}, "default", "has a character that nothing can hold"),
        ({"default": "\ud800"}, "default", "has a character that nothing can hold"),
        ({"default": float("nan")}, "default", "is not a finite number"),
        (
            {"source_path": 'metadata."\udc00"'},
            "source_path",
            "has a character that nothing can hold",
        ),
    ],
)
def test_25_a_mapping_that_cannot_be_is_refused_by_field(
    call: Callable[..., Caller], rows: None, change: dict[str, Any], field: str, said: str
) -> None:
    refused = call()("PUT", "/venues/hall/mappings", RULE | change)
    assert refused.status_code == 422
    (error,) = refused.json["errors"]
    assert error["field"] == field
    assert said in error["message"]


def test_20_a_body_that_nests_too_deep_is_refused(call: Callable[..., Caller]) -> None:
    for method, path in (("PUT", "/venues/hall/mappings"), ("POST", "/venues/hall/tokens")):
        sent = {"data": "[" * 60_000, "headers": {"Content-Type": "application/json"}}
        refused = call()(method, path, **sent)
        assert (refused.status_code, refused.mimetype) == (422, "application/problem+json")


def test_a_mapping_that_fails_on_every_row_is_refused_and_says_why(
    call: Callable[..., Caller], rows: None
) -> None:
    rule = RULE | {"source_path": "metadata", "required": True}
    refused = call()("PUT", "/venues/hall/mappings", rule)
    assert refused.status_code == 422
    assert "is not a single value, in all of the 3 latest rows" in refused.json["detail"]
    assert call()("GET", "/venues/hall/mappings").json["items"] == []


def test_dead_letters_are_told_masked_and_replayed_by_id_and_by_filter(
    call: Callable[..., Caller],
    letters: list[int],
    subjects: None,
    here: Settings,
    pipeline_engine: Engine,
) -> None:
    manager, at = call(), "/venues/hall/dead-letters"
    replays = "/venues/hall/replays"
    told = manager("GET", at).json
    assert [each["id"] for each in told["items"]] == [letters[1], letters[0]]
    assert told["items"][1]["why"].startswith("Square told us of a change")
    assert manager("GET", f"{at}?limit=1").json["next"] == letters[1]
    by_filter = {
        "reason=AUTHENTIC": [letters[1]],
        "type=payment.updated": [letters[0]],
        "account=M-bar": [],
        "provider=square&since=2026-01-01T00:00:00Z": [letters[1], letters[0]],
        "until=2026-01-01T00:00:00Z": [],
        f"before={letters[1]}": [letters[0]],
    }
    for query, expected in by_filter.items():
        found = manager("GET", f"{at}?{query}").json["items"]
        assert [each["id"] for each in found] == expected, query
    held = manager("GET", f"{at}/{letters[0]}").json["payload"]
    assert held["data"] == {
        "id": "p1",
        "object": {"buyer_email_address": "[e-mail]", "note": "[personal]"},
    }
    for theirs in letters[2:]:
        assert manager("GET", f"{at}/{theirs}").status_code == 404
        assert manager("POST", replays, {"ids": [theirs]}).json == {"replayed": 0}
    one = {"ids": [letters[0]], "type": "payment.updated"}
    assert manager("POST", replays, one).json == {"replayed": 1}
    assert manager("POST", replays, one).json == {"replayed": 0}, "safe to repeat"
    assert manager("GET", f"{at}/{letters[0]}").status_code == 404
    assert manager("POST", replays, {"reason": "signature"}).json == {"replayed": 1}
    deeds = [each["action"] for each in manager("GET", "/venues/hall/audit").json["items"]]
    assert deeds.count("had a failed message worked on again") == 2

    for method, path in (("GET", "/dead-letters"), ("GET", f"/dead-letters/{letters[3]}")):
        assert manager(method, path).status_code == 403
    assert manager("POST", "/replays", {}).status_code == 403
    admin = call(bearer=encoded(claims_of(here, sub="admin-subject", venue_id=None, role="admin")))
    (stray,) = admin("GET", "/dead-letters").json["items"]
    assert (stray["id"], stray["account_id"]) == (letters[3], "M-nobody")
    assert admin("GET", f"/dead-letters/{letters[3]}").json["payload"]["data"]["id"] == "p1"
    assert admin("GET", f"/dead-letters/{letters[2]}").status_code == 404
    assert admin("POST", "/replays", {}).json == {"replayed": 1}
    with pipeline_engine.connect() as session:
        left = text("SELECT webhook_id FROM control.integration_webhooks WHERE status = 'dead'")
        assert session.scalars(left).all() == [letters[2]]


def test_administrators_switch_providers(
    app: Flask, here: Settings, call: Callable[..., Caller], subjects: None
) -> None:
    claims = claims_of(here, sub="admin-subject", venue_id=None, role="admin")
    admin = call(bearer=encoded(claims))
    switched = {"state": "paused", "reason": "stocktaking"}
    assert admin("PUT", "/integrations/square", switched).status_code == 204
    listed = {each["provider"]: each for each in call()("GET", "/integrations").json["items"]}
    assert (listed["square"]["state"], listed["square"]["reason"]) == ("paused", "stocktaking")
    assert admin("PUT", "/integrations/square", {"state": "on"}).status_code == 204
    nowhere = {"state": "on", "venue_id": "nowhere"}
    assert admin("PUT", "/integrations/square", nowhere).status_code == 404
    assert admin("PUT", "/integrations/nothing", {"state": "on"}).status_code == 404
    assert {each["venue_id"] for each in admin("GET", "/venues").json["items"]} == {"bar", "hall"}
    first = admin("GET", "/venues?limit=1").json
    assert (first["items"][0]["venue_id"], first["next"]) == ("bar", "bar")
    assert admin("GET", "/venues?limit=1&after=bar").json["next"] is None


def test_an_error_names_the_field_and_the_request_and_no_value(
    call: Callable[..., Caller],
) -> None:
    wrong = call()(
        "POST",
        "/venues/hall/tokens",
        {"name": "", "days": 0, "secret": "s3cret"},
        headers={"X-Request-Id": "asked-by-a-test"},
    )
    assert (wrong.status_code, wrong.mimetype) == (422, "application/problem+json")
    assert {each["field"] for each in wrong.json["errors"]} == {"name", "days", "secret"}
    assert wrong.json["request_id"] == "asked-by-a-test"
    assert "s3cret" not in wrong.text
    for path, status in (("/nowhere", 404), ("/venues/hall/tokens/x", 422)):
        method = "DELETE" if "tokens" in path else "GET"
        answer = call()(method, path)
        assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert call()("PATCH", "/venues").status_code == 405


def test_too_many_requests_are_told_when_to_come_back(
    call: Callable[..., Caller], app: Flask
) -> None:
    caller = call()
    answers = [caller("GET", "/me") for _ in range(610)]
    assert {each.status_code for each in answers} == {200, 429}
    last = answers[-1]
    assert (last.status_code, last.mimetype) == (429, "application/problem+json")
    assert 0 < int(last.headers["Retry-After"]) <= 60
    assert call()("GET", "/me").status_code == 200
    # What costs a guess or a call of a provider is asked for seldom.
    caller = call()
    often = [caller("POST", "/venues/hall/connections/stripe/test") for _ in range(11)]
    assert [each.status_code for each in often] == [404] * 10 + [429]


def test_no_request_finds_a_500_or_an_answer_that_is_not_documented(
    served: str,
    app: Flask,
    here: Settings,
    subjects: None,
    sandbox: Sandbox,
    call: Callable[..., Caller],
    tmp_path: Path,
) -> None:
    account = sandbox.stripe.create_account("of-all-requests", size=5)
    connected = call()("PUT", "/venues/hall/connections/stripe", {"key": account.api_key})
    assert connected.status_code == 200
    # An administrator cannot revoke or remove what they ask with.
    bearer = encoded(claims_of(here, sub="admin-subject", venue_id=None, role="admin"))
    for limiter in app.extensions["limiter"]:
        limiter.enabled = False
    rules = tmp_path / "schemathesis.toml"
    rules.write_text(
        '[parameters]\n"path.venue_id" = "hall"\n"path.provider" = "stripe"\n'
        # Whether a rule can be is more than a schema can say.
        '[[operations]]\ninclude-path-regex = "/mappings"\n'
        "[operations.checks]\npositive_data_acceptance.enabled = false\n"
    )
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            f"--config-file={rules}",
            "run",
            f"{served}/api/v1/openapi.json",
            f"--header=Authorization: Bearer {bearer}",
            "--max-examples=10",
            "--generation-database=none",
            "--seed=1",
            "--no-color",
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-1_000:]


def test_ids_of_tokens_are_told(call: Callable[..., Caller]) -> None:
    listed = call()("GET", "/venues/hall/tokens").json["items"]
    assert all(UUID(each["token_id"]) for each in listed)
