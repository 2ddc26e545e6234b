"""What is expected of the published tables, over all venues, and the look at them through Great
Expectations. Knows no Dagster.

A table is looked at by two queries, however many venues there are. One brings a row a venue,
provider and currency: the figures of the last complete week beside what the weeks before allow. The
other brings the shapes of what people typed, by venue, with how often each occurs. So Great
Expectations, and the Data Docs that it writes, are given figures and shapes, and nothing personal
ever comes out of the database for them.

A venue is held against its own history alone: figures may go down to half of the lower quartile of
the twelve weeks before and up to twice the upper one, shares may move by 25 points beyond them.
Where those weeks differ among each other, so may the last: by the third power of the upper quartile
over the lower, where that is more than two. Weeks without a row count as nothing. Who has fewer
than eight weeks, or fewer than twenty rows in a usual one, is not judged, and neither are quantiles
and shares of a week with fewer: they are a matter of chance.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, text

from integration_pipelines.core.errors import IntegrationError

if TYPE_CHECKING:
    import pandas as pd

WEEKS = 12
WEEKS_AT_LEAST = 8
ROWS_AT_LEAST = 20
POINTS = 0.25
TIMES = 2
SPREAD = 3
KEPT = timedelta(days=30)
"""Pages of a look: for as long a link to them can be followed."""
NAMED_AT_MOST = 20
"""Failing rows of an expectation; how many there are is counted in full."""


class Format(NamedTuple):
    """How values look: ``mask`` makes a shape of one, in SQL; well-formed ones match ``shape``."""

    words: str
    mask: str
    shape: str


class Suite(NamedTuple):
    """What is expected of ``analytics.<table>``.

    A row counts on its ``day``; ``amount`` is in major units; ``shares`` are conditions by name;
    ``formats`` are of columns. ``more`` joins further columns.
    """

    table: str
    day: str = "business_date"
    currency: str = "currency"
    amount: str | None = None
    shares: Mapping[str, str] = {}
    formats: Mapping[str, Format] = {}
    more: str = ""


class Measure(NamedTuple):
    """A figure of a week, aggregated by ``sql``."""

    name: str
    words: str
    sql: str
    is_share: bool = False
    of_none: int | None = None
    """What it is in a week without a row."""

    def said(self, value: float) -> str:
        if self.is_share:
            return f"{value:.0%}"
        return f"{value:,.0f}" if self.name == "rows" else f"{value:,.2f}"


class Failing(NamedTuple):
    """A venue of which something is not as expected."""

    venue_id: str
    provider: str
    what: str
    figure: str
    expected: str


class Verdict(NamedTuple):
    """What a look at a table found; ``page`` is its page of Data Docs."""

    table: str
    expectations: int
    failed: list[str]
    failing: list[Failing]
    failing_count: int
    judged: int
    """Histories long enough: a venue's with a provider in a currency."""
    page: Path


# What stands in for a run of letters and digits, in whatever script, keeps nothing of a name.
_WORDS = r"regexp_replace({value}, '[^ -/:-@\[-`{{-~]+', 'x', 'g')"
_CHARACTERS = (
    "regexp_replace(regexp_replace(regexp_replace(left({value}, 40), '[0-9]', '9', 'g'),"
    " '[A-Z]', 'X', 'g'), '[^ -`{{-~]', 'x', 'g')"
)
EMAIL = Format("name@domain.tld", _WORDS, r"^[x.!#$%&'*+/=?^_`{|}~-]+@(?:x(?:-+x)*\.)+x$")
NAME = Format("not blank", _WORDS, r"[^ ]")
PHONE = Format(
    "5 to 17 digits",
    _CHARACTERS,
    r"^[ +(]*9(?:[ ()./-]*9){4,16}\)?(?:[ ,;]*[Xx#]{1,9}[.: ]*9{1,6})?$",
)
CURRENCY = Format("three capitals, as of ISO 4217", _CHARACTERS, r"^XXX$")
COUNTRY = Format("two capitals, as of ISO 3166", _CHARACTERS, r"^XX$")

_CREATED = "(created_at AT TIME ZONE 'UTC')::date"

