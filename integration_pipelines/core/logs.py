"""Logging: structlog and the standard library's loggers through one redacting pipeline."""

import logging
import sys
from typing import Any, TextIO

import structlog

from integration_pipelines.core.redaction import redact_event, redact_line
from integration_pipelines.core.settings import AppEnv

QUIET = ("urllib3", "botocore", "boto3", "alembic.runtime", "great_expectations")
"""Loggers that say at INFO what only their authors want to read."""


def configure_logging(
    app_env: AppEnv, *, level: int = logging.INFO, stream: TextIO | None = None
) -> None:
    """Send every log line, ours and the libraries', redacted to ``stream`` (standard error).

    JSON in production, for people elsewhere. Context variables (`request_id`, `venue_id`, ...,
    bound with `structlog.contextvars.bind_contextvars`) are on every line. Safe to repeat.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Tracebacks become text before redaction; the console's own formatter would show locals.
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if app_env is AppEnv.PRODUCTION
        else structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        )
    )
    processors: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        redact_event,
        renderer,
        redact_line,
    ]
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=processors,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
