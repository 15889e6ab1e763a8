"""Run the whole product on one machine: database, migrations, first administrator, worker and web server."""

from __future__ import annotations

import ctypes
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, connection, transaction

from goldenproject.database import make_data_dir
from goldenproject.kit.errors import BadInput, Conflict, Unavailable
from goldenproject.settings import environment

Say = Callable[[str], None]

_STOP_TIMEOUT_S = 30
_JOBS_MAY_END_S = 5
_POLL_S = 0.2
_PR_SET_PDEATHSIG = 1


class BadBind(BadInput):
    """GOLDEN_BIND is not an address to listen on."""

    code = "bind"
    exit_code = 2


class AddressInUse(Conflict):
    """Another program listens on this address."""

    code = "address_in_use"


class AlreadyServed(Conflict):
    """This data folder is being served already."""

    code = "already_served"


class DatabaseUnreachable(Unavailable):
    """The database does not answer."""

    code = "database_unreachable"


class PartDied(Unavailable):
    """A part of the running product ended by itself."""

    code = "part_died"


@dataclass(frozen=True)
class ServeOptions:
    """What to run, and where.

    `bind` is host:port; `web_workers` processes of `web_threads` threads each answer requests; `job_concurrency` is how
    many jobs the one worker process runs at a time.
    """

    bind: str = "127.0.0.1:8000"
    web_workers: int = 2
    web_threads: int = 8
    job_concurrency: int = 2
    demo: bool = True

    @classmethod
    def from_environment(cls) -> ServeOptions:
        return cls(
            bind=environment.text("GOLDEN_BIND", cls.bind),
            web_workers=environment.number("GOLDEN_WEB_WORKERS", cls.web_workers),
            web_threads=environment.number("GOLDEN_WEB_THREADS", cls.web_threads),
            job_concurrency=environment.number("GOLDEN_JOB_CONCURRENCY", cls.job_concurrency),
            demo=environment.flag("GOLDEN_DEMO", default=cls.demo),
        )

    @property
    def address(self) -> tuple[str, int]:
        """Host and port. Raises BadBind."""
        host, _, port = self.bind.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise BadBind(f"GOLDEN_BIND: found {self.bind!r}, expected host:port such as 127.0.0.1:8000.")
        return host.strip("[]"), int(port)


@dataclass(frozen=True)
class _Part:
    name: str
    process: subprocess.Popen[bytes]


def serve(options: ServeOptions, *, say: Say) -> None:
    """Run everything until Ctrl-C or SIGTERM, then stop everything and return.

    Raises AddressInUse, AlreadyServed, DatabaseUnreachable, and PartDied when a part ended by itself (after stopping the others).
    """
    parts: list[_Part] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # all three end the same way, also when a shell that started this in the background had SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        _check_free(options)
        with _only_one():
            try:
                prepare(options, say=say)
                parts.append(_Part("the worker", _spawn(_worker_command(options))))
                parts.append(_Part("the web server", _spawn(_web_command(options))))
                _wait_until_answering(options, parts)
                say(f"Golden datasets: http://{options.bind}/  (Ctrl-C stops everything)")
                while True:
                    _check_alive(parts)
                    time.sleep(_POLL_S)
            except KeyboardInterrupt:
                say("Stopping …")
            finally:
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)  # impatience must not cut the stopping short
                _stop(parts, say)
                connection.close()
    except KeyboardInterrupt:
        return


def prepare(options: ServeOptions, *, say: Say) -> None:
    """Bring the database to this version; at the first start make the administrator and the demo data.

    Raises DatabaseUnreachable.
    """
    try:
        connection.ensure_connection()
    except OperationalError as error:
        raise DatabaseUnreachable(
            f"The database does not answer: {' '.join(str(error).split())}",
            hint="Check DATABASE_URL and that the server runs, or unset DATABASE_URL to use the embedded server.",
        ) from error
    with connection.cursor() as cursor:
        # two machines on one database may start at once
        cursor.execute("SELECT pg_advisory_lock(hashtextextended('golden migrate', 0))")
        try:
            call_command("migrate", verbosity=0, interactive=False)
            _first_start(options, say)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended('golden migrate', 0))")
    if not getattr(settings, "WHITENOISE_USE_FINDERS", False):
        call_command("collectstatic", verbosity=0, interactive=False)


