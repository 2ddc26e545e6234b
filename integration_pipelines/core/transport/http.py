"""HTTP for one connection: pooled, paced, retried, classified, counted."""

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar, overload
from urllib.parse import urlsplit

import requests
import structlog
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from sqlalchemy import Engine
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)
from urllib3.util import Url, parse_url

from integration_pipelines.core.errors import (
    AccessRevoked,
    BreakerOpen,
    ConfigurationError,
    MalformedResponse,
    ProviderError,
    RateLimited,
    Refused,
    Transient,
)
from integration_pipelines.core.provider import Limits
from integration_pipelines.core.transport.breaker import Breaker
from integration_pipelines.core.transport.clock import Clock
from integration_pipelines.core.transport.costs import Cost, CostCounter
from integration_pipelines.core.transport.limiter import RateLimiter
from integration_pipelines.core.transport.response import Response, default_error
from integration_pipelines.core.transport.slots import Slots

log = structlog.get_logger(__name__)

Parsed = TypeVar("Parsed")
Auth = AuthBase | Callable[[requests.PreparedRequest], requests.PreparedRequest]
Classify = Callable[[Response], ProviderError | None]
OnWait = Callable[[float, str], None]
"""Told of every wait of a second or more: how many seconds, and why, in words for people."""

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
RETRYABLE = (Transient, MalformedResponse)
READ_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long one request is tried; times in seconds.

    Waits are random between 0 and ``base`` doubled each time, at most ``cap``. A Retry-After is
    obeyed up to ``longest_wait``; one that asks for more ends the request instead. Nothing is
    begun later than ``total`` after the first try.
    """

    attempts: int = 6
    base: float = 0.5
    cap: float = 30.0
    longest_wait: float = 120.0
    total: float = 300.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one try may take: seconds to connect, between two reads, and in all; bytes of body,
    decompressed."""

    connect: float = 10.0
    read: float = 60.0
    total: float = 180.0
    body: int = 64 * 2**20


