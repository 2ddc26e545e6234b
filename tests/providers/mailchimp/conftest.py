"""A venue whose Mailchimp account stands on some server, and its syncs."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from integration_pipelines.core.settings import Settings
from integration_pipelines.providers import PROVIDERS
from integration_pipelines.providers.mailchimp import MailchimpCredentials
from provider_sandbox import Sandbox, running_sandbox
from provider_sandbox.mailchimp import MailchimpAccount
from tests.connected import ConnectedVenue, connect_account

MAILCHIMP = PROVIDERS["mailchimp"]

ConnectMailchimp = Callable[..., ConnectedVenue]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=7) as running:
        yield running


@pytest.fixture
def connect_mailchimp(
    settings: Settings, pipeline_engine: Engine, venue: Callable[..., str], sandbox: Sandbox
) -> ConnectMailchimp:
    """``connect_mailchimp(credentials, venue_id=...)``: a venue connected to the sandbox."""

    def connect(credentials: dict[str, str], venue_id: str = "moonlight-hall") -> ConnectedVenue:
        base = f"{sandbox.base_url}/mailchimp"
        here = settings.model_copy(
            update={"mailchimp_api_base": base, "mailchimp_oauth_base": base}
        )
        given = MailchimpCredentials.model_validate(credentials)
        return connect_account(here, pipeline_engine, MAILCHIMP, given, venue(venue_id))

    return connect


def open_account(sandbox: Sandbox, slug: str = "hall", **options: Any) -> MailchimpAccount:
    """An account whose time is its own, told in the Date header."""
    account = sandbox.mailchimp.create_account(slug, now=1_790_000_000, **options)
    account.clock.told = True
    return account


def differences(venue: ConnectedVenue, account: MailchimpAccount, *streams: str) -> list[str]:
    """Where the raw tables and the ledger disagree; empty when they do not."""
    found = []
    for stream in streams or MAILCHIMP.stream_names:
        landed = venue.payloads(stream)
        truth = truth_of(account, stream)
        found += [f"{stream} {name} is missing" for name in truth.keys() - landed.keys()]
        found += [f"{stream} {name} is too many" for name in landed.keys() - truth.keys()]
        for name in truth.keys() & landed.keys():
            body = {key: value for key, value in landed[name].items() if key != "_links"}
            if body != truth[name]:
                found.append(f"{stream} {name} differs: {_fields(body, truth[name])}")
    return found


def truth_of(account: MailchimpAccount, stream: str) -> dict[str, Any]:
    """The ledger's objects by the ids that we compose."""
    bodies = dict(zip(account.ids(stream), account.objects(stream), strict=True))
    if stream == "interests":
        return {f"{body['list_id']}/{name}": body for name, body in bodies.items()}
    if stream == "tags":
        return {name: {**body, "list_id": name.split("/")[0]} for name, body in bodies.items()}
    return bodies


def _fields(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]
