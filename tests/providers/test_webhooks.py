"""Webhooks of all four, by what they published: signatures, bodies, and an answer to every type."""

import base64
import hashlib
import hmac
import json
import os
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import pytest
from pydantic import SecretStr

from integration_pipelines.core.events import (
    Delivery,
    Meaning,
    Unauthentic,
    Unreadable,
    Webhooks,
    read_json,
)
from integration_pipelines.core.settings import Settings
from integration_pipelines.providers import PROVIDERS
from provider_sandbox.stripe.webhooks import signature_header

ROOT = Path(__file__).parents[2]
REFERENCE = Path(os.environ.get("PROVIDER_REFERENCE", ROOT.parent / "shared/provider_reference"))

published = pytest.mark.skipif(
    not REFERENCE.is_dir(),
    reason=f"the published bodies are not at {REFERENCE}: set PROVIDER_REFERENCE to their folder",
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def webhooks(name: str) -> Webhooks:
    held = PROVIDERS[name].webhooks
    assert held is not None
    return held


def delivery(body: bytes, *, url: str = "https://x.example/w", **headers: str) -> Delivery:
    return Delivery(body, {k.replace("_", "-"): v for k, v in headers.items()}, url, NOW)


def refused(name: str, given: Delivery, *secrets: str) -> str:
    verify = webhooks(name).verify
    assert verify is not None
    with pytest.raises(Unauthentic) as error:
        verify(given, secrets)
    return str(error.value)


def accepted(name: str, given: Delivery, *secrets: str) -> None:
    verify = webhooks(name).verify
    assert verify is not None
    verify(given, secrets)


@published
def test_squares_published_signatures_are_verified_and_their_variants_refused() -> None:
    for vector in json.loads((REFERENCE / "square/signature_vectors.json").read_text()):
        body, key = vector["request_body"].encode(), vector["signature_key"]
        url, signature = vector["notification_url"], vector["signature_header"]

        def made(body: bytes = body, url: str = url, signature: str = signature) -> Delivery:
            return delivery(body, url=url, x_square_hmacsha256_signature=signature)

        accepted("square", made(), key)
        accepted("square", made(), "another-key", key)
        refused("square", made(), "another-key")
        refused("square", made())
        refused("square", made(body=body + b" "), key)
        refused("square", made(url=f"{url}/x"), key)
        refused("square", made(signature=""), key)
        refused("square", made(signature="é"), key)
        variants = vector.get("must_fail_variants", {})
        if variants:
            refused("square", made(), variants["wrong_key"])
            refused("square", made(url=variants["wrong_url"]), key)
            refused("square", made(signature=variants["wrong_signature"]), key)


@published
def test_quickbooks_published_signatures_are_verified() -> None:
    for vector in json.loads((REFERENCE / "quickbooks/signature_vectors.json").read_text()):
        body = vector["payload"].encode()
        given = delivery(body, intuit_signature=vector["intuit_signature"])
        accepted("quickbooks", given, "other", vector["verifier_token"])
        refused("quickbooks", given, "other")
        wrong = delivery(body + b"\n", intuit_signature=vector["intuit_signature"])
        refused("quickbooks", wrong, vector["verifier_token"])
        events = webhooks("quickbooks").read(given)
        assert all(event.created_at for event in events)


@pytest.mark.parametrize("away", [-300, -299, 0, 299, 300])
def test_9_stripes_signature_is_good_for_five_minutes_either_way(away: int) -> None:
    at = int((NOW + timedelta(seconds=away)).timestamp())
    accepted("stripe", delivery(b"{}", stripe_signature=signature_header(b"{}", ["s"], at=at)), "s")


@pytest.mark.parametrize("away", [-86_400, -301, 301, 86_400])
def test_9_and_not_a_second_longer(away: int) -> None:
    at = int((NOW + timedelta(seconds=away)).timestamp())
    given = delivery(b"{}", stripe_signature=signature_header(b"{}", ["s"], at=at))
    assert "s away from ours" in refused("stripe", given, "s")


def test_stripes_signature_is_held_against_every_secret_and_the_body() -> None:
    at = int(NOW.timestamp())
    both = delivery(b"{}", stripe_signature=signature_header(b"{}", ["new", "old"], at=at))
    for secrets in (("new",), ("old",), ("third", "old")):
        accepted("stripe", both, *secrets)
    refused("stripe", both, "third")
    refused("stripe", both)
    header = signature_header(b"{}", ["s"], at=at)
    refused("stripe", delivery(b"{ }", stripe_signature=header), "s")
    for wrong in ("", "t=,v1=", f"t={at}", "v1=x", header.replace(f"t={at}", f"t={at},t={at}"),
                  header.replace("v1", "v0"), f"t=-{at},v1=x", f"t={'9' * 20},v1=x"):  # fmt: skip
        refused("stripe", delivery(b"{}", stripe_signature=wrong), "s")


def test_several_secrets_are_written_with_commas(settings: Settings) -> None:
    here = settings.model_copy(
        update={
            "stripe_webhook_secret": SecretStr("whsec_new, whsec_old"),
            "square_webhook_signature_key": SecretStr("key"),
            "quickbooks_webhook_token": None,
        }
    )
    assert webhooks("stripe").secrets(here) == ("whsec_new", "whsec_old")
    assert webhooks("square").secrets(here) == ("key",)
    assert webhooks("quickbooks").secrets(here) == ()


def is_answered(name: str, meaning: Meaning) -> None:
    """Something is read again, or a reason says why not; never both, never neither."""
    acts = bool(meaning.objects or meaning.streams or meaning.revoked)
    assert acts != (meaning.ignored is not None)
    known = PROVIDERS[name].stream_names
    assert set(meaning.objects) | set(meaning.streams) <= set(known)
    assert all(ids and all(ids) for ids in meaning.objects.values())


def readme(name: str) -> str:
    module = import_module(f"integration_pipelines.providers.{name}.webhooks")
    return Path(module.__file__ or "").with_name("README.md").read_text()


@published
def test_each_of_squares_event_types_has_an_answer() -> None:
    bodies = json.loads((REFERENCE / "square/official_event_examples.json").read_text())
    assert len(bodies) == 146
    acted, ignored = {}, {}
    for event_type, body in bodies.items():
        (event,) = webhooks("square").read(delivery(json.dumps(body).encode()))
        assert (event.event_type, event.account_id) == (event_type, body["merchant_id"])
        meaning = webhooks("square").meaning(event.event_type, event.payload)
        is_answered("square", meaning)
        assert meaning.ignored is None or f"| {meaning.ignored} |" in readme("square"), event_type
        (ignored if meaning.ignored else acted)[event_type] = meaning
    assert acted["payment.updated"].objects == {
        "payments": [bodies["payment.updated"]["data"]["id"]]
    }
    assert acted["oauth.authorization.revoked"].revoked
    assert acted["inventory.count.updated"].streams == ("inventory_counts",)
    streams = {name for each in acted.values() for name in (*each.objects, *each.streams)}
    told_by_nothing = {"payout_entries"}
    assert streams == set(PROVIDERS["square"].stream_names) - told_by_nothing
    assert not [name for name in ignored if name.split(".")[0] in ("order", "payment", "refund",
        "payout", "invoice", "subscription") and "custom_attribute" not in name]  # fmt: skip


@published
def test_each_of_stripes_event_types_has_an_answer() -> None:
    paths = sorted((REFERENCE / "stripe/webhook_events").glob("*.json"))
    assert len(paths) == 88
    acted: dict[str, Meaning] = {}
    for path in paths:
        (event,) = webhooks("stripe").read(delivery(path.read_bytes()))
        meaning = webhooks("stripe").meaning(event.event_type, event.payload)
        is_answered("stripe", meaning)
        if not meaning.ignored:
            acted[event.event_type] = meaning
        else:
            assert f"| {meaning.ignored} |" in readme("stripe"), event.event_type
    assert acted["account.application.deauthorized"].revoked
    assert set(acted["charge.dispute.created"].objects) >= {"disputes", "charges"}
    assert len(acted) > 45


@published
def test_each_of_quickbooks_published_elements_is_one_event_of_its_realm() -> None:
    seen = 0
    for name in ("eventnotifications", "cloudevents"):
        for each in json.loads((REFERENCE / f"quickbooks/{name}_payloads.json").read_text()):
            body = json.dumps(each["payload"]).encode()
            for event in webhooks("quickbooks").read(delivery(body)):
                meaning = webhooks("quickbooks").meaning(event.event_type, event.payload)
                is_answered("quickbooks", meaning)
                assert event.account_id
                seen += 1
    assert seen >= 8


def test_a_merge_ends_both_formats_lost_customer() -> None:
    meaning = webhooks("quickbooks").meaning
    element = {"intuitentityid": "123", "data": {"deletedid": "27"}}
    assert meaning("qbo.customer.merged.v1", element).objects == {"customers": ["123", "27"]}
    entity = {"name": "Customer", "id": "123", "operation": "Merge", "deletedId": "27"}
    assert meaning("customer.merge", entity).objects == {"customers": ["123", "27"]}


def test_one_delivery_of_quickbooks_may_mix_realms_and_is_told_from_itself_resent() -> None:
    entity = {
        "name": "Invoice",
        "id": "7",
        "operation": "Update",
        "lastUpdated": "2026-01-01T00:00:00Z",
    }
    body = {
        "eventNotifications": [
            {"realmId": realm, "dataChangeEvent": {"entities": [entity, {**entity, "id": "8"}]}}
            for realm in ("1", "2")
        ]
    }
    events = webhooks("quickbooks").read(delivery(json.dumps(body).encode()))
    assert [event.account_id for event in events] == ["1", "1", "2", "2"]
    assert len({event.event_id for event in events}) == 4
    again = webhooks("quickbooks").read(delivery(json.dumps(body, indent=2).encode()))
    assert [event.event_id for event in again] == [event.event_id for event in events]


@published
def test_each_of_mailchimps_published_forms_is_read_and_answered() -> None:
    forms = json.loads((REFERENCE / "mailchimp/form_bodies.json").read_text())["events"]
    assert len(forms) == 6
    for event_type, form in forms.items():
        (event,) = webhooks("mailchimp").read(delivery(form["body"].encode()))
        assert (event.event_type, event.account_id) == (event_type, None)
        assert event.created_at is not None
        meaning = webhooks("mailchimp").meaning(event.event_type, event.payload)
        is_answered("mailchimp", meaning)
        assert meaning.ignored is None
    (event,) = webhooks("mailchimp").read(delivery(forms["subscribe"]["body"].encode()))
    hashed = hashlib.md5(b"api@mailchimp.com", usedforsecurity=False).hexdigest()
    assert webhooks("mailchimp").meaning(event.event_type, event.payload).objects == {
        "members": [f"a6b5da1054/{hashed}"]
    }


HOSTILE = {
    "nothing": b"",
    "no JSON": b"<html>",
    "Latin-1": '{"id": "é"}'.encode("latin-1"),
    "half a pair": b'{"id": "\xed\xa0\x80"}',
    "NaN": b'{"id": NaN}',
    "Infinity": b'{"id": -Infinity}',
    "more than a float holds": b'{"id": -1e999}',
    "a name twice": b'{"id": "a", "id": "b"}',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "rather deep": b"[" * 100 + b"]" * 100,
    "two documents": b"{}{}",
    "a huge number": b'{"id": 1' + b"0" * 5_000 + b"}",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", PROVIDERS)
def test_20_a_body_that_is_none_is_refused_and_never_an_error_of_ours(
    name: str, body: bytes
) -> None:
    with pytest.raises(Unreadable):
        webhooks(name).read(delivery(body))


@pytest.mark.parametrize("name", ["stripe", "square", "quickbooks"])
@pytest.mark.parametrize("body", [b"[]", b"{}", b"null", b"1", b'"x"', b'[{"id": 1}]', b"[[]]"])
def test_20_json_that_is_no_event_is_refused(name: str, body: bytes) -> None:
    if (name, body) == ("quickbooks", b"[]"):
        assert webhooks(name).read(delivery(body)) == []
        return
    with pytest.raises(Unreadable):
        webhooks(name).read(delivery(body))


def test_20_what_postgres_keeps_in_no_text_is_replaced() -> None:
    read = read_json(
        rb'{"a\u0000": ["x\u0000y", {"z": "\udc00\ud83d"}], "n": 1.5, "s": "\ud83d\ude00"}'
    )
    assert read == {"a\ufffd": ["x\ufffdy", {"z": "\ufffd\ufffd"}], "n": 1.5, "s": "\U0001f600"}
    (event,) = webhooks("mailchimp").read(delivery(b"type=profile&a%00=b%00"))
    assert event.payload == {"type": "profile", "a\ufffd": "b\ufffd"}
    with pytest.raises(Unreadable):
        webhooks("mailchimp").read(delivery(b"type=profile%00"))


def test_20_a_name_longer_than_an_index_takes_is_refused() -> None:
    for name, body in (
        ("stripe", {"id": "evt_1", "type": "t", "account": "a" * 256}),
        ("stripe", {"id": "e" * 256, "type": "t"}),
        ("square", {"event_id": "e", "type": "t", "merchant_id": "\U0001f600" * 256}),
    ):
        with pytest.raises(Unreadable):
            webhooks(name).read(delivery(json.dumps(body).encode()))


@pytest.mark.parametrize("name", PROVIDERS)
def test_an_event_about_nothing_we_know_is_ignored_with_a_reason(name: str) -> None:
    for event_type in ("", ".", "x", "x.y.z", "payment", "customer"):
        for payload in ({}, {"data": None}, {"data": {"object": None}}, {"data": {"object": {}}}):
            is_answered(name, webhooks(name).meaning(event_type, payload))


def sign(secret: str, message: bytes) -> str:
    return base64.b64encode(hmac.new(secret.encode(), message, hashlib.sha256).digest()).decode()


def test_a_signature_of_another_body_is_refused_however_alike() -> None:
    body = b'{"merchant_id":"M","event_id":"e","type":"payment.created"}'
    given = delivery(body.replace(b"M", b"N"), x_square_hmacsha256_signature=sign("k", body))
    refused("square", given, "k")


@pytest.mark.parametrize("name", ["stripe", "square", "quickbooks"])
def test_what_is_ignored_is_listed_with_its_reason_in_the_providers_readme(name: str) -> None:
    module = import_module(f"integration_pipelines.providers.{name}.webhooks")
    for subject, reason in module.IGNORED.items():
        assert f"| `{subject}` | {reason} |" in readme(name)
