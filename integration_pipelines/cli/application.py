"""What every command is handed. Imports little by itself, so that --help answers at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from integration_pipelines.core.settings import Settings


class Application:
    """One run of the command. ``debug``: errors keep their traceback, logs say more."""

    def __init__(self) -> None:
        self.debug = False

    @cached_property
    def settings(self) -> "Settings":
        """Read when first asked for. Raises ConfigurationError."""
        import logging

        from integration_pipelines.core.logs import configure_logging
        from integration_pipelines.core.settings import load_settings

        settings = load_settings()
        configure_logging(settings.app_env, level=logging.INFO if self.debug else logging.WARNING)
        return settings

    @contextmanager
    def engine(self) -> "Iterator[Engine]":
        """An engine of the role pipeline, for the block."""
        from integration_pipelines.core.database import create_engine

        with _disposed(create_engine(self.settings)) as engine:
            yield engine

    @contextmanager
    def owner_engine(self) -> "Iterator[Engine]":
        """An engine of the database's owner, for the block."""
        from integration_pipelines.core.database import owner_engine

        with _disposed(owner_engine(self.settings)) as engine:
            yield engine


@contextmanager
def _disposed(engine: "Engine") -> "Iterator[Engine]":
    try:
        yield engine
    finally:
        engine.dispose()
