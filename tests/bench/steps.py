"""The pieces of work that are measured; each runs in a process of its own, which reports seconds and peak memory."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

WORDS = [
    "alpha",
    "bravo",
    "charlie",
    "delta",
    "echo",
    "foxtrot",
    "golf",
    "hotel",
    "india",
    "juliet",
    "kilo",
    "lima",
    "mike",
    "november",
    "oscar",
    "papa",
]


def write_rows(path: Path, rows: int) -> None:
    """Write `rows` examples of about 200 bytes, the same ones each time."""
    rng = random.Random(20)
    with path.open("w") as file:
        for number in range(rows):
            text = " ".join(rng.choices(WORDS, k=22)) + f" {number}"
            file.write(
                json.dumps(
                    {
                        "id": f"ex-{number:07d}",
                        "input": {"text": text},
                        "output": {"label": rng.choice(WORDS)},
                    }
                )
                + "\n"
            )


def _manager(name: str) -> Any:
    from datasets_app.services.curation.manager import DatasetManager

    return DatasetManager(name)


def _timed(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _median(work: Callable[[], Any], times: int = 5) -> float:
    return statistics.median(_timed(work) for _ in range(times))


def copy_from(file: str) -> dict[str, Any]:
    """The limit of an import: COPY FROM of the same rows into (uuid key, jsonb)."""
    import uuid

    from django.db import connection

    rows = [(uuid.uuid4(), line) for line in Path(file).read_text().splitlines()]
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_plain")
        cursor.execute("CREATE TABLE bench_plain (id uuid PRIMARY KEY, body jsonb)")
    lines = "".join(f"{key}\t{line.replace(chr(92), chr(92) * 2)}\n" for key, line in rows).encode()

    def work() -> None:
        with connection.cursor() as cursor, cursor.copy("COPY bench_plain FROM STDIN") as copy:
            for start in range(0, len(lines), 1 << 20):
                copy.write(lines[start : start + (1 << 20)])

    return {"seconds": _timed(work)}


def copy_to(target: str) -> dict[str, Any]:
    """The limit of an export: COPY TO of the same rows."""
    from django.db import connection

    def work() -> None:
        with (
            open(target, "wb") as file,
            connection.cursor() as cursor,
            cursor.copy("COPY (SELECT body FROM bench_plain) TO STDOUT") as copy,
        ):
            for block in copy:
                file.write(block)

    return {"seconds": _median(work, 3)}


def import_rows(name: str, file: str) -> dict[str, Any]:
    from datasets_app.services.curation.importing import import_file
    from datasets_app.services.curation.manager import DatasetManager

    manager = DatasetManager.create(name, type="text_classification")
    return {"seconds": _timed(lambda: import_file(branch=manager.branch, source=file, actor=None))}


def first_commit(name: str) -> dict[str, Any]:
    manager = _manager(name)
    seconds = _timed(lambda: manager.commit("first"))
    manager.tag("v1.0")
    return {"seconds": seconds}


def commit_thousand(name: str) -> dict[str, Any]:
    """Commit 1,000 changed examples, five times; the rows are changed outside the measurement."""
    from django.db import connection

    manager = _manager(name)
    seconds = []
    for turn in range(5):
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE datasets_app_example SET labels = jsonb_build_object('turn', %s::int) WHERE id IN "
                "(SELECT id FROM datasets_app_example WHERE branch_id = %s ORDER BY md5(example_id::text || %s) LIMIT 1000)",
                [turn, manager.branch.pk, str(turn)],
            )
            cursor.execute("CHECKPOINT")
        seconds.append(_timed(lambda: manager.commit("a thousand changes")))
    return {"seconds": statistics.median(seconds)}


def diff_thousand(name: str) -> dict[str, Any]:
    """Difference of a version and its parent (change log), of two versions apart (trees), and 1,000 rows by key."""
    from datasets_app.domain import tree
    from datasets_app.models import Example
    from datasets_app.services.versioning.comparing import compare
    from datasets_app.services.versioning.refs import resolve
    from datasets_app.services.versioning.store import NodeStore

    manager = _manager(name)
    head, parent = resolve(manager.dataset, "HEAD"), resolve(manager.dataset, "HEAD~1")
    ids = [row.uuid for row in compare(manager.dataset, parent, head).page(0, 1000)]
    assert len(ids) == 1000
    fields = ["identity_id", "input_data", "expected_output", "labels"]
    by_key = Example.objects.filter(branch=manager.branch, identity__in=ids).values_list(*fields)
    return {
        "read_by_key": _median(lambda: list(by_key.all())),
        "with_parent": _median(lambda: compare(manager.dataset, parent, head)),
        "trees": _median(lambda: list(tree.diff(parent.root, head.root, NodeStore()))),
        "with_contents": _median(lambda: compare(manager.dataset, parent, head).page(0, 1000)),
    }


def export_tag(name: str, target: str) -> dict[str, Any]:
    from exports_app.services.exporting import ExportOptions, export_version

    manager = _manager(name)

    def work() -> None:
        export_version(
            dataset=manager.dataset,
            ref="v1.0",
            output=Path(target),
            actor=None,
            options=ExportOptions(replace=True),
        )

    from exports_app.services.kept_exports import forget_all

    forget_all()
    return {"first": _timed(work), "again": _median(work, 3)}


def _command(*arguments: str) -> Callable[[], None]:
    return lambda: subprocess.run(
        [sys.executable, "manage.py", *arguments], check=True, stdout=subprocess.DEVNULL
    )  # type: ignore[return-value]


def backup(folder: str) -> dict[str, Any]:
    shutil.rmtree(folder, ignore_errors=True)
    seconds = _timed(_command("golden_backup", "--output", folder))
    return {"seconds": seconds, "child": True}


def create_database(name: str) -> dict[str, Any]:
    """Make an empty database beside the one of this process."""
    from psycopg import sql

    from tests.template_database import maintenance

    with maintenance() as raw:
        raw.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return {}


def restore(folder: str) -> dict[str, Any]:
    _command("migrate", "-v0")()
    return {"seconds": _timed(_command("golden_restore", folder)), "child": True}


def _pg(program: str, *arguments: str) -> Callable[[], None]:
    from django.db import connection

    from goldenproject.database import server_binary

    parameters = connection.get_connection_params()
    environment = {**os.environ, "PGPASSWORD": str(parameters.get("password", ""))}
    address = ["-h", str(parameters["host"]), "-U", str(parameters["user"])]
    if parameters.get("port"):
        address += ["-p", str(parameters["port"])]
    command = [str(server_binary(program)), *address, *arguments]
    return lambda: subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)  # type: ignore[return-value]


def pg_dump(target: str) -> dict[str, Any]:
    from django.db import connection

    database = str(connection.get_connection_params()["dbname"])
    work = _pg("pg_dump", "-Fc", "-f", target, "-T", "bench_plain", database)
    return {"seconds": _timed(work)}


def pg_restore(source: str) -> dict[str, Any]:
    """Restore into the (empty) database of this process."""
    from django.db import connection

    database = str(connection.get_connection_params()["dbname"])
    return {"seconds": _timed(_pg("pg_restore", "-d", database, source))}


def pages(name: str) -> dict[str, Any]:
    """Changelist pages through the test client: first, deep, filtered, and a substring search."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    from datasets_app.models import Example

    manager = _manager(name)
    user, _ = get_user_model().objects.get_or_create(username="bench", is_staff=True, is_superuser=True)
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(user)
    base = f"/admin/datasets_app/dataset/{manager.dataset.pk}/examples/?branch=main"
    last = (
        Example.objects.filter(branch=manager.branch).order_by("-ordinal").values_list("ordinal", flat=True)
    )
    deep = last[60:61][0]

    def get(query: str) -> Callable[[], None]:
        def work() -> None:
            answer = client.get(base + query)
            assert answer.status_code == 200, answer.status_code

        work()
        return work

    return {
        "first": _median(get(""), 9),
        "deep": _median(get(f"&after={deep}"), 9),
        "filtered": _median(get("&status=pending"), 9),
        "of_class": _median(get("&class=kilo"), 9),
        "search_rare": _median(get("&q=+777"), 5),
        "search_absent": _median(get("&q=zebra"), 5),
    }


def main(steps: dict[str, Any]) -> None:
    """Do the step that the command line names, and print its result with the peak memory of who did it."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "goldenproject.settings.dev")
    django.setup()
    name, *arguments = sys.argv[1:]
    result = steps[name](*arguments)
    who = resource.RUSAGE_CHILDREN if result.pop("child", False) else resource.RUSAGE_SELF
    result["peak_mb"] = resource.getrusage(who).ru_maxrss // 1024
    print("RESULT " + json.dumps(result))


if __name__ == "__main__":
    main(globals())
