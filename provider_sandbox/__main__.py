"""`python -m provider_sandbox --port 12111 --seed 1`: the stand-ins on one port of 127.0.0.1."""

import argparse
import signal
import threading

from provider_sandbox.sandbox import Sandbox


def main() -> None:
    """Serve until SIGTERM or SIGINT; the first line printed is where."""
    parser = argparse.ArgumentParser(prog="python -m provider_sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed, the same accounts")
    parser.add_argument("--now", type=int, help="a Unix second at which all clocks stand still")
    arguments = parser.parse_args()

    sandbox = Sandbox(seed=arguments.seed, port=arguments.port, now=arguments.now)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    threading.Thread(target=sandbox.serve, daemon=True).start()
    print(f"listening on {sandbox.base_url}", flush=True)
    stopped.wait()
    sandbox.stop()


if __name__ == "__main__":
    main()