SUITES = (
    Suite(
        "payments",
        amount="gross_amount",
        shares={
            "without_customer": "customer_id IS NULL",
            "disputed": "is_disputed",
            "refunded": "is_refunded",
        },
        formats={"currency": CURRENCY, "settlement_currency": CURRENCY},
        more="""LEFT JOIN (
            SELECT DISTINCT
                venue_id, provider, account_id, payment_id AS source_id, true AS is_refunded
            FROM analytics.refunds WHERE is_effective AND NOT is_deleted
        ) AS refund USING (venue_id, provider, account_id, source_id)""",
    ),
    Suite(
        "refunds",
        amount="amount",
        shares={"without_effect": "NOT is_effective"},
        formats={"currency": CURRENCY},
    ),
    Suite(
        "orders",
        amount="total_amount",
        shares={"without_customer": "customer_id IS NULL"},
        formats={"currency": CURRENCY, "customer_email": EMAIL},
    ),
    Suite(
        "invoices",
        amount="total_amount",
        shares={"without_customer": "customer_id IS NULL"},
        formats={"currency": CURRENCY},
    ),
    Suite("disputes", amount="amount", formats={"currency": CURRENCY}),
    Suite("payouts", amount="amount", formats={"currency": CURRENCY}),
    Suite(
        "customers",
        day=_CREATED,
        currency="NULL::text",
        shares={"without_email": "email IS NULL"},
        formats={
            "name": NAME,
            "email": EMAIL,
            "phone": PHONE,
            "country": COUNTRY,
            "currency": CURRENCY,
        },
    ),
    Suite(
        "audience_members",
        day=_CREATED,
        currency="NULL::text",
        shares={"subscribed": "is_subscribed"},
        formats={"name": NAME, "email": EMAIL, "phone": PHONE, "country": COUNTRY},
    ),
    Suite("loyalty_accounts", day=_CREATED, currency="NULL::text", formats={"phone": PHONE}),
)

# Who is disconnected brings nothing more, and need not be told.
_HISTORY = """
WITH weekly AS (
    SELECT venue_id, provider, {currency} AS currency, date_trunc('week', {day})::date AS week,
        {aggregates}
    FROM analytics.{table} {more}
    WHERE NOT is_deleted
        AND {day} >= CAST(:week AS date) - :days AND {day} < CAST(:week AS date) + 7
    GROUP BY 1, 2, 3, 4
),
judged AS (
    SELECT venue_id, provider, currency, min(week) AS since
    FROM weekly AS w
    JOIN marts.venue_health AS c USING (venue_id, provider)
    WHERE c.status <> 'disconnected'
    GROUP BY 1, 2, 3
),
weeks AS (
    SELECT j.venue_id, j.provider, j.currency, each::date AS week, {filled}
    FROM judged AS j
    CROSS JOIN generate_series(j.since, CAST(:week AS date), interval '7 days') AS each
    LEFT JOIN weekly AS w ON w.venue_id = j.venue_id AND w.provider = j.provider
        AND coalesce(w.currency, '') = coalesce(j.currency, '') AND w.week = each::date
),
compared AS (
    SELECT venue_id, provider, currency, {compared}
    FROM weeks
    GROUP BY 1, 2, 3
    HAVING count(*) FILTER (WHERE week < :week) >= :weeks
        AND percentile_cont(0.5) WITHIN GROUP (ORDER BY rows) FILTER (WHERE week < :week) >= :fewest
)
SELECT venue_id, provider, currency, {bounds} FROM compared ORDER BY 1, 2, 3
"""

_SHAPES = """
SELECT venue_id, provider, count(*) AS occurrences, {names}
FROM (SELECT venue_id, provider, {masked} FROM analytics.{table} WHERE NOT is_deleted) AS masked
GROUP BY GROUPING SETS ({sets})
HAVING num_nonnulls({names}) > 0
ORDER BY occurrences DESC, venue_id
"""


def last_complete_week(today: date) -> date:
    """Monday of the last week that is over everywhere, its nights and their syncs included: on a
    Monday (UTC) the one before the last."""
    yesterday = today - timedelta(days=1)
    return yesterday - timedelta(days=yesterday.weekday() + 7)


def measures(suite: Suite) -> Iterator[Measure]:
    """The figures of a table's week."""
    yield Measure("rows", "rows", "count(*)", of_none=0)
    if suite.amount is not None:
        yield Measure("amount", "sum of amounts", f"sum({suite.amount})", of_none=0)
        for name, words, fraction in (
            ("median", "median amount", 0.5),
            ("ninth_decile", "ninth decile of amounts", 0.9),
        ):
            quantile = f"percentile_cont({fraction}) WITHIN GROUP (ORDER BY {suite.amount})"
            yield Measure(name, words, quantile)
    for name, condition in suite.shares.items():
        words = f"share {name.replace('_', ' ')}"
        yield Measure(name, words, f"avg(coalesce({condition}, false)::int)", is_share=True)


