"""A site to call over real HTTP: a queue of many examples, labelers with tokens, gunicorn as `make run` starts it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = "tests.bench.labeling_settings"
LABELS = ["alpha", "bravo", "charlie", "delta"]


@dataclass
class Prepared:
    """What there is to work with: the queue, one token for each labeler, and ids of rows of the working copy."""

    queue: str
    overlap: int
    tokens: list[str]
    rows: list[int]
    seconds: dict[str, float] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.__dict__))

    @classmethod
    def read(cls, path: Path) -> Prepared:
        return cls(**json.loads(path.read_text()))


def prepare(*, rows: int, labelers: int, overlap: int, folder: Path) -> Prepared:
    """Migrate, import `rows` examples, make a queue of them all, and people. In a process with Django set up."""
    from django.contrib.auth.models import Group, User
    from django.core.management import call_command
    from django.db import connection

    from datasets_app.models import Example
    from datasets_app.services.access.tokens import create_token
    from datasets_app.services.curation.importing import import_file
    from datasets_app.services.curation.manager import DatasetManager
    from labeling_app.services.queues import QueueOptions, create_queue
    from tests.bench.steps import write_rows

    call_command("migrate", verbosity=0, interactive=False)
    file = folder / "rows.jsonl"
    write_rows(file, rows)
    seconds = {}
    begun = time.perf_counter()
    manager = DatasetManager.create("bench", type="text_classification")
    import_file(branch=manager.branch, source=file, actor=None)
    seconds["import"] = time.perf_counter() - begun
    begun = time.perf_counter()
    queue = create_queue(
        dataset=manager.dataset,
        name="bench",
        actor=None,
        options=QueueOptions(overlap=overlap, choices=LABELS),
    )
    seconds["queue"] = time.perf_counter() - begun
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    role = Group.objects.get(name="labeler")
    tokens = []
    for number in range(labelers):
        user = User.objects.create(username=f"labeler-{number:02}")
        user.groups.add(role)
        tokens.append(create_token(user=user, name="bench", scopes=["write"], actor=user)[1])
    keys = list(
        Example.objects.filter(branch=manager.branch).order_by("?").values_list("pk", flat=True)[:2000]
    )
    return Prepared(str(queue.pk), overlap, tokens, keys, seconds)


class Site:
    """gunicorn on a free port of this machine, with the environment of this process. A context: it ends with it."""

    def __init__(self, *, workers: int = 2, threads: int = 8, log: Path | None = None) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self._workers, self._threads, self._log = workers, threads, log

    def __enter__(self) -> Site:
        command = [
            *(sys.executable, "-m", "gunicorn", "goldenproject.wsgi", "--chdir", str(ROOT)),
            *("--bind", f"127.0.0.1:{self.port}", "--worker-class", "gthread"),
            *("--workers", str(self._workers), "--threads", str(self._threads)),
            *("--timeout", "120", "--keep-alive", "75", "--log-level", "error", "--no-control-socket"),
        ]
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": SETTINGS}
        with self._log.open("ab") if self._log else open(os.devnull, "wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 120
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("gunicorn does not answer")
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        caller = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            caller.request("GET", "/api/v1/health")
            return caller.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            caller.close()

    def worker_pids(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def kill_worker(self, which: int = 0) -> int | None:
        """kill -9 one of the web workers; gunicorn starts another one. Returns its id."""
        pids = self.worker_pids()
        if not pids:
            return None
        pid = pids[which % len(pids)]
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return pid


def kill_database() -> int | None:
    """kill -9 the embedded server's postmaster; whoever connects next starts it again. Returns its id."""
    from django.conf import settings

    from goldenproject.embedded_cluster import prepare_cluster
    from goldenproject.embedded_server import postmaster_pid

    embedded: dict[str, Any] = settings.DATABASES["default"]["EMBEDDED"]
    pid = postmaster_pid(prepare_cluster(embedded["data_dir"], durable=embedded["durable"]))
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pid
