"""A real worker process: it does jobs, and when it is killed another one takes them up."""

from __future__ import annotations

import io
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from datasets_app.models import Dataset, Example, ImportBatch, JobRun
from datasets_app.services.curation.importing import ImportOptions
from datasets_app.services.curation.staging import stage_file
from datasets_app.services.jobs import start_job

Start = Callable[[], "subprocess.Popen[bytes]"]
Reaches = Callable[..., JobRun]


def started_import(dataset: Dataset, actor: User) -> JobRun:
    lines = b"".join(
        b'{"id": "e%d", "input": {"text": "text %d"}, "output": {"label": "x"}}\n' % (n, n)
        for n in range(500)
    )
    batch = stage_file(
        branch=dataset.main,
        file=io.BytesIO(lines),
        file_name="rows.jsonl",
        options=ImportOptions(),
        actor=actor,
    )
    return start_job(kind="import_apply", dataset=dataset, arguments={"batch": str(batch.pk)}, actor=actor)


@pytest.mark.slow
@pytest.mark.fault
def test_worker__killed_in_the_middle_of_an_import__the_next_one_does_it_once(
    dataset: Dataset,
    curator: User,
    worker: Start,
    reaches: Reaches,
    other_session: psycopg.Connection[Any],
) -> None:
    job = started_import(dataset, curator)
    with other_session.transaction():  # holds the worker up in the middle of its work
        other_session.execute("SELECT FROM datasets_app_branch WHERE id = %s FOR UPDATE", [dataset.main.pk])
        first = worker()
        reaches(job, "running")
        first.kill()
        first.wait()

    _forget_heartbeats()
    worker()
    with suppress(AlreadyEnqueued):  # the first worker may have put it into the queue and not come to do it
        app.configure_task("golden.wake_stalled", queueing_lock="golden.wake_stalled").defer(timestamp=0)
    job = reaches(job, "done", "failed")

    assert (job.state, job.result.get("added"), job.message) == ("done", 500, "")
    assert Example.objects.filter(branch=dataset.main).count() == 500
    assert ImportBatch.objects.get().state == "applied"


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_worker__asked_to_stop_while_a_statement_waits__ends_soon_and_the_next_one_does_the_job(
    dataset: Dataset,
    curator: User,
    worker: Start,
    reaches: Reaches,
    other_session: psycopg.Connection[Any],
    how: signal.Signals,
) -> None:
    job = started_import(dataset, curator)
    with other_session.transaction():
        other_session.execute("SELECT FROM datasets_app_branch WHERE id = %s FOR UPDATE", [dataset.main.pk])
        first = worker()
        reaches(job, "running")
        first.send_signal(how)
        assert first.wait(timeout=20) == 0  # while what it waits for is held still
        job = reaches(job, "queued")
        assert job.message == "The worker was stopped; the next one goes on with this."
    assert not Example.objects.filter(branch=dataset.main).exists()

    worker()
    job = reaches(job, "done", "failed")
    assert (job.state, job.result.get("added"), job.message) == ("done", 500, "")


def _forget_heartbeats() -> None:
    """Let the killed worker have been silent for long, instead of waiting for that."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