def history(session: Connection, suite: Suite, *, week: date) -> "pd.DataFrame":
    """A row a venue, provider and currency: each measure of ``week``, and `<measure>_at_least` and
    `<measure>_at_most`, floats in major units."""
    asked = tuple(measures(suite))
    query = _HISTORY.format(
        **suite._asdict(),
        aggregates=", ".join(f"({each.sql})::float8 AS {each.name}" for each in asked),
        filled=", ".join(
            f"CASE WHEN rows >= :fewest THEN {each.name} END AS {each.name}"
            if each.of_none is None
            else f"coalesce({each.name}, {each.of_none}) AS {each.name}"
            for each in asked
        ),
        compared=", ".join(
            f"max({each.name}) FILTER (WHERE week = :week) AS {each.name},"
            f" percentile_cont(ARRAY[0.25, 0.75]) WITHIN GROUP (ORDER BY {each.name})"
            f" FILTER (WHERE week < :week) AS {each.name}_quartiles"
            for each in asked
        ),
        bounds=", ".join(
            f"{each.name}, {lowest} AS {each.name}_at_least, {highest} AS {each.name}_at_most"
            for each in asked
            for lowest, highest in [_bounds(each)]
        ),
    )
    figures = _frame(
        session,
        query,
        week=week,
        days=7 * WEEKS,
        weeks=WEEKS_AT_LEAST,
        fewest=ROWS_AT_LEAST,
    )
    return figures.astype(dict.fromkeys(figures.columns[3:], float))


def _bounds(measure: Measure) -> tuple[str, str]:
    lower, upper = (f"{measure.name}_quartiles[{number}]" for number in (1, 2))
    if measure.is_share:
        return f"{lower} - {POINTS}", f"{upper} + {POINTS}"
    # Either way from zero: what was given back is a negative amount.
    apart = f"greatest({upper} / nullif({lower}, 0), {lower} / nullif({upper}, 0))"
    times = f"greatest({TIMES}, power({apart}, {SPREAD}))"
    return (
        f"least({lower} / {times}, {lower} * {times})",
        f"greatest({upper} / {times}, {upper} * {times})",
    )


def shapes(session: Connection, suite: Suite) -> "pd.DataFrame":
    """A row a venue, provider, column and shape that values have: `<column>_shape`, null in the
    rows of other columns, and `occurrences`."""
    names = [f"{column}_shape" for column in suite.formats]
    query = _SHAPES.format(
        table=suite.table,
        names=", ".join(names),
        masked=", ".join(
            f"{form.mask.format(value=column)} AS {column}_shape"
            for column, form in suite.formats.items()
        ),
        sets=", ".join(f"(venue_id, provider, {name})" for name in names),
    )
    return _frame(session, query)


def _frame(session: Connection, query: str, **parameters: object) -> "pd.DataFrame":
    import pandas as pd

    result = session.execute(text(query), parameters)
    return pd.DataFrame(result.fetchall(), columns=list(result.keys()))


