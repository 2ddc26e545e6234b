"""What we write at Mailchimp: the webhooks of each audience."""

from typing import Any
from urllib.parse import quote

from msgspec import Struct

from integration_pipelines.core import bodies
from integration_pipelines.core.errors import NotFound
from integration_pipelines.core.events import Hook
from integration_pipelines.core.transport import Response, Transport

NAME = "Mailchimp"
EVENTS = ("subscribe", "unsubscribe", "profile", "cleaned", "upemail", "campaign")
SOURCES = ("user", "admin", "api")
TOLD = {"events": dict.fromkeys(EVENTS, True), "sources": dict.fromkeys(SOURCES, True)}
LISTS, HOOKS = "/3.0/lists", "/3.0/lists/:id/webhooks"
MOST = 1_000


class _List(Struct):
    id: str


class _Lists(Struct):
    lists: list[_List]


class _Webhook(Struct):
    id: str
    url: str
    events: dict[str, bool] = {}
    sources: dict[str, bool] = {}


class _Webhooks(Struct):
    webhooks: list[_Webhook]


class AudienceHooks:
    """The webhooks of an account's audiences: one each. Nothing signs them."""

    shows_secret_once = False

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._places: list[str] | None = None

    def places(self) -> list[str]:
        """See Hooks: the ids of the audiences."""
        if self._places is None:
            found = self._ask(
                "GET", LISTS, LISTS, _Lists, params={"fields": "lists.id", "count": MOST}
            )
            self._places = [each.id for each in found.lists]
        return self._places

    def standing(self) -> list[Hook]:
        """See Hooks."""
        return [
            Hook(each.id, each.url, place, whole=_is_whole(each))
            for place in self.places()
            for each in self._ask("GET", _path(place), HOOKS, _Webhooks).webhooks
        ]

    def add(self, url: str, place: str) -> None:
        """See Hooks. Mailchimp asks the URL before it takes it."""
        self._ask("POST", _path(place), HOOKS, _Webhook, json={"url": url, **TOLD})

    def mend(self, hook: Hook) -> None:
        """See Hooks."""
        self.remove(hook)
        self.add(hook.url, hook.place)

    def remove(self, hook: Hook) -> None:
        """See Hooks."""
        path = f"{_path(hook.place)}/{quote(hook.hook_id, safe='')}"
        try:
            self._transport.request("DELETE", path, endpoint=f"DELETE {HOOKS}/:id")
        except NotFound:
            return

    def _ask(self, method: str, path: str, shown: str, kind: Any, **options: Any) -> Any:
        def parse(response: Response) -> Any:
            return bodies.decode(bodies.compact(response.body, NAME), kind, NAME)

        return self._transport.request(
            method, path, endpoint=f"{method} {shown}", parse=parse, **options
        )


def hooks_of(client: Any) -> AudienceHooks:
    """Of each connection."""
    return AudienceHooks(client.transport)


def _path(place: str) -> str:
    return f"{LISTS}/{quote(place, safe='')}/webhooks"


def _is_whole(webhook: _Webhook) -> bool:
    return all(webhook.events.get(name) for name in EVENTS) and all(
        webhook.sources.get(name) for name in SOURCES
    )
