"""Start, share, watch and stop the embedded PostgreSQL server.

Every process that uses the server holds a shared lock (a lease) on one file; starting and stopping happen under
another, exclusive lock. Whoever leaves last stops the server. A process that is killed loses its lease with its life,
so nothing has to be cleaned up after it.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from goldenproject.database import make_data_dir
from goldenproject.embedded_cluster import Cluster, EmbeddedServerFailed, prepare_cluster

_POLL_S = 0.02
_LOG_LIMIT_BYTES = 10_000_000


@dataclass(frozen=True)
class Address:
    """How to reach the running server: a folder with its socket, and who to be."""

    host: str
    port: str
    user: str
    password: str


class _Lease:
    """What this process holds while it uses the server of one data folder."""

    def __init__(self, server: EmbeddedServer, cluster: Cluster, file: TextIO) -> None:
        self.server = server
        self.cluster = cluster
        self.file = file
        self.pid = os.getpid()


_leases: dict[Path, _Lease] = {}
_guard = threading.RLock()


class EmbeddedServer:
    """The server whose data lie in `data_dir`/postgres. Methods are safe between processes."""

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self.data_dir = data_dir.absolute()
        self.durable = durable
        self._postmaster: subprocess.Popen[bytes] | None = None

    @contextmanager
    def _start_lock(self) -> Iterator[None]:
        with (self.data_dir / "server.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def acquire(self) -> _Lease:
        """Start the server unless it runs, wait until it answers, and hold a lease on it.

        However long recovery takes, this waits as long as the postmaster lives. Raises EmbeddedServerFailed.
        """
        make_data_dir(self.data_dir)
        try:
            with self._start_lock():
                file = (self.data_dir / "users").open("a")
                try:
                    fcntl.flock(file, fcntl.LOCK_SH)
                    cluster = self.ensure_started()
                except BaseException:
                    file.close()
                    raise
        except PermissionError as error:
            raise EmbeddedServerFailed(
                f"The data folder {self.data_dir} cannot be used: {error}.",
                hint="Run as the user who owns it, or set GOLDEN_DATA_DIR to a folder of your own.",
            ) from error
        return _Lease(self, cluster, file)

    def release(self, lease: _Lease) -> None:
        """Give the lease back; the last user stops the server."""
        with self._start_lock():
            lease.file.close()
            with (self.data_dir / "users").open("a") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return
                self.stop(lease.cluster)

    def ensure_started(self) -> Cluster:
        """Start the server if it does not run; call it under the start lock or while holding a lease."""
        cluster = prepare_cluster(self.data_dir, durable=self.durable)
        if postmaster_state(cluster) is None:
            self._reap()
            self._start(cluster)
        self._wait_until_ready(cluster)
        return cluster

    def _start(self, cluster: Cluster) -> None:
        _clear_remains(cluster)
        if cluster.log.exists() and cluster.log.stat().st_size > _LOG_LIMIT_BYTES:
            cluster.log.replace(cluster.log.with_suffix(".log.1"))
        with cluster.log.open("ab") as log:
            cluster.log_start = log.tell()
            self._postmaster = subprocess.Popen(
                [str(cluster.binary("postgres")), "-D", str(cluster.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,  # Ctrl-C in a terminal is for us: we stop the server when all have left
                env=cluster.environment(),
                **cluster.as_server_user(),
            )

    def _wait_until_ready(self, cluster: Cluster) -> None:
        waiting_since = time.monotonic()
        told = False
        while True:
            state = postmaster_state(cluster)
            if state == "ready":
                break
            if self._postmaster is not None and self._postmaster.poll() is not None:
                raise EmbeddedServerFailed(
                    f"The embedded PostgreSQL server did not start (exit status {self._postmaster.returncode}); "
                    f"it said: {cluster.log_tail()}",
                    hint=f"Its whole log is {cluster.log}.",
                )
            if self._postmaster is None and state is None:
                self._start(cluster)  # another process was stopping it when we looked
            waited_s = time.monotonic() - waiting_since
            if not told and waited_s > 2 and sys.stderr.isatty():
                told = True
                sys.stderr.write("The database server is starting up or recovering; waiting for it …\n")
            time.sleep(_POLL_S if waited_s < 2 else 0.2)

    def stop(self, cluster: Cluster) -> None:
        """Stop the server in `fast` mode: open transactions are rolled back, everything is on disk afterwards."""
        pid = postmaster_pid(cluster)
        if pid is None:
            return
        os.kill(pid, signal.SIGINT)
        while postmaster_pid(cluster) is not None:
            time.sleep(_POLL_S)
        self._reap()

    def _reap(self) -> None:
        """Forget the postmaster, which has ended. Only the process that started it is its parent."""
        if self._postmaster is not None:
            self._postmaster.wait()
            self._postmaster = None


def ensure_running(data_dir: Path, *, durable: bool = True) -> Address:
    """Return the address of the running server; start it if need be, and hold a lease until this process ends.

    Cheap when it already runs (one small file is read). Started again when it died since. Raises EmbeddedServerFailed.
    """
    key = data_dir.absolute()
    with _guard:
        lease = _leases.get(key)
        if lease is None or lease.pid != os.getpid():  # a forked child needs a lease of its own
            first = not _leases
            lease = _leases[key] = EmbeddedServer(key, durable=durable).acquire()
            if first:
                atexit.register(release_all)
        elif postmaster_state(lease.cluster) != "ready":
            with lease.server._start_lock():
                lease.server.ensure_started()
        cluster = lease.cluster
        return Address(str(cluster.socket_folder), cluster.port, cluster.user, cluster.password())


def is_alive(data_dir: Path) -> bool:
    """Tell whether the server that this process holds a lease on still lives. Starts nothing."""
    lease = _leases.get(data_dir.absolute())
    return lease is None or postmaster_pid(lease.cluster) is not None


def release_all() -> None:
    """Give back the leases of this process; at its exit this happens by itself."""
    with _guard:
        for key, lease in list(_leases.items()):
            del _leases[key]
            if lease.pid == os.getpid():
                lease.server.release(lease)


def postmaster_pid(cluster: Cluster) -> int | None:
    """Return the process id of the living postmaster of this cluster, or None (a stale postmaster.pid counts as none)."""
    lines = _pid_file(cluster)
    if not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    return pid if _is_postgres_of(pid, cluster) else None


def postmaster_state(cluster: Cluster) -> str | None:
    """Return "ready", "starting" or "stopping" as the living postmaster says in postmaster.pid; None without one."""
    if postmaster_pid(cluster) is None:
        return None
    lines = _pid_file(cluster)
    return lines[7].strip() if len(lines) > 7 else "starting"


def _pid_file(cluster: Cluster) -> list[str]:
    try:
        return (cluster.folder / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _is_postgres_of(pid: int, cluster: Cluster) -> bool:
    process = Path(f"/proc/{pid}")
    if not Path("/proc/self").exists():  # macOS: no such folder, so ask for the name alone
        name = subprocess.run(
            ["ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return "postgres" in name.stdout
    try:
        return (
            process.joinpath("comm").read_text().strip() == "postgres"
            and process.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "Z"
            and Path(os.readlink(process / "cwd")) == cluster.folder.resolve()
        )
    except (FileNotFoundError, ProcessLookupError):
        return False
    except PermissionError:
        return True  # somebody else's postgres: the server itself will say what is wrong


def _clear_remains(cluster: Cluster) -> None:
    """Remove what a killed server left behind: its lock files, and backends that have not noticed its death.

    The server's own check trusts process ids, which another program may have by now (always so after a new start of
    a container).
    """
    pid_file = cluster.folder / "postmaster.pid"
    pid_file.unlink(missing_ok=True)
    for lock in cluster.socket_folder.glob(".s.PGSQL.*"):
        lock.unlink(missing_ok=True)
    orphans = [pid for pid in _process_ids() if _is_orphan(pid, cluster)]
    for pid in orphans:
        _send(pid, signal.SIGQUIT)
    deadline = time.monotonic() + 5
    while any(_is_orphan(pid, cluster) for pid in orphans):
        if time.monotonic() > deadline:
            for pid in orphans:
                _send(pid, signal.SIGKILL)
        time.sleep(_POLL_S)


def _process_ids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _is_orphan(pid: int, cluster: Cluster) -> bool:
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd")) == cluster.folder.resolve() and _is_postgres_of(
            pid, cluster
        )
    except OSError:
        return False


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


__all__ = [
    "Address",
    "EmbeddedServer",
    "EmbeddedServerFailed",
    "ensure_running",
    "is_alive",
    "postmaster_pid",
    "postmaster_state",
    "release_all",
]
