"""Tables for people and JSON for programs, from the same rows."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

json_option = click.option("--json", "as_json", is_flag=True, help="JSON in place of a table.")

Row = Mapping[str, Any]


def console(*, stderr: bool = False) -> Console:
    """Standard output (or error); piped, lines are as long as they need to be."""
    width = None if (sys.stderr if stderr else sys.stdout).isatty() else 1000
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=False)


def print_json(document: object) -> None:
    """``document`` on standard output; times as ISO 8601."""
    click.echo(json.dumps(document, default=_plain, indent=2, ensure_ascii=False))


def table(rows: Sequence[Row], columns: Sequence[str], title: str | None = None) -> Table:
    """``rows`` as a table of ``columns``; numbers stand to the right."""
    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    for column in columns:
        numeric = any(isinstance(row.get(column), int | float | Decimal) for row in rows)
        made.add_column(
            column.replace("_", " "), justify="right" if numeric else "left", overflow="fold"
        )
    for row in rows:
        made.add_row(*(Text(shown(row.get(column))) for column in columns))
    return made


def shown(value: object) -> str:
    """A value as people read it."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.1f}"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S %Z").strip()
        case time():
            return value.strftime("%H:%M")
        case _:
            return str(value)


def _plain(value: object) -> object:
    match value:
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal() | UUID():
            return str(value)
        case _:
            raise TypeError(f"{type(value).__name__} is not JSON")
