"""Jobs: started with the right to, done once, watched from outside, failed with a reason."""

from __future__ import annotations

import io
import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from procrastinate.contrib.django.models import ProcrastinateJob

from datasets_app.domain.roles import Action
from datasets_app.models import AuditEvent, Branch, Dataset, Example, ImportBatch, JobRun
from datasets_app.services.curation.importing import ImportOptions
from datasets_app.services.curation.staging import stage_file
from datasets_app.services.jobs import (
    JobIsRunning,
    JobKind,
    Progress,
    UnknownJobKind,
    run_job,
    start_job,
    stopping,
    thresholds,
    waking,
)
from datasets_app.services.jobs.stopping import JobStopped
from datasets_app.services.versioning.commits import commit
from datasets_app.services.versioning.refs import create_branch
from goldenproject.kit.clock import now
from goldenproject.kit.errors import BadInput, Forbidden

LINES = b'{"id": "a", "input": {"text": "one"}, "output": {"label": "x"}}\n{"id": "b", "input": {"text": "two"}, "output": {"label": "y"}}\n'


def staged(dataset: Dataset, actor: User) -> ImportBatch:
    return stage_file(
        branch=dataset.main,
        file=io.BytesIO(LINES),
        file_name="two.jsonl",
        options=ImportOptions(),
        actor=actor,
    )


# --- start ----------------------------------------------------------------------------------------------------------
def test_start_job__with_the_right__waits_in_the_queue_and_is_on_record(
    dataset: Dataset, curator: User
) -> None:
    job = start_job(kind="open_worktree", dataset=dataset, arguments={"branch": 1}, actor=curator)

    assert (job.state, job.started_by, job.dataset) == ("queued", curator, dataset)
    entry = ProcrastinateJob.objects.get(task_name="golden.run_job")
    assert (entry.args, entry.lock) == ({"job_id": str(job.pk)}, f"dataset {dataset.pk}")
    event = AuditEvent.objects.get(action="job.start")
    assert (event.actor, event.details) == (curator, {"job": str(job.pk), "kind": "open_worktree"})


def test_start_job__rolled_back__leaves_no_job(dataset: Dataset, curator: User) -> None:
    with transaction.atomic():
        start_job(kind="open_worktree", dataset=dataset, arguments={"branch": 1}, actor=curator)
        transaction.set_rollback(True)

    assert not JobRun.objects.exists()
    assert not ProcrastinateJob.objects.exists()


def test_start_job__the_same_while_it_waits__is_the_same_job(dataset: Dataset, curator: User) -> None:
    jobs = [
        start_job(kind="open_worktree", dataset=dataset, arguments={"branch": branch}, actor=curator)
        for branch in (1, 1, 2)
    ]

    assert jobs[0] == jobs[1] != jobs[2]
    assert ProcrastinateJob.objects.count() == 2


def test_start_job__without_the_right__is_refused(dataset: Dataset, viewer: User) -> None:
    with pytest.raises(Forbidden):
        start_job(kind="import_apply", dataset=dataset, arguments={}, actor=viewer)
    assert not JobRun.objects.exists()


def test_start_job__of_everything_as_a_curator__is_refused(curator: User) -> None:
    with pytest.raises(Forbidden):
        start_job(kind="verify", dataset=None, actor=curator)


def test_start_job__unknown_kind__names_the_known(dataset: Dataset) -> None:
    with pytest.raises(
        UnknownJobKind, match=r"Job “fly”: expected one of .*import_apply, .*open_worktree, restore, verify"
    ):
        start_job(kind="fly", dataset=dataset, actor=None)


# --- run ------------------------------------------------------------------------------------------------------------
def test_run_job__import_of_a_staged_file__writes_it_once(dataset: Dataset, curator: User) -> None:
    batch = staged(dataset, curator)
    job = start_job(kind="import_apply", dataset=dataset, arguments={"batch": str(batch.pk)}, actor=curator)

    run_job(job_id=job.pk)

    job.refresh_from_db()
    wanted = {"file": "two.jsonl", "read": 2, "added": 2, "changed": 0, "unchanged": 0, "refused": 0}
    assert (job.state, job.result, job.message) == ("done", wanted, "")
    assert job.started_at is not None and job.finished_at >= job.started_at
    assert Example.objects.filter(branch=dataset.main).count() == 2
    # as when the worker is killed after its commit and the job is taken up again
    JobRun.objects.filter(pk=job.pk).update(state="running", result={})
    run_job(job_id=job.pk)
    job.refresh_from_db()
    assert (job.state, job.result["read"]) == ("done", 2)
    assert Example.objects.filter(branch=dataset.main).count() == 2


