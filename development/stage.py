"""The stage that demo and development play on: three venues, and their accounts in the sandbox.

The sandbox keeps its accounts in memory, and the same seed, times and moves give the same ones
again. So what is kept, in DATA_DIR/stage.json, is when the accounts began and how they went on;
whoever raises the stage finds the accounts as they were left, equal to what has landed. Another
version of the sandbox would play them otherwise: then, and where nothing was kept, they begin anew.
"""

import fcntl
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from babel.numbers import get_currency_precision

from development.processes import Processes, free_port
from integration_pipelines.core.errors import IntegrationError

ROOT = Path(__file__).parents[1]
COMMAND = Path(sys.executable).with_name("integrations")
PORT = 12111
SEED = 1


class StageVenue(NamedTuple):
    """A venue, and how its accounts sell."""

    venue_id: str
    name: str
    timezone: str
    currency: str
    country: str
    day_starts_at: str
    sales: int
    also_in: tuple[str, ...] = ()


VENUES = (
    StageVenue(
        "moonlight-hall", "Moonlight Music Hall", "America/New_York", "USD", "US", "00:00", 400
    ),
    StageVenue("zum-anker", "Bar zum Anker", "Europe/Berlin", "EUR", "IE", "04:00", 900, ("usd",)),
    StageVenue("sakura-fest", "Sakura Festival", "Asia/Tokyo", "JPY", "JP", "00:00", 250),
)

ACCOUNTS: dict[str, Callable[[StageVenue], dict[str, object]]] = {
    "stripe": lambda venue: {
        "size": venue.sales,
        "currency": venue.currency.lower(),
        "currencies": venue.also_in,
        "timezone": venue.timezone,
    },
    "square": lambda venue: {
        "size": venue.sales,
        "country": venue.country,
        "timezone": venue.timezone,
    },
    "mailchimp": lambda venue: {"size": venue.sales // 2},
    "quickbooks": lambda venue: {
        "size": venue.sales // 2,
        "currency": venue.currency,
        "timezone": venue.timezone,
        "processors": ("stripe", "square"),
    },
}
"""What each venue's account at a provider is made with."""

CREDENTIALS = {
    "stripe": ("api_key",),
    "square": ("access_token",),
    "mailchimp": ("api_key",),
    "quickbooks": ("access_token", "refresh_token", "expires_at", "realm_id"),
}
"""What of a told account opens it."""

YEAR = 366 * 86_400


class Truth(NamedTuple):
    """What the sandbox's ledger holds of one stream: ids of its objects, None of a report; sums of
    what they are worth, by currency, in its major unit."""

    ids: frozenset[str] | None
    sums: Mapping[str, Decimal]


@dataclass
class Stage:
    """A running sandbox with the venues' accounts. ``environment`` points our clients at it.

    ``moves``: seconds and happenings of each, or the one step that was played, with its arguments;
    ``is_new``: nothing was kept of these accounts. ``accounts``: what the sandbox tells of each, by
    venue and provider.
    """

    url: str
    file: Path
    version: str
    began: int
    moves: list[Sequence[Any]]
    is_new: bool
    accounts: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    @cached_property
    def environment(self) -> dict[str, str]:
        with urllib.request.urlopen(f"{self.url}/_sandbox/environment", timeout=60) as answer:  # noqa: S310
            told: dict[str, str] = json.load(answer)
        return told

    def move(self, happenings: int) -> None:
        """Let all accounts live on until now, with so many random happenings in each."""
        now = max(account["now"] for account in self.accounts.values())
        move = (max(int(time.time()) - now, 0), happenings)
        # Noted first: a move that was noted and not made will be made when the stage is raised.
        self.moves.append(move)
        self.save()
        self._play(*move)

    def do(self, venue_id: str, provider: str, step: str, *arguments: str) -> dict[str, Any]:
        """Play one step in one account now; what it touched."""
        move = (venue_id, provider, step, *arguments)
        self.moves.append(move)
        self.save()
        return self._do(*move)

    def truth(self, venue_id: str, provider: str, stream: str) -> Truth:
        """What exists at the provider."""
        if provider == "stripe":
            stream = stream.replace("invoice_items", "invoiceitems")  # As in Stripe's own path.
        told = self._ask(provider, "GET", f"accounts/{venue_id}/streams/{stream}")
        sums = {}
        if provider != "mailchimp":  # Which counts openings and clicks where others count money.
            for name, amount in told["sums"].items():
                digits = 0 if provider == "quickbooks" else get_currency_precision(name.upper())
                sums[name.upper()] = Decimal(str(amount)).scaleb(-digits)
        ids = frozenset(told["ids"]) if "ids" in told else None
        return Truth(ids, sums)

    def objects(self, venue_id: str, provider: str, stream: str) -> list[dict[str, Any]]:
        """What exists at the provider, as its API answers it."""
        path = f"accounts/{venue_id}/streams/{stream}?objects=true"
        found: list[dict[str, Any]] = self._ask(provider, "GET", path)["objects"]
        return found

    def income(self, venue_id: str) -> dict[str, dict[str, Decimal]]:
        """What the books say was earned, by month (YYYY-MM) and account."""
        told = self._ask("quickbooks", "GET", f"accounts/{venue_id}/income")
        return {
            month: {account: Decimal(amount) for account, amount in amounts.items()}
            for month, amounts in told.items()
        }

    def register(self, receiver: str) -> None:
        """Have all that happens from now on told to the receiver at this URL."""
        self._ask("quickbooks", "POST", "app", webhook_url=f"{receiver}/webhooks/quickbooks")
        environment = {**self.environment, "WEBHOOK_BASE_URL": receiver}
        for provider in ("stripe", "square", "mailchimp"):
            integrations("webhooks", "register", provider, environment=environment, show=True)

    def raise_accounts(self) -> None:
        """Make the accounts as they began, and play what has been noted since."""
        # The stage has no one who would renew a token within the hour.
        self._ask("quickbooks", "POST", "app", access_seconds=YEAR)
        for venue in VENUES:
            for provider, made_with in ACCOUNTS.items():
                self.accounts[venue.venue_id, provider] = self._ask(
                    provider,
                    "POST",
                    "accounts",
                    slug=venue.venue_id,
                    name=venue.name,
                    seed=SEED,
                    now=self.began,
                    **made_with(venue),
                )
                self._ask(provider, "POST", f"accounts/{venue.venue_id}/clock", told=True)
        for move in self.moves:
            if len(move) == 2:
                self._play(*move)
            else:
                self._do(*move)

    def credentials(self, venue_id: str, provider: str) -> str:
        """What `integrations connect` reads."""
        account = self.accounts[venue_id, provider]
        given = {name: account[name] for name in CREDENTIALS[provider]}
        return json.dumps(given)

    def _do(self, venue_id: str, provider: str, step: str, *arguments: str) -> dict[str, Any]:
        touched: dict[str, Any] = self._ask(
            provider, "POST", f"accounts/{venue_id}/mutations", do=step, arguments=arguments
        )
        return touched

    def undelivered(self) -> int:
        """Webhooks that are still under way."""
        with urllib.request.urlopen(f"{self.url}/_sandbox/webhooks", timeout=60) as answer:  # noqa: S310
            return int(json.load(answer)["waiting"])

    def _play(self, seconds: int, happenings: int) -> None:
        for (venue_id, provider), account in self.accounts.items():
            told = self._ask(
                provider,
                "POST",
                f"accounts/{venue_id}/clock",
                advance=seconds,
                mutations=happenings,
            )
            account["now"] = told["now"]

    def save(self) -> None:
        """Note what it takes to raise the same accounts again."""
        noted = {"version": self.version, "began": self.began, "moves": self.moves}
        draft = self.file.with_suffix(".draft")
        draft.write_text(json.dumps(noted))
        draft.replace(self.file)

    def _ask(self, provider: str, method: str, path: str, **body: object) -> Any:
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}/_sandbox/{provider}/{path}",
            data=json.dumps(body).encode() if body else None,
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)


