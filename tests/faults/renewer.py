"""Workers that all need a venue's QuickBooks token: `python -m tests.faults.renewer VENUE COUNT`.

Prints READY, waits for a line on standard input, and prints GOT with the end of the token that a
worker got, or with the kind of error, a line each.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from integration_pipelines.core.credentials import (
    Keeper,
    LiveCredentials,
    Vault,
    open_connections,
)
from integration_pipelines.core.database import create_engine
from integration_pipelines.core.errors import IntegrationError
from integration_pipelines.core.settings import Settings
from integration_pipelines.providers import PROVIDERS


def main() -> None:
    venue_id, count = sys.argv[1], int(sys.argv[2])
    settings = Settings()
    engine = create_engine(settings)
    with engine.connect() as session:
        connection = next(each for each in open_connections(session) if each.venue_id == venue_id)
    keeper = Keeper(settings, engine, Vault(settings), PROVIDERS[connection.provider], connection)
    keeper.read()
    together = Barrier(count + 1)

    def work() -> str:
        together.wait()
        try:
            credentials = LiveCredentials(keeper).current()
        except IntegrationError as error:
            return error.kind
        return credentials.model_dump()["access_token"].get_secret_value()[-12:]

    with ThreadPoolExecutor(count) as pool:
        working = [pool.submit(work) for _ in range(count)]
        print("READY", flush=True)
        sys.stdin.readline()
        together.wait()
        for worker in working:
            print("GOT", worker.result(), flush=True)


if __name__ == "__main__":
    main()
