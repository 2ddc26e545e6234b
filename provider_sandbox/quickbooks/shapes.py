"""Bodies of the API's objects, without what every object gets (Id, SyncToken, MetaData).

Amounts are Decimals, dates YYYY-MM-DD. Fields without a value are left out, as the API does.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from provider_sandbox.ledger import Json

ZERO = Decimal("0")
CURRENCY_NAMES = {
    "USD": "United States Dollar", "EUR": "Euro", "GBP": "British Pound Sterling",
    "JPY": "Japanese Yen", "CAD": "Canadian Dollar", "AUD": "Australian Dollar",
    "KWD": "Kuwaiti Dinar", "CHF": "Swiss Franc",
}  # fmt: skip


def present(**fields: Any) -> Json:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def ref(id: str, name: str | None = None, type: str | None = None) -> Json:
    return present(value=id, name=name, type=type)


def to(found: Json) -> Json:
    """A reference to an object."""
    name = found.get("FullyQualifiedName") or found.get("DisplayName") or found.get("Name")
    return ref(found["Id"], name)


def currency_ref(currency: str) -> Json:
    return ref(currency, CURRENCY_NAMES[currency])


def address(id: str, line: str, city: str, region: str | None, code: str, country: str) -> Json:
    return present(
        Id=id, Line1=line, City=city, Country=country, CountrySubDivisionCode=region,
        PostalCode=code,
    )  # fmt: skip


def company_info(
    *, name: str, country: str, timezone: str, start: str, address: Json, email: str,
    multicurrency: bool, currency: str,
) -> Json:  # fmt: skip
    return {
        "CompanyName": name, "LegalName": name, "CompanyAddr": address,
        "CustomerCommunicationAddr": address, "LegalAddr": address,
        "CustomerCommunicationEmailAddr": {"Address": email},
        "PrimaryPhone": {"FreeFormNumber": "(555) 010-0199"}, "CompanyStartDate": start,
        "FiscalYearStartMonth": "January", "Country": country, "Email": {"Address": email},
        "WebAddr": {}, "SupportedLanguages": "en", "DefaultTimeZone": timezone,
        "NameValue": [
            {"Name": "NeoEnabled", "Value": "true"},
            {"Name": "IndustryType", "Value": "Performing arts, spectator sports"},
            {"Name": "SubscriptionStatus", "Value": "SUBSCRIBED"},
            {"Name": "OfferingSku", "Value": "QuickBooks Online Plus"},
            {"Name": "MultiCurrency", "Value": str(multicurrency).lower()},
            {"Name": "HomeCurrency", "Value": currency},
        ],
    }  # fmt: skip


def account(
    name: str, type: str, subtype: str, classification: str, *, currency: str,
    description: str | None = None, number: str | None = None, parent: Json | None = None,
    active: bool = True,
) -> Json:  # fmt: skip
    full = name if parent is None else f"{parent['FullyQualifiedName']}:{name}"
    return present(
        Name=name, SubAccount=parent is not None, ParentRef=parent and to(parent),
        FullyQualifiedName=full, Description=description, Active=active,
        Classification=classification, AccountType=type, AccountSubType=subtype, AcctNum=number,
        CurrentBalance=ZERO, CurrentBalanceWithSubAccounts=ZERO,
        CurrencyRef=currency_ref(currency),
    )  # fmt: skip


def customer(
    *, given: str | None, family: str | None, company: str | None, email: str | None,
    phone: str | None, address: Json | None, currency: str, taxable: bool, term: Json | None,
) -> Json:  # fmt: skip
    name = company or f"{given} {family}"
    return present(
        Taxable=taxable, BillAddr=address, Job=False, BillWithParent=False, Balance=ZERO,
        BalanceWithJobs=ZERO, CurrencyRef=currency_ref(currency), PreferredDeliveryMethod="Email",
        IsProject=False, GivenName=given, FamilyName=family, FullyQualifiedName=name,
        CompanyName=company, DisplayName=name, PrintOnCheckName=name, Active=True,
        PrimaryPhone=phone and {"FreeFormNumber": phone},
        PrimaryEmailAddr=email and {"Address": email}, SalesTermRef=term and to(term),
    )  # fmt: skip


def vendor(*, name: str, email: str | None, currency: str, term: Json, vendor_1099: bool) -> Json:
    return present(
        Balance=ZERO, Vendor1099=vendor_1099, CurrencyRef=currency_ref(currency),
        TermRef=to(term), CompanyName=name, DisplayName=name, PrintOnCheckName=name, Active=True,
        PrimaryEmailAddr=email and {"Address": email},
    )  # fmt: skip


def employee(*, given: str, family: str, hired: str, rate: Decimal, address: Json) -> Json:
    return {
        "PrimaryAddr": address, "BillableTime": False, "CostRate": rate, "HiredDate": hired,
        "GivenName": given, "FamilyName": family, "DisplayName": f"{given} {family}",
        "PrintOnCheckName": f"{given} {family}", "Active": True,
        "PrimaryPhone": {"FreeFormNumber": "(555) 010-0123"},
    }  # fmt: skip


def item(
    name: str, *, type: str, price: Decimal, income: Json, expense: Json | None,
    cost: Decimal | None, sku: str | None, taxable: bool, description: str | None,
) -> Json:  # fmt: skip
    return present(
        Name=name, Sku=sku, Description=description, Active=True, FullyQualifiedName=name,
        Taxable=taxable, UnitPrice=price, Type=type, IncomeAccountRef=to(income),
        ExpenseAccountRef=expense and to(expense), PurchaseCost=cost or ZERO,
        TrackQtyOnHand=False,
    )  # fmt: skip


def bundle(name: str, parts: Sequence[tuple[Json, Decimal]], *, description: str) -> Json:
    """An item that is other items, each so many times: without a price or account of its own."""
    return {
        "Name": name, "Description": description, "Active": True, "FullyQualifiedName": name,
        "Taxable": False, "UnitPrice": ZERO, "Type": "Group", "PurchaseCost": ZERO,
        "TrackQtyOnHand": False, "PrintGroupedItems": True,
        "ItemGroupDetail": {
            "ItemGroupLine": [{"ItemRef": to(item), "Qty": quantity} for item, quantity in parts]
        },
    }  # fmt: skip


def term(name: str, due_days: int, *, discount: int = 0, active: bool = True) -> Json:
    return present(
        Name=name, Active=active, Type="STANDARD", DiscountPercent=discount, DueDays=due_days,
        DiscountDays=10 if discount else 0,
    )  # fmt: skip


def payment_method(name: str, type: str, *, active: bool = True) -> Json:
    return {"Name": name, "Active": active, "Type": type}


def named(name: str, kind: str, *, parent: Json | None = None, active: bool = True) -> Json:
    """A class or department (``kind`` Class or Department)."""
    full = name if parent is None else f"{parent['FullyQualifiedName']}:{name}"
    fields = {
        "Name": name, f"Sub{kind}": parent is not None, "FullyQualifiedName": full,
        "Active": active,
    }  # fmt: skip
    return fields if parent is None else fields | {"ParentRef": to(parent)}


def tax_agency(name: str, registration: str) -> Json:
    return {
        "DisplayName": name, "TaxRegistrationNumber": registration, "TaxTrackedOnPurchases": False,
        "TaxTrackedOnSales": True, "LastFileDate": "2020-01-01",
    }  # fmt: skip


def tax_rate(name: str, percent: Decimal, agency: Json, since: str, *, active: bool = True) -> Json:
    return {
        "Name": name, "Description": name, "Active": active, "RateValue": percent,
        "AgencyRef": ref(agency["Id"]), "SpecialTaxType": "NONE", "DisplayType": "ReadOnly",
        "EffectiveTaxRate": [{"RateValue": percent, "EffectiveDate": since}],
    }  # fmt: skip


def tax_code(name: str, rates: Sequence[Json], *, taxable: bool, active: bool = True) -> Json:
    details = [
        {"TaxRateRef": to(rate), "TaxTypeApplicable": "TaxOnAmount", "TaxOrder": 0}
        for rate in rates
    ]
    return {
        "Name": name, "Description": name, "Active": active, "Taxable": taxable,
        "TaxGroup": bool(rates), "SalesTaxRateList": {"TaxRateDetail": details},
        "PurchaseTaxRateList": {"TaxRateDetail": []}, "Hidden": False,
    }  # fmt: skip


def item_line(
    number: int, item: Json, quantity: Decimal, price: Decimal, amount: Decimal, *, tax_code: str,
    klass: Json | None,
) -> Json:  # fmt: skip
    return present(
        Id=str(number), LineNum=number, Description=item.get("Description"), Amount=amount,
        DetailType="SalesItemLineDetail",
        SalesItemLineDetail=present(
            ItemRef=to(item), ClassRef=klass and to(klass), UnitPrice=price, Qty=quantity,
            ItemAccountRef=item["IncomeAccountRef"], TaxCodeRef=ref(tax_code),
        ),
    )  # fmt: skip


def bundle_line(number: int, item: Json, quantity: Decimal, lines: Sequence[Json]) -> Json:
    """A line of a bundle, with those of the items in it."""
    return {
        "Id": str(number), "LineNum": number, "Description": item["Description"],
        "Amount": sum((line["Amount"] for line in lines), ZERO), "DetailType": "GroupLineDetail",
        "GroupLineDetail": {"GroupItemRef": to(item), "Quantity": quantity, "Line": lines},
    }  # fmt: skip


def subtotal_line(amount: Decimal) -> Json:
    return {"Amount": amount, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}}


def discount_line(number: int, amount: Decimal, percent: int | None, account: Json) -> Json:
    detail = present(
        PercentBased=percent is not None, DiscountPercent=percent, DiscountAccountRef=to(account)
    )
    return {
        "Id": str(number), "LineNum": number, "Amount": amount,
        "DetailType": "DiscountLineDetail", "DiscountLineDetail": detail,
    }  # fmt: skip


def tax_line(amount: Decimal, rate: Json, net: Decimal) -> Json:
    return {
        "Amount": amount, "DetailType": "TaxLineDetail",
        "TaxLineDetail": {
            "TaxRateRef": ref(rate["Id"]), "PercentBased": True, "TaxPercent": rate["RateValue"],
            "NetAmountTaxable": net,
        },
    }  # fmt: skip


def expense_line(
    number: int, account: Json, amount: Decimal, description: str, *, klass: Json | None
) -> Json:
    return {
        "Id": str(number), "LineNum": number, "Description": description, "Amount": amount,
        "DetailType": "AccountBasedExpenseLineDetail",
        "AccountBasedExpenseLineDetail": present(
            ClassRef=klass and to(klass), AccountRef=to(account), BillableStatus="NotBillable",
            TaxCodeRef=ref("NON"),
        ),
    }  # fmt: skip


def link(type: str, id: str, line: str | None = None) -> Json:
    return present(TxnId=id, TxnType=type, TxnLineId=line)


def applied_line(amount: Decimal, type: str, id: str) -> Json:
    """A line of a payment: how much of it settles the document."""
    return {"Amount": amount, "LinkedTxn": [link(type, id)]}


def journal_line(
    number: int, account: Json, amount: Decimal, posting: str, description: str
) -> Json:
    return {
        "Id": str(number), "Description": description, "Amount": amount,
        "DetailType": "JournalEntryLineDetail",
        "JournalEntryLineDetail": {"PostingType": posting, "AccountRef": to(account)},
    }  # fmt: skip


def deposited_line(number: int, found: Json, type: str) -> Json:
    """A line of a deposit for a receipt or payment that waited in Undeposited Funds."""
    return {
        "Id": str(number), "LineNum": number, "Amount": found["TotalAmt"],
        "LinkedTxn": [link(type, found["Id"], "0")],
    }  # fmt: skip


def deposit_line(number: int, amount: Decimal, account: Json, description: str) -> Json:
    return {
        "Id": str(number), "LineNum": number, "Description": description, "Amount": amount,
        "DetailType": "DepositLineDetail", "DepositLineDetail": {"AccountRef": to(account)},
    }  # fmt: skip
