"""Whose account a key opens, asked through Mailchimp's own SDK over the shared transport."""

from typing import Any

import msgspec
from mailchimp_marketing.api.root_api import RootApi
from mailchimp_marketing.api_client import ApiClient

from integration_pipelines.core import bodies
from integration_pipelines.core.provider import Account
from integration_pipelines.core.transport import Transport
from integration_pipelines.providers.mailchimp.client import NAME


class SdkClient(ApiClient):  # type: ignore[misc]
    """Builds the SDK's requests and sends them the one way out, where its own way opens a
    connection for each; what is refused is raised as this project's error."""

    def __init__(self, transport: Transport) -> None:
        super().__init__({})
        self._transport = transport

    def call_api(
        self, resource_path: str, method: str, path_params: Any = None, query_params: Any = None,
        header_params: Any = None, body: Any = None, collection_formats: Any = None, **_: Any,
    ) -> Any:  # fmt: skip
        """One request; the decoded body."""
        return self._transport.request(
            method,
            f"/3.0{resource_path}",
            params=self.parameters_to_tuples(query_params or {}, collection_formats),
            json=body,
            endpoint=f"{method} /3.0{resource_path}",
            parse=lambda answer: bodies.decode(
                bodies.compact(answer.body, NAME), dict[str, Any], NAME
            ),
        )


class _Root(msgspec.Struct):
    account_id: str
    account_name: str
    contact: dict[str, Any] = {}
    total_subscribers: int | None = None


def identify(transport: Transport, *, dc: str) -> Account:
    """Id, name and country of the account; Mailchimp bills e-mails and has no currency. Raises
    AccessRevoked on a refused key."""
    answer = RootApi(SdkClient(transport)).get_root(
        fields=["account_id", "account_name", "contact"]
    )
    root = bodies.decode(msgspec.json.encode(answer), _Root, NAME)
    return Account(
        account_id=root.account_id,
        name=root.account_name or root.account_id,
        country=root.contact.get("country") or None,
        details={"dc": dc},
    )