def test_run_job__over_already__does_nothing(dataset: Dataset, own_kinds: dict[str, Any]) -> None:
    calls = []
    own_kinds["count"] = JobKind("count", "Count", Action.VIEW, lambda job, progress: calls.append(job) or {})
    job = start_job(kind="count", dataset=dataset, actor=None)

    run_job(job_id=job.pk)
    run_job(job_id=job.pk)

    assert len(calls) == 1


def test_run_job__golden_error__is_kept_and_not_raised(dataset: Dataset, own_kinds: dict[str, Any]) -> None:
    def work(job: JobRun, progress: Progress) -> dict[str, Any]:
        Dataset.objects.filter(pk=dataset.pk).update(description="half")
        raise BadInput("This will not do.", hint="Do that.", line=3)

    def atomic_work(job: JobRun, progress: Progress) -> dict[str, Any]:
        with transaction.atomic():
            return work(job, progress)

    own_kinds["fail"] = JobKind("fail", "Fail", Action.VIEW, atomic_work)
    job = start_job(kind="fail", dataset=dataset, actor=None)

    run_job(job_id=job.pk)

    job.refresh_from_db()
    assert (job.state, job.message) == ("failed", "This will not do. Do that.")
    assert job.result == {
        "error": {
            "code": "bad_input",
            "message": "This will not do.",
            "hint": "Do that.",
            "details": {"line": 3},
        }
    }
    dataset.refresh_from_db()
    assert dataset.description != "half"


def test_run_job__unexpected_error__says_its_kind_and_no_more(
    dataset: Dataset, own_kinds: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    own_kinds["break"] = JobKind("break", "Break", Action.VIEW, lambda job, progress: {"x": {}["secret"]})
    job = start_job(kind="break", dataset=dataset, actor=None)

    run_job(job_id=job.pk)

    job.refresh_from_db()
    assert job.state == "failed"
    assert job.message == "An unexpected error stopped this job: KeyError. The log of the worker has it all."
    assert "secret" in caplog.text


def test_run_job__right_taken_away_meanwhile__is_refused(dataset: Dataset, curator: User) -> None:
    job = start_job(
        kind="open_worktree", dataset=dataset, arguments={"branch": dataset.main.pk}, actor=curator
    )
    curator.groups.clear()

    run_job(job_id=job.pk)

    job.refresh_from_db()
    assert (job.state, job.result["error"]["code"]) == ("failed", "forbidden")


def test_run_job__held_by_another_worker__is_told(dataset: Dataset) -> None:
    job = start_job(kind="verify", dataset=None, actor=None)

    with Progress(job.pk), pytest.raises(JobIsRunning):
        run_job(job_id=job.pk)
    run_job(job_id=job.pk)

    job.refresh_from_db()
    assert job.state == "done"
    assert job.result["datasets"] == 1


def test_progress__while_the_work_is_uncommitted__is_seen_outside(
    dataset: Dataset, own_kinds: dict[str, Any], other_session: psycopg.Connection[Any]
) -> None:
    seen = []

    def work(job: JobRun, progress: Progress) -> dict[str, Any]:
        with transaction.atomic():
            Dataset.objects.filter(pk=dataset.pk).update(description="half")
            progress(3, 10, "Counting")
            progress(4, 10, "Dropped: less than half a second later")
            row = "SELECT state, done, total, message FROM datasets_app_jobrun"
            seen.append(other_session.execute(row).fetchone())
            seen.append(other_session.execute("SELECT description FROM datasets_app_dataset").fetchone())
        return {}

    own_kinds["watch"] = JobKind("watch", "Watch", Action.VIEW, work)
    job = start_job(kind="watch", dataset=dataset, actor=None)

    run_job(job_id=job.pk)

    assert seen == [("running", 3, 10, "Counting"), ("",)]
    job.refresh_from_db()
    assert (job.state, job.done, job.total) == ("done", 10, 10)


# --- big and small --------------------------------------------------------------------------------------------------
def test_open_or_start__small_branch__is_open_at_once(dataset: Dataset, curator: User) -> None:
    branch = branch_of_two(dataset, curator)

    assert thresholds.open_or_start(branch=branch, actor=curator) is None
    assert Branch.objects.get(pk=branch.pk).is_open


def test_open_or_start__big_branch__is_a_job(
    dataset: Dataset, curator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thresholds, "ROWS_OPENED_AT_ONCE", 1)
    branch = branch_of_two(dataset, curator)

    job = thresholds.open_or_start(branch=branch, actor=curator)

    assert job is not None and not Branch.objects.get(pk=branch.pk).is_open
    run_job(job_id=job.pk)
    job.refresh_from_db()
    assert (job.state, job.result) == ("done", {"branch": "side", "rows": 2})
    assert Branch.objects.get(pk=branch.pk).is_open


def test_apply_or_start__big_import__is_a_job(
    dataset: Dataset, curator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thresholds, "ROWS_IMPORTED_AT_ONCE", 1)

    job = thresholds.apply_or_start(batch=staged(dataset, curator), actor=curator)

    assert isinstance(job, JobRun) and job.kind == "import_apply"
    assert not Example.objects.exists()


def branch_of_two(dataset: Dataset, actor: User) -> Branch:
    thresholds.apply_or_start(batch=staged(dataset, actor), actor=actor)
    commit(branch=dataset.main, message="two", actor=actor)
    return create_branch(dataset=dataset, name="side", start="main", actor=actor)


# --- stalled --------------------------------------------------------------------------------------------------------
def left_behind(dataset: Dataset, *, attempts: int) -> JobRun:
    """A job as a killed worker leaves it: the queue and the row both say that it is being done."""
    job = start_job(kind="open_worktree", dataset=dataset, arguments={"branch": dataset.main.pk}, actor=None)
    JobRun.objects.filter(pk=job.pk).update(state="running", started_at=now() - timedelta(minutes=5))
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '31 seconds') RETURNING id"
        )
        cursor.execute(
            "UPDATE procrastinate_jobs SET status = 'doing', attempts = %s, worker_id = %s",
            [attempts, cursor.fetchone()[0]],
        )
    return job


