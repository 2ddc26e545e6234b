"""Every log line, whoever writes it, goes through redaction."""

import io
import json
import logging

import pytest
import structlog

from integration_pipelines.core.logs import configure_logging
from integration_pipelines.core.redaction import register_secret
from integration_pipelines.core.settings import AppEnv

CANARY = "sk_live_canary4242"


@pytest.fixture(params=[AppEnv.PRODUCTION, AppEnv.DEVELOPMENT])
def app_env(request):
    return request.param


@pytest.fixture
def lines(app_env):
    """``lines() -> what was logged``, at DEBUG."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    configure_logging(app_env, level=logging.DEBUG, stream=stream)
    yield lambda: stream.getvalue().splitlines()
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_production_writes_json_with_the_request_id():
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        configure_logging(AppEnv.PRODUCTION, stream=stream)
        with structlog.contextvars.bound_contextvars(request_id="r1"):
            structlog.get_logger("ours").info("synced", rows=3)
            logging.getLogger("theirs").warning("said %s", "so")
        logging.getLogger("urllib3.connectionpool").info("chatter")
    finally:
        root.handlers, root.level = handlers, level
        structlog.reset_defaults()
    ours, theirs = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (ours["event"], ours["rows"], ours["request_id"], ours["logger"], ours["level"]) == (
        "synced",
        3,
        "r1",
        "ours",
        "info",
    )
    assert (theirs["event"], theirs["request_id"], theirs["level"]) == ("said so", "r1", "warning")


def test_no_way_of_logging_shows_a_secret(lines):
    register_secret('canary with "quotes" and ünïcode')
    log = structlog.get_logger("ours")
    log.info("event %s", CANARY, key=CANARY, nested={"a": [CANARY]}, api_key="canary")
    log.info("quoted", text='canary with "quotes" and ünïcode')
    structlog.contextvars.bind_contextvars(bound=CANARY)
    log.info("bound")
    theirs = logging.getLogger("botocore.endpoint")
    theirs.setLevel(logging.DEBUG)
    theirs.debug("headers %s", {"Authorization": "Bearer canary-canary"})
    theirs.info("extra", extra={"client_secret": "canary"})
    theirs.warning(CANARY)

    class Opaque:
        def __repr__(self):
            return f"<Opaque {CANARY}>"

    log.warning("object", thing=Opaque())
    try:
        local = CANARY
        raise ValueError(f"bad {local}")
    except ValueError:
        log.exception("failed")
        theirs.exception("failed too")
    said = "\n".join(lines())
    assert said.count("ValueError") >= 2
    assert "canary" not in said


def test_configuring_twice_writes_each_line_once(lines, app_env):
    stream = io.StringIO()
    configure_logging(app_env, stream=stream)
    configure_logging(app_env, stream=stream)
    structlog.get_logger().warning("once")
    assert stream.getvalue().count("once") == 1
    assert not [line for line in lines() if "once" in line]