def evaluate(
    session: Connection, suites: Iterable[Suite], *, week: date, docs: Path
) -> list[Verdict]:
    """Hold ``suites`` against what is published, and add Data Docs of it to the folder ``docs``,
    out of results that stand beside it; both are forgotten after thirty days.

    Raises IntegrationError where an expectation could not be evaluated, which Great Expectations
    would tell as one that fails.
    """
    # Eight seconds and 240 MB, for those alone who come here.
    import great_expectations as gx
    import pandas as pd
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    # The index lists the pages whose results are there, and others go when it is written.
    results = docs.with_name(f"{docs.name}_results")
    for folder in (docs, results):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _forget(results)
    stores = InMemoryStoreBackendDefaults()
    stores.stores[stores.validation_results_store_name]["store_backend"] = _backend(results)
    context = gx.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(
            analytics_enabled=False,
            progress_bars=ProgressBarsConfig(globally=False),
            store_backend_defaults=stores,
        ),
    )
    context.add_data_docs_site(
        "published",
        {
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "store_backend": _backend(docs),
        },
    )
    run = gx.RunIdentifier(run_name=str(week), run_time=datetime.now(UTC))
    source = context.data_sources.add_pandas("analytics")
    looked: list[tuple[Suite, int, Any]] = []
    for suite in suites:
        figures = history(session, suite, week=week)
        found = pd.concat([figures, shapes(session, suite)], ignore_index=True)
        batch = source.add_dataframe_asset(suite.table).add_batch_definition_whole_dataframe("all")
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(
                name=suite.table,
                data=batch,
                suite=context.suites.add(
                    gx.ExpectationSuite(suite.table, expectations=list(_expectations(suite, week)))
                ),
            )
        )
        result = definition.run(
            batch_parameters={"dataframe": found},
            result_format={
                "result_format": "COMPLETE",
                "return_unexpected_index_query": False,
                "unexpected_index_column_names": [
                    "venue_id",
                    "provider",
                    "currency",
                    "occurrences",
                ],
            },
            run_id=run,
        )
        looked.append((suite, len(figures), result))
    of_run = [key for key in context.validation_results_store.list_keys() if key.run_id == run]
    context.build_data_docs(resource_identifiers=[*of_run, *context.expectations_store.list_keys()])
    pages = {
        key.expectation_suite_identifier.name: docs / "validations" / Path(*key.to_tuple())
        for key in of_run
    }
    return [
        _verdict(suite, judged, result.results, page=pages[suite.table].with_suffix(".html"))
        for suite, judged, result in looked
    ]


def _backend(folder: Path) -> dict[str, str]:
    return {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)}


def _forget(results: Path) -> None:
    """Looks that are long over: a folder each, under suite and week."""
    before = (datetime.now(UTC) - KEPT).timestamp()
    for look in results.glob("*/*/*"):
        if look.stat().st_mtime < before:
            shutil.rmtree(look)


def _expectations(suite: Suite, week: date) -> Iterator[Any]:
    """Each says in `meta` how a failing row reads: see `_failing`."""
    from great_expectations import expectations as gxe

    for measure in measures(suite):
        of_week = f"{measure.words} of the week of {week}"
        for bound in ("at_least", "at_most"):
            pair = measure.name, f"{measure.name}_{bound}"
            higher, lower = pair if bound == "at_least" else reversed(pair)
            yield gxe.ExpectColumnPairValuesAToBeGreaterThanB(
                column_A=higher,
                column_B=lower,
                or_equal=True,
                ignore_row_if="either_value_is_missing",
                description=f"{of_week}: {bound.replace('_', ' ')} what the weeks before allow",
                meta={"measure": measure.name, "bound": bound, "what": of_week},
            )
    for column, form in suite.formats.items():
        yield gxe.ExpectColumnValuesToMatchRegex(
            column=f"{column}_shape",
            regex=form.shape,
            description=f"{column}: {form.words}",
            meta={"column": column, "expected": form.words},
        )


def _verdict(suite: Suite, judged: int, results: Sequence[Any], *, page: Path) -> Verdict:
    broken = [each for each in results if "unexpected_count" not in each.result]
    if broken:
        told = ", ".join(each.expectation_config.description for each in broken)
        raise IntegrationError(f"{suite.table}: could not be evaluated: {told}")
    failed = [each for each in results if not each.success]
    return Verdict(
        table=suite.table,
        expectations=len(results),
        failed=[each.expectation_config.description for each in failed],
        failing=[
            _failing(suite, each.expectation_config.meta, row)
            for each in failed
            for row in each.result["unexpected_index_list"][:NAMED_AT_MOST]
        ],
        failing_count=sum(each.result["unexpected_count"] for each in failed),
        judged=judged,
        page=page,
    )


def _failing(suite: Suite, meta: Mapping[str, str], row: Mapping[str, Any]) -> Failing:
    if "column" in meta:
        shape = row[f"{meta['column']}_shape"]
        figure = f"{row['occurrences']:.0f} like {shape!r}"
        return Failing(row["venue_id"], row["provider"], meta["column"], figure, meta["expected"])
    name, bound = meta["measure"], meta["bound"]
    (measure,) = (each for each in measures(suite) if each.name == name)
    return Failing(
        row["venue_id"],
        row["provider"],
        f"{meta['what']}, {row['currency']}" if row["currency"] else meta["what"],
        measure.said(row[name]),
        f"{bound.replace('_', ' ')} {measure.said(row[f'{name}_{bound}'])}",
    )
