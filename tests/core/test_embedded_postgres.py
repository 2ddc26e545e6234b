import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import text

from integration_pipelines.core.database import owner_engine
from integration_pipelines.core.embedded_postgres import (
    DATABASE,
    HOST,
    OWNER,
    EmbeddedPostgresError,
    Server,
    binary,
    embedded_postgres,
    status,
)
from integration_pipelines.core.errors import ConfigurationError
from integration_pipelines.core.settings import Settings

FAST_AND_FORGETFUL = {"fsync": "off"}
IS_ROOT = os.geteuid() == 0

USER = """
import sys
from pathlib import Path
from integration_pipelines.core.embedded_postgres import acquire, status

data_path = Path(sys.argv[1])
acquire(data_path)
print(status(data_path).pid, flush=True)
sys.stdin.read()
"""


def serving(data_path: Path) -> AbstractContextManager[Server]:
    return embedded_postgres(data_path, configuration=FAST_AND_FORGETFUL)


def connect(server: Server, **overrides: object) -> psycopg.Connection[tuple[object, ...]]:
    parameters: dict[str, object] = {
        "host": HOST,
        "port": server.port,
        "user": OWNER,
        "password": server.owner_password,
        "dbname": DATABASE,
        "autocommit": True,
    }
    return psycopg.connect(**(parameters | overrides))  # type: ignore[arg-type]


def kill_postmaster(data_path: Path) -> None:
    pid = status(data_path).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while status(data_path).running:
        time.sleep(0.01)