@contextmanager
def raised_stage(processes: Processes, data_path: Path) -> Iterator[Stage]:
    """The stage of ``data_path``, raised for the block. Raises IntegrationError if it is in use."""
    data_path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (data_path / "stage.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise IntegrationError(
                f"the sandbox of {data_path} is in use, by `make dev` or `make demo`: stop it "
                "first, or set another DATA_DIR"
            ) from None
        port = free_port(PORT)
        stage = _stage(f"http://127.0.0.1:{port}", data_path / "stage.json")
        processes.start("sandbox", [sys.executable, "-m", "provider_sandbox", "--port", str(port)])
        processes.wait_for(f"{stage.url}/_sandbox/stats")
        stage.raise_accounts()
        yield stage


def _stage(url: str, file: Path) -> Stage:
    """The stage that ``file`` notes, or a new one."""
    version = sha256()
    for source in sorted((ROOT / "provider_sandbox").rglob("*.py")):
        version.update(source.read_bytes())
    noted = json.loads(file.read_text()) if file.exists() else {}
    if noted.get("version") == version.hexdigest():
        moves: list[Sequence[Any]] = [tuple(move) for move in noted["moves"]]
        return Stage(url, file, noted["version"], noted["began"], moves, is_new=False)
    return Stage(url, file, version.hexdigest(), int(time.time()), [], is_new=True)


def furnish(stage: Stage) -> None:
    """Add the venues and connect their accounts, where that has not been done.

    Venues of a stage that is gone are removed first: what has landed of them will not come back.
    """
    known = {venue["venue_id"] for venue in json.loads(integrations("venues", "list", "--json"))}
    connected = {
        (row["venue_id"], row["provider"], row["account_id"]): row["status"]
        for row in json.loads(integrations("status", "--json"))["connections"]
    }
    for venue in VENUES:
        mine = {
            provider: (
                venue.venue_id,
                provider,
                stage.accounts[venue.venue_id, provider]["account_id"],
            )
            for provider in ACCOUNTS
        }
        if stage.is_new and venue.venue_id in known:
            integrations("venues", "remove", venue.venue_id, "--yes", show=True)
            known.remove(venue.venue_id)
            connected = {
                key: status for key, status in connected.items() if key not in mine.values()
            }
        if venue.venue_id not in known:
            integrations(
                *("venues", "add", venue.venue_id, "--name", venue.name),
                *("--timezone", venue.timezone, "--currency", venue.currency),
                *("--day-starts-at", venue.day_starts_at),
                show=True,
            )
        for provider, account in mine.items():
            if connected.get(account) != "active":
                integrations(
                    *("connect", provider, "--venue", venue.venue_id),
                    stdin=stage.credentials(venue.venue_id, provider),
                    environment=stage.environment,
                    show=True,
                )
    stage.save()


def integrations(
    *arguments: str,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    show: bool = False,
) -> str:
    """What the `integrations` command prints; ``show``: as at a prompt. Raises SystemExit where
    it fails: it has then said why."""
    if show:
        shown = " ".join(f"'{word}'" if " " in word else word for word in arguments)
        print(f"\n$ integrations {shown}{' < credentials.json' if stdin else ''}", flush=True)
    completed = subprocess.run(
        [COMMAND, *arguments],
        input=stdin,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if show:
        print(completed.stdout, end="", flush=True)
    if completed.returncode:
        raise SystemExit(completed.returncode)
    return completed.stdout
