"""The tasks of the queue, and the kinds of jobs of the golden data. Every process loads this module at its start."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.dispatch import receiver
from django.urls import reverse
from procrastinate import JobContext, RetryStrategy
from procrastinate.contrib.django import app
from procrastinate.jobs import Job
from procrastinate.retry import RetryDecision

from datasets_app.domain.roles import Action
from datasets_app.models import EmbeddingModel, ImportBatch, JobRun
from datasets_app.services.corpus.changing import corpus_changed
from datasets_app.services.corpus.corpora import get_corpus
from datasets_app.services.corpus.source_checks import check_sources
from datasets_app.services.curation.staging import apply_batch
from datasets_app.services.evaluation.running import EvaluationOptions, evaluate, run_of_job
from datasets_app.services.jobs import (
    JobIsRunning,
    JobKind,
    Progress,
    register,
    run_job,
    start_job,
    wake_stalled,
)
from datasets_app.services.jobs.starting import RUN_TASK
from datasets_app.services.jobs.stopping import JobStopped
from datasets_app.services.jobs.waking import MAX_TRIES
from datasets_app.services.retrieval.embedding import embed_missing
from datasets_app.services.retrieval.embedding_models import get_model
from datasets_app.services.retrieval.refreshing import refresh_lexical_indexes
from datasets_app.services.versioning.worktrees import open_worktree, row_count
from goldenproject.kit.errors import NotFound

_KEPT_HOURS = 72


class _Again(RetryStrategy):
    """A job that was left because its worker stops is queued again at once, however often that happens."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, JobStopped):
            return RetryDecision(retry_in={"seconds": 0})
        return super().get_retry_decision(exception=exception, job=job)


_RETRY = _Again(
    max_attempts=MAX_TRIES, wait=15, retry_exceptions=(JobIsRunning, OperationalError, InterfaceError)
)


# --- tasks ----------------------------------------------------------------------------------------------------------
@app.task(name=RUN_TASK, pass_context=True, retry=_RETRY)
def run(context: JobContext, job_id: str) -> None:
    """Do one job."""
    run_job(
        job_id=uuid.UUID(job_id),
        last_try=context.job.attempts + 1 >= MAX_TRIES,
        stops=context.should_abort,
    )


@app.periodic(cron="* * * * *", periodic_id="wake")
@app.task(name="golden.wake_stalled", queueing_lock="golden.wake_stalled")
def wake(timestamp: int) -> None:
    """Once a minute: take up what killed workers left behind."""
    wake_stalled()


@app.periodic(cron="17 3 * * *", periodic_id="tidy")
@app.task(name="golden.tidy_queue", queueing_lock="golden.tidy_queue", pass_context=True)
async def tidy(context: JobContext, timestamp: int) -> None:
    """Once a day: forget entries of the queue that ended days ago. What people see (JobRun) stays."""
    await context.app.job_manager.delete_old_jobs(
        nb_hours=_KEPT_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
    )


# --- kinds ----------------------------------------------------------------------------------------------------------
def _open_worktree(job: JobRun, progress: Progress) -> dict[str, Any]:
    branch = job.dataset and job.dataset.branches.filter(pk=job.arguments["branch"]).first()
    if not branch:
        raise NotFound("The branch that was to be opened is gone.")
    progress(0, None, f"Opening {branch.name}")
    open_worktree(branch=branch, actor=job.started_by)
    return {"branch": branch.name, "rows": row_count(branch)}


def _import_apply(job: JobRun, progress: Progress) -> dict[str, Any]:
    batch = ImportBatch.objects.filter(pk=job.arguments["batch"], branch__dataset=job.dataset).first()
    if batch is None:
        raise NotFound("The import that was to be applied is gone.")
    if batch.state == ImportBatch.State.APPLIED:  # the worker was killed after it had committed the rows
        return {"file": batch.file_name, "read": batch.rows_read, "refused": batch.rows_refused}
    progress(0, None, f"Importing {batch.file_name}")
    result = apply_batch(batch=batch, actor=job.started_by)
    return {
        "file": batch.file_name,
        "read": result.read,
        "added": result.added,
        "changed": result.changed,
        "unchanged": result.unchanged,
        "refused": result.refused,
    }


