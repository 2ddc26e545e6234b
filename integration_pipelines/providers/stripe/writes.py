"""What we write at Stripe: the endpoints that its webhooks go to."""

from typing import Any

from msgspec import Struct
from pydantic import SecretStr

from integration_pipelines.core import bodies
from integration_pipelines.core.errors import ConfigurationError, NotFound
from integration_pipelines.core.events import Hook
from integration_pipelines.core.settings import Settings
from integration_pipelines.core.transport import Response, Transport
from integration_pipelines.providers.stripe.client import API_VERSION

PATH = "/v1/webhook_endpoints"
EVENTS = ["*"]
DESCRIPTION = "venue-integrations"


class _Endpoint(Struct):
    id: str
    url: str
    status: str
    enabled_events: list[str]
    secret: str | None = None


class _Endpoints(Struct):
    data: list[_Endpoint]


class AccountHooks:
    """The endpoints of one account, by its own key."""

    shows_secret_once = True

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def places(self) -> list[str]:
        """See Hooks."""
        return [""]

    def standing(self) -> list[Hook]:
        """See Hooks: an account has sixteen at most."""
        found = self._ask("GET", PATH, _Endpoints, params={"limit": 100})
        return [_hook(each) for each in found.data]

    def add(self, url: str, place: str) -> SecretStr:
        """See Hooks."""
        form = {"url": url, "description": DESCRIPTION, "enabled_events[]": EVENTS}
        made = self._ask("POST", PATH, _Endpoint, data=form | {"api_version": API_VERSION})
        return SecretStr(made.secret or "")

    def mend(self, hook: Hook) -> None:
        """See Hooks."""
        form = {"disabled": "false", "enabled_events[]": EVENTS}
        self._ask("POST", f"{PATH}/{hook.hook_id}", _Endpoint, data=form)

    def remove(self, hook: Hook) -> None:
        """See Hooks."""
        try:
            self._transport.request(
                "DELETE", f"{PATH}/{hook.hook_id}", endpoint=f"DELETE {PATH}/:id"
            )
        except NotFound:
            return

    def _ask(self, method: str, path: str, kind: Any, **options: Any) -> Any:
        def parse(response: Response) -> Any:
            return bodies.decode(bodies.compact(response.body, "Stripe"), kind, "Stripe")

        shown = PATH if path == PATH else f"{PATH}/:id"
        return self._transport.request(
            method, path, endpoint=f"{method} {shown}", parse=parse, **options
        )


class PlatformHooks:
    """The endpoint of our platform, which is told of every account connected to it."""

    shows_secret_once = True

    def __init__(self, settings: Settings) -> None:
        import stripe

        if settings.stripe_secret_key is None:
            raise ConfigurationError(
                "STRIPE_SECRET_KEY is needed: set it to the secret key of the platform"
            )
        base = {"api": settings.stripe_api_base} if settings.stripe_api_base else {}
        client = stripe.StripeClient(
            settings.stripe_secret_key.get_secret_value(),
            base_addresses=base,  # type: ignore[arg-type]
            max_network_retries=2,
        )
        self._endpoints = client.v1.webhook_endpoints

    def places(self) -> list[str]:
        """See Hooks."""
        return [""]

    def standing(self) -> list[Hook]:
        """See Hooks."""
        return [_hook(each) for each in self._endpoints.list({"limit": 100}).auto_paging_iter()]

    def add(self, url: str, place: str) -> SecretStr:
        """See Hooks."""
        made = self._endpoints.create(
            {
                "url": url,
                "connect": True,
                "description": DESCRIPTION,
                "enabled_events": ["*"],
                "api_version": API_VERSION,  # type: ignore[typeddict-item]
            }
        )
        return SecretStr(made.secret or "")

    def mend(self, hook: Hook) -> None:
        """See Hooks."""
        self._endpoints.update(hook.hook_id, {"disabled": False, "enabled_events": ["*"]})

    def remove(self, hook: Hook) -> None:
        """See Hooks."""
        self._endpoints.delete(hook.hook_id)


def hooks_of(client: Any) -> AccountHooks | None:
    """An account that is connected by consent is told of at our platform's endpoint."""
    if client.credentials.api_key is None:
        return None
    return AccountHooks(client.transport)


def _hook(endpoint: Any) -> Hook:
    whole = endpoint.status == "enabled" and list(endpoint.enabled_events) == EVENTS
    return Hook(endpoint.id, endpoint.url, whole=whole)
