"""API calls, counted in memory and written with the rows they brought."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from threading import Lock

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from integration_pipelines.core.tables import integration_costs


@dataclass(slots=True)
class Cost:
    """Calls to one endpoint on one day (UTC, the database's clock). ``calls`` counts every
    request sent, retries too; ``errors`` those without a usable answer, ``rate_limited`` among
    them; ``seconds`` the time they took together; ``cost`` those that the provider meters."""

    venue_id: str
    provider: str
    endpoint: str
    day: date
    calls: int = 0
    errors: int = 0
    rate_limited: int = 0
    seconds: float = 0.0
    cost: int = 0


class CostCounter:
    """Counts one connection's calls; all of them cost if ``metered``. Thread-safe."""

    def __init__(self, *, venue_id: str, provider: str, metered: bool = False) -> None:
        self._venue_id = venue_id
        self._provider = provider
        self._metered = metered
        self._costs: dict[tuple[str, date], Cost] = {}
        self._lock = Lock()

    def add(
        self, endpoint: str, day: date, *, seconds: float, error: bool, rate_limited: bool
    ) -> None:
        """Count one call."""
        with self._lock:
            cost = self._costs.get((endpoint, day))
            if cost is None:
                cost = Cost(self._venue_id, self._provider, endpoint, day)
                self._costs[endpoint, day] = cost
            cost.calls += 1
            cost.errors += error
            cost.rate_limited += rate_limited
            cost.seconds += seconds
            cost.cost += self._metered

    def drain(self) -> list[Cost]:
        """What was counted since the last call of this."""
        with self._lock:
            costs, self._costs = self._costs, {}
        return list(costs.values())


def record_costs(connection: Connection, costs: Sequence[Cost]) -> None:
    """Add ``costs`` to `control.integration_costs`, in the caller's transaction and venue scope."""
    if not costs:
        return
    add = insert(integration_costs)
    held, new = integration_costs.c, add.excluded
    connection.execute(
        add.on_conflict_do_update(
            index_elements=[held.venue_id, held.provider, held.endpoint, held.day],
            set_={
                name: held[name] + new[name]
                for name in ("calls", "errors", "rate_limited", "seconds", "cost")
            },
        ),
        # In one order, so that two syncs of a venue never wait for each other's rows.
        [
            {
                "venue_id": cost.venue_id,
                "provider": cost.provider,
                "endpoint": cost.endpoint,
                "day": cost.day,
                "calls": cost.calls,
                "errors": cost.errors,
                "rate_limited": cost.rate_limited,
                "seconds": cost.seconds,
                "cost": cost.cost,
            }
            for cost in sorted(costs, key=lambda cost: (cost.provider, cost.endpoint, cost.day))
        ],
    )
