"""Tokens: what opens a company, for how long, and how a refresh token is rotated.

Times are seconds of the company's clock.
"""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from threading import Lock
from urllib.parse import parse_qs

from provider_sandbox.consent import Consent
from provider_sandbox.ledger import Json, decode, encode, token
from provider_sandbox.messages import Request, Response
from provider_sandbox.quickbooks.account import DAY, QuickBooksAccount

ACCESS_SECONDS = 3600
REFRESH_SECONDS = 101 * DAY
SCOPES = (
    "com.intuit.quickbooks.accounting", "com.intuit.quickbooks.payment", "openid", "email",
    "profile", "address", "phone",
)  # fmt: skip
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Grant:
    """What one consent gave. Only the last of ``refresh_tokens`` is valid; ``access_tokens`` maps
    each to the second in which it expires."""

    realm: str
    refresh_token: str
    issued: int
    access_tokens: dict[str, int]
    revoked: bool = False


class Tokens:
    """All grants of the one application, whose ``client_id`` and ``client_secret`` these are.

    ``access_seconds``: for which an access token is good; ``rotate_after``: seconds for which a
    refresh token stays the same; 0 rotates with each refresh (Intuit says a day).
    ``byte_order_mark``: answers begin with one, as Intuit's do at times; its own OAuth client for
    Python cannot read those.
    """

    def __init__(self, random: Random) -> None:
        self.client_id = f"AB{token(random, 48)}"
        self.client_secret = token(random, 40)
        self.consent = Consent(
            "Intuit", random, client_id=self.client_id, client_secret=self.client_secret,
            scopes=SCOPES, told=lambda realm: {"realmId": realm},
        )  # fmt: skip
        self.access_seconds = ACCESS_SECONDS
        self.rotate_after = 0
        self.byte_order_mark = False
        self._random = random
        self._grants: list[Grant] = []
        self._by_access: dict[str, Grant] = {}
        self._by_refresh: dict[str, Grant] = {}
        self._lock = Lock()

    def grant(self, account: QuickBooksAccount) -> Json:
        """A new grant of a company, as the credentials that a test connects with: access_token,
        refresh_token, expires_at (Unix seconds), realm_id."""
        now = account.clock.now()
        grant, access = self._granted(account.id, now)
        return {
            "access_token": access, "refresh_token": grant.refresh_token,
            "expires_at": now + self.access_seconds, "realm_id": account.id,
        }  # fmt: skip

    def of(self, access_token: str) -> Grant | None:
        return self._by_access.get(access_token)

    def current(self, refresh_token: str) -> str:
        """The refresh token that is good now of the grant which this one was once of."""
        return self._by_refresh[refresh_token].refresh_token

    def revoke(self, realm: str) -> int:
        """The company disconnects the application: how many grants ended."""
        ended = [one for one in self._grants if one.realm == realm and not one.revoked]
        for grant in ended:
            grant.revoked = True
        return len(ended)

    def expire(self, realm: str) -> None:
        """Every access token of the company is expired from now on."""
        for grant in self._grants:
            if grant.realm == realm:
                grant.access_tokens = dict.fromkeys(grant.access_tokens, 0)

    def answer(self, request: Request, accounts: Mapping[str, QuickBooksAccount]) -> Response:
        """The answer of the token endpoint."""
        if request.method != "POST":
            return self._refusal(405, "invalid_request", "POST is the method of this endpoint")
        if not self._knows(request):
            return self._refusal(401, "invalid_client")
        form = {name: values[-1] for name, values in parse_qs(request.body.decode()).items()}
        if form.get("grant_type") == "authorization_code":
            code = self.consent.redeem(form.get("code", ""), form.get("redirect_uri", ""))
            if code is None:
                return self._refusal(400, "invalid_grant", "Invalid authorization code")
            new, access = self._granted(code.account, accounts[code.account].clock.now())
            return self._body(200, self._tokens(new, access, REFRESH_SECONDS))
        if form.get("grant_type") != "refresh_token":
            return self._refusal(400, "unsupported_grant_type")
        with self._lock:
            grant = self._by_refresh.get(form.get("refresh_token", ""))
            if grant is None or grant.revoked or grant.refresh_token != form["refresh_token"]:
                return self._refusal(400, "invalid_grant", "Incorrect or invalid refresh token")
            now = accounts[grant.realm].clock.now()
            if now >= grant.issued + REFRESH_SECONDS:
                return self._refusal(400, "invalid_grant", "Token expired")
            if now - grant.issued >= self.rotate_after:
                grant.refresh_token, grant.issued = self._refresh_token(), now
                self._by_refresh[grant.refresh_token] = grant
            access = self._access(grant, now)
            return self._body(
                200, self._tokens(grant, access, grant.issued + REFRESH_SECONDS - now)
            )

    def answer_revocation(self, request: Request) -> Response:
        """The answer of the revocation endpoint: a token's whole grant ends."""
        if not self._knows(request):
            return self._refusal(401, "invalid_client")
        given = str(decode(request.body).get("token")) if request.body else ""
        grant = self._by_refresh.get(given) or self._by_access.get(given)
        if grant is None or grant.revoked:
            return self._refusal(400, "invalid_request", "The token is unknown or revoked")
        grant.revoked = True
        return Response(200)

    def _granted(self, realm: str, now: int) -> tuple[Grant, str]:
        """A new grant and its first access token."""
        with self._lock:
            grant = Grant(realm, self._refresh_token(), now, {})
            self._by_refresh[grant.refresh_token] = grant
            self._grants.append(grant)
            return grant, self._access(grant, now)

    def _tokens(self, grant: Grant, access: str, lasting: int) -> Json:
        return {
            "x_refresh_token_expires_in": lasting, "refresh_token": grant.refresh_token,
            "access_token": access, "token_type": "bearer", "expires_in": self.access_seconds,
        }  # fmt: skip

    def _access(self, grant: Grant, now: int) -> str:
        access = f"eyJlbmMiOiJBMTI4Q0JDLUhTMjU2IiwiYWxnIjoiZGlyIn0..{token(self._random, 700)}"
        grant.access_tokens[access] = now + self.access_seconds
        self._by_access[access] = grant
        return access

    def _refresh_token(self) -> str:
        return f"AB1{token(self._random, 47)}"

    def _knows(self, request: Request) -> bool:
        scheme, _, credential = request.headers.get("authorization", "").partition(" ")
        expected = f"{self.client_id}:{self.client_secret}".encode()
        try:
            return scheme.lower() == "basic" and b64decode(credential) == expected
        except ValueError:
            return False

    def _refusal(self, status: int, error: str, description: str | None = None) -> Response:
        body = {"error": error}
        if description is not None:
            body["error_description"] = description
        return self._body(status, body)

    def _body(self, status: int, body: Json) -> Response:
        mark = BYTE_ORDER_MARK if self.byte_order_mark else b""
        return Response(status, mark + encode(body))


def discovery(base: str) -> Response:
    """The document that names the endpoints, all of them below ``base``."""
    return Response(200, encode({
        "issuer": "https://oauth.platform.intuit.com/op/v1",
        "authorization_endpoint": f"{base}/connect/oauth2",
        "token_endpoint": f"{base}/oauth2/v1/tokens/bearer",
        "userinfo_endpoint": f"{base}/v1/openid_connect/userinfo",
        "revocation_endpoint": f"{base}/v2/oauth2/tokens/revoke",
        "jwks_uri": f"{base}/op/v1/jwks",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "email", "profile", "address", "phone"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "claims_supported": ["aud", "exp", "iat", "iss", "realmid", "sub"],
    }))  # fmt: skip
