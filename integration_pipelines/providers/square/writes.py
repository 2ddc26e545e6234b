"""What we write at Square: the application's webhook subscription, which tells of every merchant
that has let it in. It is made with the application's own token, and stays when a venue leaves."""

from collections.abc import Callable, Sequence
from uuid import uuid4

from pydantic import SecretStr

from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.events import Hook
from integration_pipelines.core.settings import Settings

NAME = "venue-integrations"


class Subscriptions:
    """The subscriptions of the application. ``applies``: whether we apply events of a type."""

    shows_secret_once = False

    def __init__(self, settings: Settings, applies: Callable[[str], bool]) -> None:
        from square import Square
        from square.environment import SquareEnvironment

        if settings.square_access_token is None:
            raise ConfigurationError(
                "SQUARE_ACCESS_TOKEN is needed: set it to the application's own access token, of "
                "Square's developer console"
            )
        live = SquareEnvironment.PRODUCTION
        environment = SquareEnvironment.SANDBOX if settings.square_sandbox else live
        client = Square(
            token=settings.square_access_token.get_secret_value(),
            base_url=settings.square_api_base or environment.value,
        )
        self._subscriptions, self._events = client.webhooks.subscriptions, client.events
        known = client.webhooks.event_types.list().event_types or []
        self._types = sorted(name for name in known if applies(name))

    def places(self) -> Sequence[str]:
        """See Hooks."""
        return [""]

    def standing(self) -> list[Hook]:
        """See Hooks."""
        return [
            Hook(
                each.id or "",
                each.notification_url or "",
                whole=bool(each.enabled) and set(self._types) <= set(each.event_types or ()),
                secret=SecretStr(each.signature_key or ""),
            )
            for each in self._subscriptions.list(include_disabled=True)
        ]

    def add(self, url: str, place: str) -> SecretStr:
        """See Hooks. From then on Square lists events, too: see webhooks.py."""
        self._events.enable_events()
        made = self._subscriptions.create(
            subscription={"name": NAME, "event_types": self._types, "notification_url": url},
            idempotency_key=str(uuid4()),
        ).subscription
        return SecretStr((made and made.signature_key) or "")

    def mend(self, hook: Hook) -> None:
        """See Hooks. The key that signs stays as it is."""
        self._subscriptions.update(
            hook.hook_id, subscription={"enabled": True, "event_types": self._types}
        )

    def remove(self, hook: Hook) -> None:
        """See Hooks."""
        self._subscriptions.delete(hook.hook_id)
