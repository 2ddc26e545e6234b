"""QuickBooks' reports as tables."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

COLUMNS = ("section", "account_id", "account", "kind", "column", "starts_on", "ends_on", "amount")


def flatten_report(payload: Mapping[str, Any]) -> "pandas.DataFrame":
    """A report as landed, as a frame of COLUMNS: a row for each account or summary and column.

    ``section`` is the path of headings above, joined by " / "; ``kind`` "account" or "summary";
    ``starts_on`` and ``ends_on`` the column's days, None for a total; ``amount`` a Decimal as
    written, None where the report has none.
    """
    import pandas

    columns = [_column(column) for column in payload["Columns"]["Column"]][1:]
    rows = _rows(payload["Rows"].get("Row", ()), (), columns)
    return pandas.DataFrame(list(rows), columns=pandas.Index(COLUMNS))


def months_of(report: "pandas.DataFrame") -> list[date]:
    """First days of the columns in which anything stands."""
    found = report.starts_on[report.amount.map(bool)].dropna()
    return [date.fromisoformat(day) for day in found.unique()]


def digests_of(report: "pandas.DataFrame") -> dict[str, str]:
    """Of a report by month: a digest of all that stands in each month's column, by "YYYY-MM". What
    is zero is left out: a row is there for the sake of another month."""
    digests: dict[str, Any] = {}
    for section, account_id, account, kind, _, starts_on, _, amount in report.values.tolist():
        if amount and isinstance(starts_on, str):
            digest = digests.setdefault(starts_on[:7], sha256())
            row = (section, account_id, account, kind, str(amount.normalize()))
            digest.update(repr(row).encode())
    return {month: digest.hexdigest()[:16] for month, digest in digests.items()}


def _column(column: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
    keys = {pair["Name"]: pair["Value"] for pair in column.get("MetaData", ())}
    return column.get("ColTitle", ""), keys.get("StartDate"), keys.get("EndDate")


def _rows(
    nodes: Sequence[Mapping[str, Any]],
    path: tuple[str, ...],
    columns: Sequence[tuple[str, str | None, str | None]],
) -> Iterator[tuple[Any, ...]]:
    for node in nodes:
        head = node.get("Header", {}).get("ColData") or [{}]
        heading = head[0].get("value", "")
        below = (*path, heading) if heading else path
        # An account that has others below it heads their section, its own amounts beside it.
        if any(cell.get("value") for cell in head[1:]):
            yield from _cells(head, "account", path, columns)
        if node.get("ColData"):
            yield from _cells(node["ColData"], "account", path, columns)
        yield from _rows(node.get("Rows", {}).get("Row", ()), below, columns)
        if summary := node.get("Summary", {}).get("ColData"):
            yield from _cells(summary, "summary", below, columns)


def _cells(
    data: Sequence[Mapping[str, Any]],
    kind: str,
    path: tuple[str, ...],
    columns: Sequence[tuple[str, str | None, str | None]],
) -> Iterator[tuple[Any, ...]]:
    label = data[0]
    for (title, starts_on, ends_on), cell in zip(columns, data[1:], strict=False):
        amount = Decimal(cell["value"]) if cell.get("value") else None
        yield (
            " / ".join(path),
            label.get("id"),
            label.get("value", ""),
            kind,
            title,
            starts_on,
            ends_on,
            amount,
        )
