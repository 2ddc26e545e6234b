"""How much of some tables a query reads."""

from typing import Any

from sqlalchemy import Connection


def rows_read(session: Connection, statement: str, values: Any, *tables: str) -> int:
    """Rows of ``tables`` that it reads, those that are passed over too. Runs it."""
    explained = session.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values)
    (document,) = explained.scalars().one()
    return _rows(document["Plan"], tables)


def _rows(plan: dict[str, Any], tables: tuple[str, ...]) -> int:
    rows = sum(_rows(below, tables) for below in plan.get("Plans", ()))
    if plan.get("Relation Name") in tables:
        read = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        rows += int(read * plan["Actual Loops"])
    return rows
