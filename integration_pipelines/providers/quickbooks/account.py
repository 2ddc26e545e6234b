"""Whose company a token opens, asked through python-quickbooks over the shared transport."""

from types import SimpleNamespace
from typing import Any

import msgspec
from quickbooks import QuickBooks
from quickbooks.objects.company_info import CompanyInfo

from integration_pipelines.core.provider import Account
from integration_pipelines.core.transport import Response, Transport
from integration_pipelines.providers.quickbooks.client import (
    MINOR_VERSION,
    QuickBooksReader,
    fields_of,
)
from integration_pipelines.providers.quickbooks.streams import BY_NAME


class SdkClient(QuickBooks):  # type: ignore[misc]
    """Sends the SDK's requests the one way out: its limits, retries and breaker hold."""

    transport: Transport

    def process_request(
        self, request_type: str, url: str, headers: Any = "", params: Any = "", data: Any = ""
    ) -> SimpleNamespace:
        """One request; what is refused is raised as this project's error, not the SDK's."""
        path = url[url.index("/v3/") :]
        answer = self.transport.request(
            request_type,
            path,
            params=params,
            data=data or None,
            endpoint=f"{request_type} {path.rpartition('/')[0].rpartition('/')[2]}",
            parse=_checked,
        )
        return SimpleNamespace(status_code=answer.status, text=answer.body.decode())


def _checked(response: Response) -> Response:
    fields_of(response)
    return response


def identify(transport: Transport, *, realm_id: str, livemode: bool) -> Account:
    """Realm, name, currency and country of the company. Raises AccessRevoked on a refused token."""
    sdk = SdkClient(company_id=realm_id, minorversion=MINOR_VERSION)
    sdk.transport = transport
    company = CompanyInfo.get(realm_id, qb=sdk)
    accounts = QuickBooksReader(transport, realm_id).query(BY_NAME["accounts"], page=1)
    money: dict[str, Any] = {}
    if accounts.records:
        money = msgspec.json.decode(accounts.records[0].payload).get("CurrencyRef") or {}
    return Account(
        account_id=realm_id,
        name=company.CompanyName or company.LegalName or realm_id,
        currency=money.get("value"),
        country=company.Country or None,
        livemode=livemode,
    )
