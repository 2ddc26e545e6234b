"""No secret leaves through a log line or a message."""

import time

import pytest

from integration_pipelines.core.redaction import MASK, redact, redact_value, register_secret

SECRET = "s3cr3t-canary-value"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"authorization=Bearer {SECRET}",
        f"{{'Authorization': 'Bearer {SECRET}'}}",
        f"Authorization: Basic {SECRET}==",
        f'Authorization: Digest username="venue", response="{SECRET}"'.replace('"', ""),
        f"Cookie: theme=dark; session={SECRET}",
        f'{{"Set-Cookie": "session={SECRET}; Path=/"}}',
        "key sk_live_s3cr3tcanary was refused",
        "key sk_test_s3cr3tcanary was refused",
        "key rk_live_s3cr3tcanary was refused",
        "whsec_s3cr3tcanary",
        "EAAAls3cr3tcanarys3cr3tcanary",
        "sq0csp-s3cr3tcanarys3cr3tcanary",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzM2NyM3QifQ.s3cr3tcanary",
        f'{{"access_token": "{SECRET}", "expires_in": 3600}}',
        f'{{"refresh_token":"{SECRET}"}}',
        f"access_token={SECRET}&token_type=bearer",
        f"client_secret={SECRET}",
        f"STRIPE_SECRET_KEY={SECRET}",
        f"api_key: {SECRET}",
        f"apikey={SECRET}",
        f"password='{SECRET} with spaces'",
        f'body "{{\\"client_secret\\": \\"{SECRET}\\"}}"',
        f'{{"password": "a\\"b {SECRET}"}}',
        f"postgresql://owner:{SECRET}@127.0.0.1:5432/venues",
        f"postgresql+psycopg2://owner:p@ss{SECRET}@db/venues",
        f"host=db password={SECRET} user=owner",
    ],
)
def test_what_is_shaped_like_a_secret_is_masked(text):
    masked = redact(text)
    assert MASK in masked
    assert "canary" not in masked
    assert "s3cr3t" not in masked


@pytest.mark.parametrize(
    "text",
    [
        "stripe GET /v1/charges: 429 Too Many Requests (request req_42)",
        "token expired; the bearer of this message is a basic subscription",
        "postgresql://127.0.0.1:5432/venues",
        "https://api.example.com/v1/charges?limit=100",
        "3 tokens, password reset",
        "acct_1 of moonlight-hall, cus_123, 4aa59482f1c0b0e2f1c0b0e2f1c0b0e2",
    ],
)
def test_ordinary_words_stay(text):
    assert redact(text) == text


def test_registered_value_is_masked_as_it_is_and_in_urls():
    register_secret("plain words / with a slash")
    assert redact("a plain words / with a slash b") == f"a {MASK} b"
    assert redact("?t=plain%20words%20%2F%20with%20a%20slash") == f"?t={MASK}"


def test_longest_registered_value_goes_first():
    register_secret("longsecret")
    register_secret("longsecret-and-more")
    assert redact("longsecret-and-more") == MASK


@pytest.mark.parametrize("value", [None, "", "short"])
def test_short_values_do_not_blot_out_words(value):
    register_secret(value)
    assert redact("short words stay short") == "short words stay short"


def test_values_inside_structures_are_masked():
    register_secret("qwertyuiop-42")
    assert redact_value(
        {
            "event": "x",
            "count": 3,
            "password": {"any": "thing"},
            "Authorization": b"zzz",
            "api_key": None,
            "nested": [{"refresh_token": "abc"}, ("qwertyuiop-42", b"sk_test_12345")],
            "error": ValueError("bad qwertyuiop-42"),
        }
    ) == {
        "event": "x",
        "count": 3,
        "password": MASK,
        "Authorization": MASK,
        "api_key": None,
        "nested": [{"refresh_token": MASK}, [MASK, MASK]],
        "error": f"bad {MASK}",
    }


@pytest.mark.parametrize(
    "piece",
    [
        *("a_", "token", "://", "a:", "x://a:", "a.b-", "a b ", "0123456789abcdef", "\n"),
        *("Bearer ", "basic ", "eyJ.", "eyJ-", "sk_live_", "password_", "cookie:"),
        *("=", '"', "\\", '\\"', 'token="', "token='\\\"", "secret:\\"),
    ],
)
def test_time_grows_with_the_text_and_no_faster(piece):
    """50 kB that someone else chose are redacted in a fraction of a second."""
    text = piece * (50_000 // len(piece))
    begun = time.thread_time()
    redact(text)
    redact(f'password="{text}')
    assert time.thread_time() - begun < 1