@contextmanager
def another_process(data_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that uses the server until its standard input is closed."""
    with subprocess.Popen(
        [sys.executable, "-c", USER, str(data_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


def postmaster_seen_by(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def leave(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(30) == 0


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DATA_DIR whose cluster exists; its server is down."""
    data_path = tmp_path_factory.mktemp("prepared")
    with serving(data_path):
        pass
    return data_path


@pytest.fixture
def data_path(prepared: Path, tmp_path: Path) -> Iterator[Path]:
    """A DATA_DIR of the test's own that has been used before."""
    yield shutil.copytree(prepared, tmp_path / "data")
    shutil.rmtree(tmp_path)


def test_it_serves_the_database_to_an_owner_who_is_no_superuser(data_path: Path) -> None:
    with serving(data_path) as server, connect(server) as connection:
        assert connection.execute(
            "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb,"
            " current_setting('server_version_num')::int / 10000"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone() == ("owner", False, False, True, True, 18)


@pytest.mark.parametrize("user", [OWNER, "postgres"])
def test_nobody_enters_without_the_password(data_path: Path, user: str) -> None:
    with (
        serving(data_path) as server,
        pytest.raises(psycopg.OperationalError, match="password"),
    ):
        connect(server, user=user, password="guessed")


def test_passwords_are_readable_by_their_user_alone(data_path: Path) -> None:
    with serving(data_path) as server:
        assert server.owner_password not in repr(server)
        holders = [
            path.stat().st_mode & 0o777
            for path in data_path.iterdir()
            if path.is_file() and server.owner_password in path.read_text()
        ]
        assert holders == [0o600]


def test_it_listens_on_the_loopback_alone(data_path: Path) -> None:
    with serving(data_path):
        postmaster = psutil.Process(status(data_path).pid)
        listening = postmaster.net_connections("inet")
        assert {connection.laddr.ip for connection in listening} == {HOST}
        assert not any(connection.laddr for connection in postmaster.net_connections("unix"))


def test_no_permission_outside_data_dir_changes(tmp_path: Path) -> None:
    closed = tmp_path / "a clone"
    project = closed / "project"
    project.mkdir(parents=True)
    closed.chmod(0o700)
    project.chmod(0o750)
    outside = [project, *project.parents]
    before = [(path.stat().st_mode, path.stat().st_uid) for path in outside]
    with serving(project / ".data") as server, connect(server):
        pass
    assert [(path.stat().st_mode, path.stat().st_uid) for path in outside] == before


@pytest.fixture
def only_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def allow(*names: str) -> None:
        folder = tmp_path / "-".join(names)
        folder.mkdir()
        for name in names:
            found = shutil.which(name)
            assert found is not None, f"these tests need {name}"
            (folder / name).symlink_to(found)
        monkeypatch.setenv("PATH", str(folder))

    return allow


def test_root_without_user_namespaces_starts_it_as_another_user(
    data_path: Path, only_commands: Callable[..., None]
) -> None:
    closed = data_path.parent
    closed.chmod(0o700)
    with serving(data_path) as server, connect(server) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    only_commands("sh", "setpriv")
    with serving(data_path) as server, connect(server) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (1,)
        runs_as = psutil.Process(status(data_path).pid).uids().real
        assert (runs_as != 0) and (IS_ROOT or runs_as == os.geteuid())
    assert closed.stat().st_mode & 0o777 == 0o700


def test_root_in_a_container_with_the_usual_rights_starts_it(tmp_path: Path) -> None:
    if not IS_ROOT:
        return
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    usual = "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,setfcap"
    code = (
        "import os, sys; from pathlib import Path;"
        "from integration_pipelines.core.embedded_postgres import embedded_postgres, status;"
        "os.environ['PATH'] = sys.argv[2]; path = Path(sys.argv[1])\n"
        "for _ in range(2):\n"
        "    with embedded_postgres(path): print(status(path).running)"
    )
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "setpriv"):
        (folder / name).symlink_to(str(shutil.which(name)))
    bounds = "-all," + ",".join(f"+{right}" for right in usual.split(","))
    ran = subprocess.run(
        [
            *("setpriv", f"--bounding-set={bounds}", f"--inh-caps={bounds}"),
            *(sys.executable, "-c", code, str(closed / "data"), str(folder)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("True\nTrue\n", "")


def test_root_without_any_way_is_told_what_to_do(
    tmp_path: Path, only_commands: Callable[..., None]
) -> None:
    if not IS_ROOT:
        return
    only_commands("sh")
    with pytest.raises(ConfigurationError, match="set DATABASE_URL"), serving(tmp_path / "data"):
        pass


def test_the_last_one_out_stops_it(data_path: Path) -> None:
    with another_process(data_path) as process:
        pid = postmaster_seen_by(process)
        with serving(data_path):
            assert status(data_path).pid == pid
            leave(process)
            assert status(data_path).pid == pid
    assert status(data_path) == (False, None, None)


def test_a_server_left_behind_is_adopted_and_then_stopped(data_path: Path) -> None:
    with another_process(data_path) as process:
        pid = postmaster_seen_by(process)
        process.kill()
    assert status(data_path).pid == pid
    with serving(data_path) as server, connect(server):
        assert status(data_path).pid == pid
    assert not status(data_path).running


def test_it_outlives_who_started_it_and_their_terminal(data_path: Path) -> None:
    with serving(data_path):
        pid = status(data_path).pid
        assert pid is not None
        assert os.getsid(pid) == pid != os.getsid(0)
        assert os.getpgid(pid) != os.getpgrp()


def test_a_killed_server_comes_back_with_what_was_committed(data_path: Path) -> None:
    with serving(data_path) as server, connect(server) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
        kill_postmaster(data_path)
        with serving(data_path) as again, connect(again) as recovered:
            assert again.port == server.port
            assert recovered.execute("SELECT n FROM kept").fetchone() == (1,)


def test_busy_backends_of_a_killed_server_do_not_block_the_next(data_path: Path) -> None:
    with serving(data_path) as server:
        busy = connect(server)

        def work() -> None:
            with pytest.raises(psycopg.OperationalError):
                busy.execute("SELECT count(*) FROM generate_series(1, 10000000000)")

        thread = threading.Thread(target=work)
        thread.start()
        with connect(server) as connection:
            while connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
            ).fetchone() != (2,):
                time.sleep(0.01)
        kill_postmaster(data_path)
        with serving(data_path) as again, connect(again):
            pass
        thread.join()


def test_a_lock_file_whose_pid_is_another_process_is_no_obstacle(data_path: Path) -> None:
    with serving(data_path):
        lock = (data_path / "postgres" / "postmaster.pid").read_text()
        kill_postmaster(data_path)
    (data_path / "postgres" / "postmaster.pid").write_text(
        lock.replace(lock.split("\n")[0], str(os.getpid()), 1)
    )
    assert not status(data_path).running
    with serving(data_path) as server, connect(server):
        pass


def test_an_engine_brings_a_killed_server_back(data_path: Path) -> None:
    settings = Settings(data_dir=data_path)
    with serving(data_path):
        engine = owner_engine(settings)
        with engine.connect() as connection:
            backend = int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
        kill_postmaster(data_path)
        while psutil.pid_exists(backend):
            time.sleep(0.01)
        with engine.connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
        engine.dispose()


def test_an_occupied_port_is_given_up(data_path: Path) -> None:
    with serving(data_path) as server:
        port = server.port
    with socket.create_server((HOST, port)), serving(data_path) as moved, connect(moved):
        assert moved.port != port
    with serving(data_path) as server:
        assert server.port == moved.port


def test_two_data_dirs_stand_side_by_side(data_path: Path, prepared: Path) -> None:
    with (
        serving(data_path) as one,
        serving(prepared) as two,
        connect(one) as in_one,
        connect(two) as in_two,
    ):
        in_one.execute("CREATE TABLE here ()")
        assert in_two.execute("SELECT to_regclass('here')").fetchone() == (None,)
        assert one.port != two.port


def test_a_link_to_data_dir_is_the_same_server(data_path: Path) -> None:
    link = data_path.with_name("link")
    link.symlink_to(data_path)
    with serving(data_path), serving(link):
        assert status(link) == status(data_path)


def test_four_processes_starting_at_once_share_one_server(tmp_path: Path) -> None:
    data_path = tmp_path / "data"
    processes = [another_process(data_path) for _ in range(4)]
    entered = [process.__enter__() for process in processes]
    assert len({postmaster_seen_by(process) for process in entered}) == 1
    for process, manager in zip(entered, processes, strict=True):
        leave(process)
        manager.__exit__(None, None, None)
    assert not status(data_path).running


def test_a_first_start_that_was_killed_is_begun_anew(tmp_path: Path) -> None:
    partial = tmp_path / "postgres.partial-x" / "cluster"
    partial.mkdir(parents=True)
    (partial / "PG_VERSION").write_text("18")
    with serving(tmp_path) as server, connect(server):
        assert not list(tmp_path.glob("*partial*"))


def test_lost_passwords_are_named(data_path: Path) -> None:
    with serving(data_path):
        pass
    (data_path / "postgres.json").unlink()
    with pytest.raises(ConfigurationError, match=r"postgres\.json is missing"), serving(data_path):
        pass


def test_a_server_that_cannot_start_says_why(data_path: Path) -> None:
    with (
        pytest.raises(EmbeddedPostgresError, match="max_connections"),
        embedded_postgres(data_path, configuration={"max_connections": "many"}),
    ):
        pass


def test_its_programs_are_postgres_18() -> None:
    version = subprocess.run([binary("psql"), "--version"], capture_output=True, check=True)
    assert b" 18." in version.stdout
    with pytest.raises(ConfigurationError, match="has no sqlplus"):
        binary("sqlplus")
