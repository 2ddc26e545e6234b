"""Resources: what the environment says, and each provider's way to its API. No secret is in their
configuration, which the UI shows."""

from contextlib import ExitStack

import dagster as dg
from pydantic import PrivateAttr
from sqlalchemy import Engine

from integration_pipelines.core.credentials import Connection, Vault
from integration_pipelines.core.database import Role, create_engine
from integration_pipelines.core.ingest import open_client
from integration_pipelines.core.logs import configure_logging
from integration_pipelines.core.presence import present
from integration_pipelines.core.provider import Client
from integration_pipelines.core.settings import Settings, load_settings
from integration_pipelines.providers import PROVIDERS


class Pipeline(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Settings of the environment, the database as the role `pipeline`, and the vault. A run that
    has it is present, by its id, for as long as its process lives: see `lost_runs`."""

    database_connections: int = 40
    """As many as one run may hold at most: a few for each connection synced at once."""

    _settings: Settings = PrivateAttr()
    _engine: Engine = PrivateAttr()
    _vault: Vault = PrivateAttr()
    _held: ExitStack = PrivateAttr(default_factory=ExitStack)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        self._settings = load_settings()
        self._engine = create_engine(
            self._settings,
            Role.PIPELINE,
            application_name="dagster",
            pool_size=5,
            max_overflow=self.database_connections - 5,
        )
        self._vault = Vault(self._settings)
        if context.run is not None and context.instance is not None:
            configure_logging(self._settings.app_env)
            self._held.enter_context(present(self._engine, context.run.run_id))
            # Otherwise Dagster opens a connection for each thing it stores: a quarter of the time
            # of a small run. It does not look whether one that it keeps still lives: none is kept
            # for as long as a server takes to be gone and back.
            context.instance.optimize_for_webserver(
                statement_timeout=60_000, pool_recycle=1, max_overflow=5
            )

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        self._held.close()
        self._engine.dispose()

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def engine(self) -> Engine:
        return self._engine

    @property
    def vault(self) -> Vault:
        return self._vault


class ProviderApi(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The API of one provider, opened with the credentials of whichever venue asks."""

    provider: str
    pipeline: dg.ResourceDependency[Pipeline]

    def open_client(self, connection: Connection) -> Client:
        """See core.ingest.open_client."""
        pipeline = self.pipeline
        provider = PROVIDERS[self.provider]
        return open_client(pipeline.settings, pipeline.engine, pipeline.vault, provider, connection)


def resources() -> dict[str, object]:
    """Every resource, by key: `pipeline`, and each provider's under the provider's name."""
    pipeline = Pipeline()
    return {"pipeline": pipeline} | {
        name: ProviderApi(provider=name, pipeline=pipeline) for name in PROVIDERS
    }