def _first_start(options: ServeOptions, say: Say) -> None:
    from django.contrib.auth import get_user_model

    users = get_user_model()._default_manager
    administrator = users.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if administrator is None:
        password = secrets.token_urlsafe(12)
        administrator = users.create_superuser("admin", password=password)  # type: ignore[attr-defined]
        say(f"Administrator: admin, password: {password}  (shown this once; change it in the console)")
    if options.demo:
        _load_demo(administrator, say)


def _load_demo(administrator: object, say: Say) -> None:
    """Load the demo dataset unless there is, or ever was, a dataset; the demo queue and the demo corpus likewise."""
    from datasets_app.models import Corpus, Dataset
    from datasets_app.services.demo import DEMO_NAME, load_demo
    from datasets_app.services.demo_corpus import load_demo_corpus
    from labeling_app.models import LabelingQueue
    from labeling_app.services.demo_labels import load_demo_labels

    for model, load in ((Dataset, load_demo), (LabelingQueue, load_demo_labels), (Corpus, load_demo_corpus)):
        if model is LabelingQueue and not Dataset.objects.filter(name=DEMO_NAME).exists():
            continue
        if model.objects.exists() or model.history.exists():  # type: ignore[attr-defined]
            continue
        say(f"Loading the demo {model._meta.verbose_name} …")
        with transaction.atomic():  # whole or not at all, also when somebody stops it halfway
            load(actor=administrator)


def _worker_command(options: ServeOptions) -> list[str]:
    manage = str(settings.BASE_DIR / "manage.py")
    return [
        *(sys.executable, manage, "procrastinate", "worker"),
        *("--concurrency", str(options.job_concurrency)),
        # then jobs are told to leave off: well before the worker would be killed
        *("--shutdown-graceful-timeout", str(_JOBS_MAY_END_S)),
    ]


def _web_command(options: ServeOptions) -> list[str]:
    return [
        *(sys.executable, "-m", "gunicorn", "goldenproject.wsgi"),
        *("--chdir", str(settings.BASE_DIR)),
        *("--bind", options.bind),
        *("--worker-class", "gthread"),
        *("--workers", str(options.web_workers)),
        *("--threads", str(options.web_threads)),
        *("--timeout", "120"),
        *("--graceful-timeout", "20"),
        *("--log-level", "error"),
        "--no-control-socket",
    ]


def _spawn(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        cwd=settings.BASE_DIR,
        start_new_session=True,  # Ctrl-C reaches us alone, and we stop the parts in order
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
    )


def _end_with_parent() -> None:
    """Ask the kernel to end this child when its parent is killed, so that no orphan keeps the port."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _check_free(options: ServeOptions) -> None:
    host, port = options.address
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise AddressInUse(
            f"Cannot listen on {options.bind}: {error.strerror or error}.",
            hint="Stop the other program, or choose another address: GOLDEN_BIND=127.0.0.1:8001 make run",
        ) from error


@contextmanager
def _only_one() -> Iterator[None]:
    path: Path = make_data_dir(settings.GOLDEN_DATA_DIR) / "serve.lock"
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyServed(
                f"The data in {path.parent} are being served by another process.",
                hint="Stop it, or set GOLDEN_DATA_DIR to another folder.",
            ) from error
        yield


def _wait_until_answering(options: ServeOptions, parts: list[_Part]) -> None:
    host, port = options.address
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    while True:
        _check_alive(parts)
        try:
            with socket.create_connection((host, port), timeout=1):
                return
        except OSError:
            time.sleep(0.1)


def _check_alive(parts: list[_Part]) -> None:
    for part in parts:
        status = part.process.poll()
        if status is not None:
            raise PartDied(
                f"{part.name.capitalize()} ended by itself (exit status {status}); everything is being stopped.",
                hint="Its last words are above. Start again with `make run`.",
            )
    embedded = connection.settings_dict.get("EMBEDDED")
    if embedded:
        from goldenproject.embedded_server import is_alive

        if not is_alive(embedded["data_dir"]):
            raise PartDied(
                "The database server ended by itself; everything is being stopped.",
                hint=f"Its log is {embedded['data_dir'] / 'postgres.log'}. Start again with `make run`: it recovers.",
            )


def _stop(parts: list[_Part], say: Say) -> None:
    for part in reversed(parts):
        if part.process.poll() is None:
            part.process.terminate()
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    for part in reversed(parts):
        try:
            part.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            say(f"{part.name.capitalize()} did not stop within {_STOP_TIMEOUT_S} s and is killed.")
            os.killpg(part.process.pid, signal.SIGKILL)
            part.process.wait()
