"""The stand-in of an OpenID Connect issuer: people who sign in, and tokens that say who they are.

Authorization code flow, PKCE S256 where it is asked with; ID tokens are RS256. Whoever types an
address into the form is believed: it plays an issuer, and guards nothing.
"""

import hashlib
import time
from base64 import b64decode, urlsafe_b64encode
from dataclasses import dataclass
from functools import cached_property
from html import escape
from random import Random
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from provider_sandbox.consent import page, redirect
from provider_sandbox.ledger import encode, token
from provider_sandbox.messages import Request, Response

MOUNT = "oidc"
KEY_ID = "sandbox-1"
SECONDS = 600


@dataclass(frozen=True, slots=True)
class Asked:
    """What a code stands for: who signed in, and the request that they signed in for."""

    email: str
    redirect_uri: str
    nonce: str | None
    challenge: str | None


class Issuer:
    """``client_id`` and ``client_secret`` are the portal's; ``verified``: whether addresses are
    told as verified; ``claims`` are put over those that an ID token would have."""

    def __init__(self, *, seed: int = 0) -> None:
        self._random = Random(f"{seed}/oidc")
        self.client_id = f"portal-{token(self._random, 12).lower()}"
        self.client_secret = token(self._random, 40)
        self.verified = True
        self.claims: dict[str, Any] = {}
        self._codes: dict[str, Asked] = {}
        self._lock = Lock()

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def answer(self, request: Request) -> Response:
        """The answer to one request below the mount."""
        base = f"http://{request.headers.get('host', '')}/{MOUNT}"
        match (request.method, request.path):
            case ("GET", "/.well-known/openid-configuration"):
                return _json(200, _discovery(base))
            case ("GET", "/jwks"):
                public = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
                known = {**public, "kid": KEY_ID, "alg": "RS256", "use": "sig"}
                return _json(200, {"keys": [known]})
            case ("GET" | "POST", "/authorize"):
                return self._sign_in(request)
            case ("POST", "/token"):
                return self._tokens(request, base)
        return _json(404, {"error": "not_found"})

    def subject(self, email: str) -> str:
        """What the issuer calls who has this address."""
        return hashlib.sha256(email.lower().encode()).hexdigest()[:24]

    def _sign_in(self, request: Request) -> Response:
        asked = {name: values[-1] for name, values in parse_qs(request.query).items()}
        redirect_uri = asked.get("redirect_uri", "")
        local = urlsplit(redirect_uri).hostname in ("127.0.0.1", "localhost")
        if asked.get("client_id") != self.client_id or not local:
            return page(400, "Sign in", "<p>The application is unknown.</p>")
        form = {name: values[-1] for name, values in parse_qs(request.body.decode()).items()}
        if request.method == "GET":
            return page(
                200,
                "Sign in",
                '<form method="post"><label>E-mail <input name="email" type="email" required>'
                f"</label> <button>Sign in</button></form><p>{escape(asked.get('scope', ''))}</p>",
            )
        with self._lock:
            code = token(self._random, 40)
            self._codes[code] = Asked(
                form.get("email", ""), redirect_uri, asked.get("nonce"), asked.get("code_challenge")
            )
        return redirect(redirect_uri, {"code": code, "state": asked.get("state", "")})

    def _tokens(self, request: Request, base: str) -> Response:
        form = {name: values[-1] for name, values in parse_qs(request.body.decode()).items()}
        if not self._knows(request, form):
            return _json(401, {"error": "invalid_client"})
        with self._lock:
            asked = self._codes.pop(form.get("code", ""), None)
        if asked is None or asked.redirect_uri != form.get("redirect_uri"):
            return _json(400, {"error": "invalid_grant"})
        if asked.challenge is not None:
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            if urlsafe_b64encode(digest).rstrip(b"=").decode() != asked.challenge:
                return _json(400, {"error": "invalid_grant"})
        now = int(time.time())
        claims = {
            "iss": base,
            "aud": self.client_id,
            "sub": self.subject(asked.email),
            "email": asked.email,
            "email_verified": self.verified,
            "name": asked.email.partition("@")[0].replace(".", " ").title(),
            "iat": now,
            "exp": now + SECONDS,
            "nonce": asked.nonce,
            **self.claims,
        }
        id_token = jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": KEY_ID})
        return _json(
            200,
            {
                "access_token": token(self._random, 40),
                "token_type": "Bearer",
                "expires_in": SECONDS,
                "id_token": id_token,
            },
        )

    def _knows(self, request: Request, form: dict[str, str]) -> bool:
        scheme, _, credential = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            given = [unquote(part) for part in b64decode(credential).decode().split(":", 1)]
        else:
            given = [form.get("client_id", ""), form.get("client_secret", "")]
        return given == [self.client_id, self.client_secret]


def _discovery(base: str) -> dict[str, Any]:
    return {
        "issuer": base,
        "authorization_endpoint": f"{base}/authorize",
        "token_endpoint": f"{base}/token",
        "jwks_uri": f"{base}/jwks",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "email", "profile"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    }


def _json(status: int, body: dict[str, Any]) -> Response:
    return Response(status, encode(body))