class Transport:
    """The one way out for one connection (a venue's account at a provider). Thread-safe.

    Everything goes to ``base_url``'s scheme, host and port; redirects are refused. ``auth`` puts
    the credential on each request; if it has ``refused(request)``, that is told of a refusal, and
    says whether there is another credential now. ``classify`` turns an answer that is not a 2xx
    into an error in the provider's words (None: the default for its status). ``limiter`` and
    ``breaker`` are left out while an account is being connected and not known yet.
    """

    def __init__(
        self,
        base_url: str,
        *,
        venue_id: str,
        provider: str,
        clock: Clock,
        auth: Auth | None = None,
        concurrency: int = 4,
        classify: Classify | None = None,
        limiter: RateLimiter | None = None,
        slots: Slots | None = None,
        breaker: Breaker | None = None,
        retry: RetryPolicy | None = None,
        bounds: Bounds | None = None,
        headers: Mapping[str, str] | None = None,
        metered: bool = False,
        on_wait: OnWait | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.clock = clock
        self._origin = _origin(parse_url(self.base_url))
        self._venue_id = venue_id
        self._provider = provider
        self._auth = auth
        self._classify = classify
        self._limiter = limiter
        self._breaker = breaker
        self._policy = retry or RetryPolicy()
        self._bounds = bounds or Bounds()
        self._on_wait = on_wait
        self._costs = CostCounter(venue_id=venue_id, provider=provider, metered=metered)
        self._under_way: AbstractContextManager[Any] = slots or threading.BoundedSemaphore(
            concurrency
        )
        self._closed = threading.Event()
        self._session, self._send_options = _session(self.base_url, concurrency, headers or {})
        self._retrying = Retrying(
            retry=retry_if_exception(self._worth_another_try),
            wait=self._wait,
            stop=stop_after_attempt(self._policy.attempts) | stop_before_delay(self._policy.total),
            # The sleeping is done in before_sleep, where the reason is known.
            sleep=lambda seconds: None,
            before_sleep=self._sleep_before_retry,
            reraise=True,
        )

    def __repr__(self) -> str:
        return f"<Transport {self._provider} of {self._venue_id} at {self.base_url}>"

    @overload
    def request(
        self,
        method: str,
        path_or_url: str,
        *,
        endpoint: str,
        params: Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
        json: Any = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        idempotent: bool | None = None,
        parse: None = None,
    ) -> Response: ...

    @overload
    def request(
        self,
        method: str,
        path_or_url: str,
        *,
        endpoint: str,
        params: Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
        json: Any = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        idempotent: bool | None = None,
        parse: Callable[[Response], Parsed],
    ) -> Parsed: ...

    def request(
        self,
        method: str,
        path_or_url: str,
        *,
        endpoint: str,
        params: Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
        json: Any = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        idempotent: bool | None = None,
        parse: Callable[[Response], Any] | None = None,
    ) -> Any:
        """The answer to one request: a Response, or what ``parse`` makes of it.

        ``path_or_url`` is a path under the base or a whole URL of the same server. ``endpoint``
        names the call in costs and errors, without ids (`GET /v1/charges/:id`). A MalformedResponse
        raised by ``parse`` is retried like any other failure. Requests are retried if their method
        is idempotent, or they carry an `Idempotency-Key` header, or ``idempotent`` says so (a read
        that is a POST; a write with its key in the body). ``data`` is bytes, text or a form.

        Raises AccessRevoked, Refused, NotFound at once; Transient, RateLimited, MalformedResponse
        after the last try; BreakerOpen without a call; ConfigurationError for a URL elsewhere.
        """
        method = method.upper()
        url = self._url(path_or_url)
        if idempotent is None:
            idempotent = method in IDEMPOTENT or "idempotency-key" in map(str.lower, headers or ())

        def build() -> requests.Request:
            return requests.Request(
                method,
                url,
                params=params,
                json=json,
                data=data,
                headers=dict(headers or {}),
                auth=self._auth,
            )

        probe = self._breaker.check() if self._breaker else False
        try:
            if idempotent and not probe:
                answer = self._retrying(self._try, build, endpoint, parse)
            else:
                answer = self._try(build, endpoint, parse)
            self._report(None)
            return answer
        except ProviderError as error:
            self._report(error)
            raise
        finally:
            if self._breaker and probe:
                self._breaker.probed()

    def drain_costs(self) -> list[Cost]:
        """API calls since the last call of this, for `record_costs`."""
        return self._costs.drain()

    def close(self) -> None:
        """End waits at once and close the connections; requests from now on fail."""
        self._closed.set()
        self._session.close()

    def __enter__(self) -> "Transport":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # One try.

    def _try(
        self,
        build: Callable[[], requests.Request],
        endpoint: str,
        parse: Callable[[Response], Any] | None,
    ) -> Any:
        """Wait for a slot, send, classify, parse, count."""
        with self._under_way:
            if self._limiter:
                away = self._limiter.reserve(self._policy.longest_wait)
                self._sleep(away, f"{self._provider}'s rate limit")
            prepared = self._prepare(build(), endpoint)
            started_at, begun = self.clock.now(), time.monotonic()
            failure: ProviderError | None = None
            try:
                status, headers, body = self._exchange(prepared, endpoint)
                response = Response(status, headers, body, started_at, self._provider, endpoint)
                failure = self._error_of(response)
                if failure is not None:
                    raise failure
                return parse(response) if parse else response
            except ProviderError as error:
                failure = error
                if isinstance(error, AccessRevoked) and self._renewed(prepared):
                    raise Transient(
                        f"{self._provider} {endpoint}: refused, and asked again with a new token"
                    ) from error
                raise
            finally:
                limited = isinstance(failure, RateLimited)
                self._costs.add(
                    endpoint,
                    started_at.astimezone(UTC).date(),
                    seconds=time.monotonic() - begun,
                    error=failure is not None,
                    rate_limited=limited,
                )
                if isinstance(failure, RateLimited) and self._limiter:
                    self._limiter.throttled(retry_after=failure.retry_after, began=started_at)

    def _renewed(self, prepared: requests.PreparedRequest) -> bool:
        """Whether there is another credential now than the one that was refused."""
        refused = getattr(self._auth, "refused", None)
        return refused is not None and refused(prepared)

    def _prepare(self, request: requests.Request, endpoint: str) -> requests.PreparedRequest:
        try:
            return self._session.prepare_request(request)
        except (requests.exceptions.InvalidHeader, UnicodeError):
            raise self._bad_header(endpoint) from None

    def _exchange(
        self, prepared: requests.PreparedRequest, endpoint: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send and read the whole body within the bounds."""
        if self._closed.is_set():
            raise Transient(f"{self._provider} {endpoint}: this sync was stopped; sync again")
        bounds = self._bounds
        deadline = time.monotonic() + bounds.total
        try:
            with self._session.send(
                prepared, timeout=(bounds.connect, bounds.read), **self._send_options
            ) as answer:
                parts: list[bytes] = []
                size = 0
                # read1 gives what has arrived, so that a body that drips meets the deadline.
                while part := answer.raw.read1(READ_BYTES, decode_content=True):
                    parts.append(part)
                    size += len(part)
                    if size > bounds.body:
                        raise Refused(
                            f"{self._provider} {endpoint}: the answer is larger than "
                            f"{bounds.body} bytes; ask for smaller pages",
                            status=answer.status_code,
                        )
                    if time.monotonic() > deadline:
                        raise Transient(
                            f"{self._provider} {endpoint}: the answer took more than "
                            f"{bounds.total:.0f} s",
                            status=answer.status_code,
                        )
                return answer.status_code, answer.headers, b"".join(parts)
        except ValueError:
            # Its message, and its cause's, quote the header.
            raise self._bad_header(endpoint) from None
        except requests.exceptions.Timeout as error:
            error.request = None
            raise Transient(f"{self._provider} {endpoint}: no answer in time") from error
        except urllib3.exceptions.ReadTimeoutError as error:
            raise Transient(f"{self._provider} {endpoint}: the answer stopped coming") from error
        except urllib3.exceptions.DecodeError as error:
            raise MalformedResponse(
                f"{self._provider} {endpoint}: the answer cannot be decompressed"
            ) from error
        except requests.exceptions.RequestException as error:
            # The exception would carry the request, and that the credential.
            error.request = None
            raise Transient(f"{self._provider} {endpoint}: connection failed") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Transient(f"{self._provider} {endpoint}: the answer was cut short") from error

    def _error_of(self, response: Response) -> ProviderError | None:
        if 200 <= response.status < 300:
            return None
        said = self._classify(response) if self._classify else None
        return said or default_error(response)

    def _bad_header(self, endpoint: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self._provider} {endpoint}: the credential holds a character that no HTTP header "
            "may have (a line break, perhaps); connect the account again with the whole key"
        )

    def _url(self, path_or_url: str) -> str:
        """The URL to call; a path is taken from the root of the base's path."""
        if path_or_url.startswith("/"):
            return self.base_url + path_or_url
        try:
            # The parser that urllib3 connects by, so that both read the same host.
            url = parse_url(path_or_url)
        except urllib3.exceptions.LocationParseError:
            url = Url()
        if url.auth is not None or _origin(url) != self._origin:
            raise ConfigurationError(
                f"{self._provider}: a URL of {url.host or 'nowhere'} is not called, only those of "
                f"{self.base_url}: the credential goes nowhere else"
            )
        root = urlsplit(self.base_url)
        return f"{root.scheme}://{root.netloc}{url.request_uri}"

    # Between tries.

    def _wait(self, state: RetryCallState) -> float:
        """Seconds until the next try."""
        policy = self._policy
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, RateLimited) and error.retry_after is not None:
            return error.retry_after + random.uniform(0, policy.base)  # noqa: S311
        return wait_random_exponential(multiplier=policy.base, max=policy.cap)(state)

    def _worth_another_try(self, error: BaseException) -> bool:
        if isinstance(error, RateLimited):
            return (error.retry_after or 0.0) <= self._policy.longest_wait
        return isinstance(error, RETRYABLE)

    def _sleep_before_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self._sleep(state.upcoming_sleep, str(error))
        if self._breaker:
            self._breaker.check()

    def _sleep(self, seconds: float, reason: str) -> None:
        if seconds >= 1.0:
            log.info(
                "waiting",
                venue_id=self._venue_id,
                provider=self._provider,
                seconds=round(seconds, 1),
                reason=reason,
            )
            if self._on_wait:
                self._on_wait(seconds, reason)
        if seconds > 0:
            self._closed.wait(seconds)

    def _report(self, error: ProviderError | None) -> None:
        """Tell the breaker how a request ended, if that says anything of the provider."""
        if self._breaker is None or isinstance(error, BreakerOpen) or self._closed.is_set():
            return
        if error is None or isinstance(error, AccessRevoked | Refused):
            self._breaker.succeeded()
        elif not (isinstance(error, RateLimited) and error.status is None):
            self._breaker.failed(error)


def _origin(url: Url) -> tuple[str | None, str | None, int | None]:
    port = url.port or {"http": 80, "https": 443}.get(url.scheme or "")
    return url.scheme, url.host and url.host.lower(), port


def _session(
    base_url: str, concurrency: int, headers: Mapping[str, str]
) -> tuple[requests.Session, dict[str, Any]]:
    """A session with as many connections as requests may be under way, and the options of each
    send. Proxies and certificates of the environment are read once; `.netrc` never, and cookies
    are not kept: only ``auth`` says who we are."""
    session = requests.Session()
    options: Any = session.merge_environment_settings(base_url, {}, True, None, None)
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.update({"Accept-Encoding": "gzip", "User-Agent": "venue-integrations"})
    session.headers.update(headers)
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=concurrency, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session, {**options, "allow_redirects": False}


def open_transport(
    engine: Engine,
    *,
    venue_id: str,
    provider: str,
    account_id: str | None,
    base_url: str,
    limits: Limits,
    auth: Auth | None = None,
    classify: Classify | None = None,
    retry: RetryPolicy | None = None,
    bounds: Bounds | None = None,
    headers: Mapping[str, str] | None = None,
    metered: bool = False,
    on_wait: OnWait | None = None,
) -> Transport:
    """A Transport whose clock, pace and breaker are those of the database behind ``engine``.

    ``metered``: the provider counts every call against a monthly budget.
    ``account_id`` None: an account is being connected and not known yet; its few calls are
    neither paced nor held back. Close it when done.
    """
    with engine.connect() as connection:
        clock = Clock.read(connection)
    limiter, slots, breaker = None, None, None
    if account_id is not None:
        limiter = RateLimiter(
            engine,
            provider=provider,
            account_id=account_id,
            rate=limits.rate,
            search=limits.search,
        )
        if limits.shared:
            slots = Slots(engine, provider=provider, account_id=account_id, size=limits.concurrency)
        breaker = Breaker(engine, venue_id=venue_id, provider=provider)
    return Transport(
        base_url,
        venue_id=venue_id,
        provider=provider,
        clock=clock,
        auth=auth,
        concurrency=limits.concurrency,
        classify=classify,
        limiter=limiter,
        slots=slots,
        breaker=breaker,
        retry=retry,
        bounds=bounds,
        headers=headers,
        metered=metered,
        on_wait=on_wait,
    )
