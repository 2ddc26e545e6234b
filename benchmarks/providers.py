"""A first load of every provider, nothing but the machine in its way: rows a second and CPU."""

from typing import Any

from benchmarks.stage import Stage

STREAMS = {
    "stripe": ("charges", "customers"),
    "square": ("payments", "orders", "customers"),
    "mailchimp": ("members", "email_activity"),
    "quickbooks": ("invoices", "sales_receipts", "customers"),
}


def run(stage: Stage, *, rows: int) -> list[dict[str, Any]]:
    """A row a provider and stream: ``rows`` landed for the first time, then read again unchanged.
    CPU seconds are those of client and Postgres together, for each 100,000 rows."""
    found = []
    for provider, streams in STREAMS.items():
        for stream in streams:
            slug = f"{provider}-{stream}".replace("_", "-")
            account = stage.account(provider, slug, only={stream: rows})
            venue = stage.connect(provider, slug, account)
            loaded = stage.measure("sync_venue", venue_id=venue, streams=[stream])
            again = stage.measure("sync_venue", venue_id=venue, streams=[stream], full=True)
            found.append(
                {
                    "case": f"{provider} {stream}",
                    "rows": loaded["rows"],
                    "calls": loaded["api_calls"],
                    "rows a second": loaded["rows"] / loaded["seconds"],
                    "CPU s": _cpu(loaded),
                    "unchanged, rows a second": again["rows"] / again["seconds"],
                    "unchanged, CPU s": _cpu(again),
                    "written again": again["inserted"] + again["updated"],
                }
            )
    return found


def _cpu(figures: dict[str, Any]) -> float:
    seconds = float(figures["client_cpu"] + figures["postgres_cpu"])
    return seconds / int(figures["rows"]) * 100_000