def test_wake_stalled__silent_worker__job_is_queued_again(dataset: Dataset) -> None:
    left_behind(dataset, attempts=0)

    assert waking.wake_stalled() == 1
    assert waking.wake_stalled() == 0
    assert ProcrastinateJob.objects.values_list("status", "attempts").get() == ("todo", 1)


def test_wake_stalled__living_worker__is_left_alone(dataset: Dataset) -> None:
    left_behind(dataset, attempts=0)

    assert waking.wake_stalled(quiet_s=3600) == 0
    assert ProcrastinateJob.objects.get().status == "doing"


def test_wake_stalled__fifth_worker_killed__job_has_failed(dataset: Dataset) -> None:
    job = left_behind(dataset, attempts=4)

    assert waking.wake_stalled() == 0

    job.refresh_from_db()
    assert (job.state, job.result["error"]["code"]) == ("failed", "killed_too_often")
    assert job.message.startswith("The worker was killed 5 times while it did this job.")
    assert ProcrastinateJob.objects.get().status == "failed"


def test_run_job__no_such_job__does_nothing(committed_db: str) -> None:
    run_job(job_id=uuid.uuid4())


# --- stopping -------------------------------------------------------------------------------------------------------
def test_run_job__worker_stops__is_left_where_progress_is_told_and_waits_again(
    dataset: Dataset, curator: User, own_kinds: dict[str, Any]
) -> None:
    asked: list[bool] = []

    def work(job: JobRun, progress: Progress) -> dict[str, Any]:
        with transaction.atomic():
            Branch.objects.filter(pk=dataset.main.pk).update(name="renamed")
            progress(1, 2)
            asked.append(True)
            progress(2, 2)
        return {}

    own_kinds["test"] = JobKind("test", "Test", Action.EDIT, work)
    job = start_job(kind="test", dataset=dataset, actor=curator)
    with pytest.raises(JobStopped):
        run_job(job_id=job.pk, stops=lambda: bool(asked))
    job.refresh_from_db()
    assert (job.state, job.finished_at) == ("queued", None)
    assert job.message == "The worker was stopped; the next one goes on with this."
    assert Branch.objects.get(pk=dataset.main.pk).name == "main"


def test_run_job__worker_stops_while_a_statement_runs__it_is_cancelled(
    dataset: Dataset, curator: User, own_kinds: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "PATIENCE_S", 0.0)

    def work(job: JobRun, progress: Progress) -> dict[str, Any]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(60)")
        return {}

    own_kinds["test"] = JobKind("test", "Test", Action.EDIT, work)
    job = start_job(kind="test", dataset=dataset, actor=curator)
    with pytest.raises(JobStopped):
        run_job(job_id=job.pk, stops=lambda: True)
    job.refresh_from_db()
    assert job.state == "queued"