def _embed(job: JobRun, progress: Progress) -> dict[str, Any]:
    """Bring what searches derive from the chunks up to date: the lexical indexes first, which take seconds."""
    refreshed = refresh_lexical_indexes(progress)
    name = job.arguments.get("model")
    if name is None and not EmbeddingModel.objects.filter(is_current=True).exists():
        return {"corpora": refreshed}
    report = embed_missing(model=get_model(name), actor=job.started_by, progress=progress, wait=True)
    return {"corpora": refreshed, **report.document()}


@receiver(corpus_changed, dispatch_uid="golden embed")
def _corpus_changed(**_: Any) -> None:
    """Bring the vectors up to date once the change is committed; one job for all changes of a transaction."""
    if not settings.GOLDEN_EMBED_ON_CHANGE:
        return
    if not any(waiting[1] is _start_embedding for waiting in connection.run_on_commit):
        transaction.on_commit(_start_embedding, robust=True)


def _start_embedding() -> None:
    """Start the job, unless one waits. One that runs may have looked already, so another one follows it."""
    jobs = JobRun.objects.filter(kind="embed")
    if jobs.filter(state=JobRun.State.QUEUED).exists():
        return
    running = jobs.filter(state=JobRun.State.RUNNING).order_by("-created_at").first()
    after = {"after": str(running.pk)} if running else {}
    start_job(kind="embed", dataset=None, actor=None, arguments=after)


def _evaluate_retrieval(job: JobRun, progress: Progress) -> dict[str, Any]:
    """Evaluate as the arguments say: {"corpus": name, "options": a document of EvaluationOptions}."""
    corpus = get_corpus(job.arguments.get("corpus"))
    # there already when the worker was killed after it had stored the run
    evaluated = run_of_job(corpus, str(job.pk))
    if evaluated is None:
        evaluated = evaluate(
            corpus=corpus,
            options=EvaluationOptions.from_document(job.arguments.get("options", {})),
            actor=job.started_by,
            progress=progress,
            job=str(job.pk),
        )
    return {
        "run": evaluated.pk,
        "queries": evaluated.query_count,
        "passed": evaluated.passed_count,
        "pass_rate": evaluated.metrics["pass_rate"]["mean"],
        "warnings": evaluated.warnings,
    }


def _links_of_run(job: JobRun) -> list[tuple[str, str]]:
    run = reverse("admin:datasets_app_retrievalrun_change", args=[job.result["run"]])
    return [("See the run", run), ("All evaluations", reverse("admin:datasets_app_retrievalrun_changelist"))]


def _links_of_embedding(job: JobRun) -> list[tuple[str, str]]:
    return [("Embedding models", reverse("admin:datasets_app_embeddingmodel_changelist"))]


def _check_sources(job: JobRun, progress: Progress) -> dict[str, Any]:
    """Fetch sources again, as the arguments say: {"corpus": name or null for all, "limit": how many at most}."""
    name = job.arguments.get("corpus")
    report = check_sources(
        corpus=get_corpus(name) if name else None,
        actor=job.started_by,
        limit=job.arguments.get("limit"),
        progress=progress,
        since=job.created_at,  # taken up again after a kill, it leaves out what it has done
    )
    return {"checked": report.checked, **report.counts}


register(JobKind("open_worktree", "Open a branch for editing", Action.EDIT, _open_worktree))
register(JobKind("import_apply", "Import", Action.IMPORT, _import_apply))
register(JobKind("embed", "Make the vectors of the corpus", Action.EDIT, _embed, _links_of_embedding))
register(JobKind("evaluate_retrieval", "Evaluate retrieval", Action.EDIT, _evaluate_retrieval, _links_of_run))
register(JobKind("check_sources", "Fetch sources again", Action.EDIT, _check_sources))
