"""`make dev`: everything up on this machine, until Ctrl-C.

Postgres, the sandbox with three venues' accounts in which something happens every minute, Dagster's
webserver and daemon, Data Docs, the portal, the receiver, and a worker that stays warm. Each is a
child process in a session of its own that writes to DATA_DIR/logs/NAME.log. All listen on 127.0.0.1
only. Ctrl-C, SIGTERM or a child's end stops all.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import select

from development.processes import ChildEnded, Processes, free_port, stopped_by_signals
from development.stage import VENUES, Stage, furnish, raised_stage
from integration_pipelines.core.database import create_engine, initialise, owner_engine, owner_url
from integration_pipelines.core.errors import IntegrationError
from integration_pipelines.core.settings import Settings, load_settings
from integration_pipelines.core.tables import connections
from integration_pipelines.core.users import invite
from integration_pipelines.instance import WORKSPACE, environment
from integration_pipelines.providers import PROVIDERS

DAGSTER_PORT = 3000
PORTAL_PORT = 8080
RECEIVER_PORT = 8081
DATA_DOCS_PORT = 8082
DEVELOPER = "developer@venues.example"
HAPPENINGS_EACH = 60.0
HAPPENINGS = 2


def main() -> None:
    try:
        with stopped_by_signals():
            settings = load_settings()
            with everything_up(settings) as (processes, stage):
                _live_on(processes, stage)
    except KeyboardInterrupt:
        print("\nstopped", flush=True)
    except (ChildEnded, IntegrationError, TimeoutError) as error:
        sys.exit(f"dev: {error}")


@contextmanager
def everything_up(settings: Settings) -> Iterator[tuple[Processes, Stage | None]]:
    """All children running for the block, their URLs printed; no stage where other accounts than
    the sandbox's are connected."""
    print("starting …", flush=True)
    url = owner_url(settings)  # An embedded server stays up until this process ends.
    initialise(settings, PROVIDERS.values())
    with ExitStack() as held:
        processes = held.enter_context(Processes(settings.data_path / "logs"))
        stage = None
        variables = environment(settings)
        if _elsewhere(settings):
            print("accounts outside the sandbox are connected: it is not started", flush=True)
        else:
            stage = held.enter_context(raised_stage(processes, settings.data_path))
            variables |= stage.environment
        receiver = f"http://127.0.0.1:{free_port(RECEIVER_PORT)}"
        docs = f"http://127.0.0.1:{free_port(DATA_DOCS_PORT)}"
        variables |= {"WEBHOOK_BASE_URL": receiver, "DATA_DOCS_URL": docs}
        processes.start_data_docs(docs, settings.data_docs_path)
        port = free_port(DAGSTER_PORT)
        scripts = Path(sys.executable).parent
        processes.start(
            "dagster-daemon", [scripts / "dagster-daemon", "run", "-w", WORKSPACE], env=variables
        )
        processes.start(
            "dagster-webserver",
            [scripts / "dagster-webserver", "-w", WORKSPACE, "-h", "127.0.0.1", "-p", str(port)],
            env=variables,
        )
        portal = f"http://127.0.0.1:{free_port(PORTAL_PORT)}"
        processes.start(
            "portal",
            [
                *(scripts / "gunicorn", "--bind", portal.removeprefix("http://")),
                *("--threads", "8", "oauth_portal:create_app()"),
            ],
            env=variables | {"PUBLIC_BASE_URL": portal},
        )
        processes.start_receiver(receiver, variables)
        processes.start("worker", [scripts / "integrations", "work"], env=variables)
        if stage is not None:
            furnish(stage)
            processes.wait_for(f"{receiver}/health")
            stage.register(receiver)
        _invite_developer(settings)
        processes.wait_for(f"http://127.0.0.1:{port}/server_info")
        processes.wait_for(f"{portal}/health")
        processes.wait_for(docs)
        print(f"portal     {portal} (sign in as {DEVELOPER})")
        print(f"receiver   {receiver}/webhooks/…")
        print(f"Dagster    http://127.0.0.1:{port}")
        print(f"Data Docs  {docs}")
        if stage is not None:
            print(f"sandbox    {stage.url}/_sandbox/stats")
            for name, value in stage.environment.items():
                if name.endswith("_BASE"):
                    print(f"           {name}={value} for commands by hand")
        print(f"Postgres   {url.host}:{url.port}/{url.database}, or `integrations db psql`")
        print(f"logs       {processes.logs}")
        print("Ctrl-C stops all of it.", flush=True)
        yield processes, stage


def _invite_developer(settings: Settings) -> None:
    """Someone who may sign in at the portal and see every venue."""
    owner = owner_engine(settings)
    with owner.begin() as session:
        invite(session, DEVELOPER, is_admin=True)
    owner.dispose()


def _elsewhere(settings: Settings) -> bool:
    """Whether an account is connected that the sandbox does not play: pointed at the sandbox, its
    credentials would be refused and it be marked as revoked."""
    engine = create_engine(settings)
    with engine.connect() as session:
        venue_ids: set[str] = set(
            session.scalars(
                select(connections.c.venue_id).where(connections.c.status != "disconnected")
            )
        )
    engine.dispose()
    return not venue_ids <= {venue.venue_id for venue in VENUES}


def _live_on(processes: Processes, stage: Stage | None) -> None:
    """Watch the children for ever, and let things happen in the sandbox."""
    last = time.monotonic()
    while True:
        processes.check()
        time.sleep(0.5)
        if stage is not None and time.monotonic() - last > HAPPENINGS_EACH:
            stage.move(HAPPENINGS)
            last = time.monotonic()


if __name__ == "__main__":
    main()
