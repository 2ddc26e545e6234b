"""A Stripe-compatible server that this client was not written against: localstripe.

It refuses `created` filters, orders oldest first, and answers 404 on some lists and the account.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.providers.stripe.conftest import ConnectStripe

MISSING = {"prices", "disputes", "promotion_codes", "credit_notes", "checkout_sessions"}


@pytest.fixture(scope="module")
def localstripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [Path(sys.executable).with_name("localstripe"), "--port", str(port), "--from-scratch"],
        cwd=tmp_path_factory.mktemp("localstripe"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    base = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 30
    while True:
        try:
            requests.get(f"{base}/v1/customers", auth=("sk_test_any", ""), timeout=5)
            break
        except requests.ConnectionError:
            assert server.poll() is None and time.monotonic() < deadline, "localstripe is not up"
            time.sleep(0.1)
    yield base
    server.terminate()
    server.wait(10)


def create(base: str, path: str, **fields: object) -> dict[str, object]:
    answer = requests.post(f"{base}{path}", data=fields, auth=("sk_test_any", ""), timeout=10)
    answer.raise_for_status()
    return answer.json()


def test_what_the_server_has_lands_and_what_it_refuses_fails_by_name(
    localstripe: str, connect_stripe: ConnectStripe
) -> None:
    names = {str(create(localstripe, "/v1/customers", name=f"guest {n}")["id"]) for n in range(250)}
    create(localstripe, "/v1/products", name="Season pass", type="service")
    venue = connect_stripe(localstripe)
    assert venue.connection.account_id == "default"

    first = venue.sync()

    failed = {name for name, result in first.items() if result.outcome == "failed"}
    assert failed == MISSING
    assert all("404" in str(first[name].error) for name in failed)
    assert first["customers"].inserted == 250
    assert set(venue.payloads("customers")) == names
    assert first["products"].inserted == 1

    late = str(create(localstripe, "/v1/customers", name="late guest")["id"])
    second = venue.sync()

    assert {name for name, result in second.items() if result.outcome == "failed"} == MISSING
    assert set(venue.payloads("customers")) == names | {late}
    assert second["customers"].unchanged + second["customers"].inserted >= 1


def test_a_full_pass_finds_what_the_server_deleted(
    localstripe: str, connect_stripe: ConnectStripe
) -> None:
    gone = str(create(localstripe, "/v1/customers", name="leaves")["id"])
    venue = connect_stripe(localstripe)
    venue.sync(streams=["customers"])
    assert gone in venue.payloads("customers")

    requests.delete(f"{localstripe}/v1/customers/{gone}", auth=("sk_test_any", ""), timeout=10)
    result = venue.sync(streams=["customers"], full=True)["customers"]

    assert (result.outcome, result.deleted) == ("succeeded", 1)
    assert gone not in venue.payloads("customers")
