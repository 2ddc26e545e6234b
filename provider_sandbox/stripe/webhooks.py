"""Signed webhooks, as Stripe signs them."""

import hashlib
import hmac
from collections.abc import Sequence

HEADER = "Stripe-Signature"


def signature_header(payload: bytes, secrets: Sequence[str], *, at: int) -> str:
    """The Stripe-Signature of ``payload`` sent at Unix second ``at``: one v1 a secret, as while a
    secret is being rotated."""
    signed = f"{at}.".encode() + payload
    digests = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={at}", *(f"v1={digest}" for digest in digests)])
