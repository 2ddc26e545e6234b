"""`python -m benchmarks [NAME…]`: run, print tables, write `benchmarks/results/NAME.json`."""

import argparse
import json
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import budget, imports, landing, limits, mapping, providers, venues, webhooks
from benchmarks.stage import Stage, stage

TARGET = "target met"
"""The column that says "yes" or "no", of benchmarks that have a target."""
RESULTS = Path(__file__).parent / "results"

BENCHMARKS: dict[str, Callable[[Stage, argparse.Namespace], list[dict[str, Any]]]] = {
    "landing": lambda on, options: landing.run(on, rows=options.rows, repeats=options.repeats),
    "landing-latency": lambda on, options: landing.run_with_latency(on),
    "venues": lambda on, options: venues.run(on, venues=options.venues),
    "landing-memory": lambda on, options: landing.run_memory(on, rows=options.rows // 2),
    "providers": lambda on, options: providers.run(on, rows=options.rows // 2),
    "budget": lambda on, options: budget.run(on),
    "limits": lambda on, options: limits.run(on),
    "webhooks-acknowledged": lambda on, options: webhooks.acknowledged(on),
    "webhooks-latency": lambda on, options: webhooks.latency(on),
    "webhooks-drained": lambda on, options: webhooks.drained(on),
    "webhooks-at-scale": lambda on, options: webhooks.at_scale(on, rows=options.rows * 50),
    "mapping": lambda on, options: mapping.run(
        on, rows=options.rows * 25, venues=options.venues, repeats=options.repeats
    ),
    "imports": lambda on, options: imports.run(repeats=options.repeats),
}


def main() -> None:
    """Run what is named on the command line, or all of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[*BENCHMARKS, []], help="default: all")
    parser.add_argument("--rows", type=int, default=40_000, help="rows of the landing benchmark")
    parser.add_argument("--venues", type=int, default=200, help="venues of the venues benchmark")
    parser.add_argument("--repeats", type=int, default=3, help="the median of so many is shown")
    options = parser.parse_args()
    # Tables are wider than a pipe's 80 columns.
    console = Console(width=max(Console().width, 130))
    RESULTS.mkdir(exist_ok=True)
    missed = []
    for name in options.name or BENCHMARKS:
        with console.status(f"{name} …"), stage() as on:
            rows = BENCHMARKS[name](on, options)
        console.print(as_table(name, rows))
        missed += [f"{name}: {row['case']}" for row in rows if row.get(TARGET) == "no"]
        (RESULTS / f"{name}.json").write_text(
            json.dumps(
                {
                    "benchmark": name,
                    "at": datetime.now(UTC).isoformat(timespec="seconds"),
                    "machine": platform.platform(),
                    "rows": rows,
                },
                indent=2,
            )
        )
    if missed:
        raise SystemExit(f"a target was missed: {', '.join(missed)}")


def as_table(title: str, rows: list[dict[str, Any]]) -> Table:
    """Figures for people: three digits that matter."""
    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        table.add_column(column, justify="left" if column == "case" else "right")
    for row in rows:
        table.add_row(*(shown(value) for value in row.values()))
    return table


def shown(value: object) -> str:
    """A cell."""
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    main()
