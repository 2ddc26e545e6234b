"""Whose company a token opens, asked through python-quickbooks over the shared transport."""

from types import SimpleNamespace
from typing import Any

from quickbooks import QuickBooks
from quickbooks.objects.company_info import CompanyInfo

from integration_pipelines.core.errors import MalformedResponse
from integration_pipelines.core.provider import Account
from integration_pipelines.core.transport import Response, Transport
from integration_pipelines.providers.quickbooks.client import MINOR_VERSION, NAME, fields_of


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
        return SimpleNamespace(status_code=answer.status, text=answer.body.decode("utf-8-sig"))


def _checked(response: Response) -> Response:
    """``response``, if it is a company or a report: the SDK has its own error for anything else,
    and quotes it."""
    if fields_of(response).keys().isdisjoint(("CompanyInfo", "Header")):
        raise MalformedResponse(f"{NAME}'s answer is neither a company nor a report")
    return response


def identify(transport: Transport, *, realm_id: str, livemode: bool) -> Account:
    """Realm, name, home currency and country of the company. Raises AccessRevoked on a refused
    token.

    The currency is that of its profit and loss: an account's or a customer's may be foreign.
    """
    sdk = SdkClient(company_id=realm_id, minorversion=MINOR_VERSION)
    sdk.transport = transport
    try:
        company = CompanyInfo.get(realm_id, qb=sdk)
        header = sdk.get_report("ProfitAndLoss", {"date_macro": "Today"})["Header"]
        currency = header.get("Currency")
    except (AttributeError, KeyError, TypeError) as error:
        raise MalformedResponse(f"{NAME}'s answer lacks what it documents") from error
    details = {
        "legal_name": company.LegalName,
        "started_on": company.CompanyStartDate,
        "fiscal_year_starts": company.FiscalYearStartMonth,
        "time_zone": getattr(company, "DefaultTimeZone", None),
    }
    return Account(
        account_id=realm_id,
        name=company.CompanyName or company.LegalName or realm_id,
        currency=currency.upper() if currency else None,
        country=company.Country or None,
        livemode=livemode,
        details={name: value for name, value in details.items() if value},
    )
