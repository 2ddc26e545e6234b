"""The control API below `/_sandbox/`: JSON in, JSON out.

    GET    /_sandbox/stats                            requests, 429s, refusals, metered reads;
                                                      DELETE forgets all but the reads
    GET    /_sandbox/faults                           faults in force; DELETE ends them all
    POST   /_sandbox/faults   {"kind": "rate_limited", "path": "/v1/charges", "times": 3}
    POST   /_sandbox/limits   {"account": "SLUG, id or *", "rate": 100, "retry_after": 1}
    POST   /_sandbox/latency  {"seconds": 0.3}
    GET    /_sandbox/webhooks                         what became of deliveries, and what waits;
    POST   /_sandbox/webhooks {"twice": 0.2, "lost": 0.1, "late": 3, "held": false}
    GET    /_sandbox/environment                      the variables that point the pipelines here
    GET    /_sandbox/applications                     redirect URIs that each provider accepts;
    POST   /_sandbox/applications  {"stripe": ["http://127.0.0.1:8080/oauth/stripe/callback"]}
    *      /_sandbox/<provider>/...                   the provider's own

An answer of 400 or 404 is {"error": "what is wrong and what to do"}.
"""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from provider_sandbox.faults import make_fault
from provider_sandbox.ledger import decode, encode
from provider_sandbox.limits import Limit
from provider_sandbox.messages import Request, Response

if TYPE_CHECKING:
    from provider_sandbox.sandbox import Sandbox

MOUNT = "_sandbox"


def answer(sandbox: "Sandbox", request: Request) -> Response:
    """Do what the request asks of the sandbox."""
    try:
        body = decode(request.body) if request.body else {}
        path = [part for part in request.path.split("/") if part]
        told = _do(sandbox, request.method, path, {**_query(request.query), **body})
    except LookupError as error:
        return refusal(404, str(error.args[0] if error.args else error))
    except (ValueError, TypeError, msgspec.DecodeError) as error:
        return refusal(400, str(error))
    return Response(200, encode(told))


def refusal(status: int, message: str) -> Response:
    return Response(status, encode({"error": message}))


def _do(sandbox: "Sandbox", method: str, path: Sequence[str], body: dict[str, Any]) -> Any:
    match (method, *path):
        case ("GET", "stats"):
            return _stats(sandbox)
        case ("DELETE", "stats"):
            return sandbox.reset_stats()
        case ("GET", "faults"):
            return [fault.describe() for fault in sandbox.faults.all()]
        case ("DELETE", "faults"):
            return sandbox.faults.clear()
        case ("POST", "faults"):
            fault = make_fault(**body)
            if fault.account is not None:
                fault.account = sandbox.providers[fault.provider].resolve(fault.account)
            return sandbox.faults.add(fault).describe()
        case ("POST", "limits"):
            account = body.pop("account", "*")
            if account != "*":
                account = sandbox.providers[body.pop("provider", "stripe")].resolve(account)
            sandbox.limits.set(account, Limit(**body) if any(body.values()) else None)
            return {"account": account, **body}
        case ("POST", "latency"):
            sandbox.latency = float(body["seconds"])
            return {"seconds": sandbox.latency}
        case ("GET", "webhooks"):
            return sandbox.outbox.told()
        case ("POST", "webhooks"):
            sandbox.outbox.set_mood(**body)
            return sandbox.outbox.told()
        case ("GET", "environment"):
            return sandbox.environment
        case ("GET", "applications"):
            return {name: consent.redirect_uris for name, consent in sandbox.consents.items()}
        case ("POST", "applications"):
            for name, uris in body.items():
                sandbox.consents[name].redirect_uris = tuple(uris)
            return body
        case (_, provider, *rest) if provider in sandbox.providers:
            return sandbox.providers[provider].control(method, rest, body)
    raise LookupError(
        f"{method} /{MOUNT}/{'/'.join(path)} is unknown: see provider_sandbox.control"
    )


def _stats(sandbox: "Sandbox") -> dict[str, Any]:
    totals: Counter[str] = Counter()
    for (provider, _, _, _), count in sandbox.requests.items():
        totals[provider] += count
    names = ("provider", "account", "method", "path", "count")
    return {
        "total": totals,
        "requests": [
            dict(zip(names, (*key, count), strict=True))
            for key, count in sandbox.requests.most_common()
        ],
        "limited": [
            {"provider": provider, "account": account, "count": count}
            for (provider, account), count in sandbox.limited.items()
        ],
        "refused": list(sandbox.refused),
        "reads": {"quickbooks": dict(sandbox.quickbooks.reads)},
    }


def _query(query: str) -> dict[str, str]:
    return dict(parse_qsl(query))
