"""The jobs of labeling. Every process loads this module at its start."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.dispatch import Signal
from django.urls import reverse
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from datasets_app.domain.roles import Action
from datasets_app.models import JobRun
from datasets_app.services.jobs import JobKind, Progress, register, start_job
from datasets_app.services.retrieval.example_vectors import embed_examples
from labeling_app.models import LabelingQueue, Webhook
from labeling_app.services import events
from labeling_app.services.label_errors import find_label_errors
from labeling_app.services.overlap import OVERLAP_JOB, bring_in_line
from labeling_app.services.queues import get_queue, refresh_queue
from labeling_app.services.recomputing import RECOMPUTE_JOB, recompute_queue
from labeling_app.services.reordering import LEARNING, queues_to_reorder, reorder_queue
from labeling_app.services.sessions import close_idle_sessions
from labeling_app.services.similar import vector_state
from labeling_app.services.webhook_deliveries import forget_old, send_due, write_deliveries


# --- queues and sessions --------------------------------------------------------------------------------------------
def _refresh(job: JobRun, progress: Progress) -> dict[str, Any]:
    """Bring a queue in line with its working copy, as the arguments say: {"queue": id}."""
    queue = get_queue(job.arguments["queue"], job.dataset)
    return refresh_queue(queue=queue, actor=job.started_by, progress=progress).document()


def _overlap(job: JobRun, progress: Progress) -> dict[str, Any]:
    """Bring the items of a queue in line with its overlap, as the arguments say: {"queue": id}."""
    queue = get_queue(job.arguments["queue"], job.dataset)
    return bring_in_line(queue=queue, actor=job.started_by, progress=progress).document()


def _overlap_facts(job: JobRun) -> list[tuple[str, str]]:
    done = job.result
    return [
        ("Labelers each", f"{job.arguments['overlap']:,}"),
        ("Examples changed", f"{done['items']:,}"),
        ("Open again", f"{done['opened']:,}"),
        ("Have all their labels now", f"{done['settled']:,}"),
    ]


def _to_queue(job: JobRun) -> list[tuple[str, str]]:
    return [("Queue", reverse("label_queue", args=[job.arguments["queue"]]))]


@app.periodic(cron="* * * * *", periodic_id="idle_labeling_sessions")
@app.task(name="golden.close_idle_sessions", queueing_lock="golden.close_idle_sessions")
def close_idle(timestamp: int) -> None:
    """Once a minute: end sessions that nobody is at, and free what they hold."""
    close_idle_sessions()


def _recompute(job: JobRun, progress: Progress) -> dict[str, Any]:
    """Work the consensus of a queue out anew, as the arguments say: {"queue": id}."""
    queue = get_queue(job.arguments["queue"], job.dataset)
    return asdict(recompute_queue(queue=queue, actor=job.started_by, progress=progress))


def _to_review(job: JobRun) -> list[tuple[str, str]]:
    return [("Review", reverse("label_review", args=[job.arguments["queue"]]))]


register(JobKind("label_refresh", "Refresh a labeling queue", Action.EDIT, _refresh))
register(JobKind(OVERLAP_JOB, "Labelers each of a queue", Action.EDIT, _overlap, _to_queue, _overlap_facts))
register(JobKind(RECOMPUTE_JOB, "Consensus of a labeling queue", Action.REVIEW, _recompute, links=_to_review))


# --- vectors, orders, label errors ----------------------------------------------------------------------------------
def _embed(job: JobRun, progress: Progress) -> dict[str, Any]:
    """Make the vectors of the examples of a queue's branch, as the arguments say: {"queue": id}."""
    queue = get_queue(job.arguments["queue"], job.dataset)
    report = embed_examples(branch=queue.branch, actor=job.started_by, progress=progress, wait=True)
    return report.document()


def _reorder(job: JobRun, progress: Progress) -> dict[str, Any]:
    """Bring a queue into its order, as the arguments say: {"queue": id}; vectors that it needs are made first."""
    queue = get_queue(job.arguments["queue"], job.dataset)
    if queue.order in LEARNING:
        _make_missing_vectors(queue, progress)
    return reorder_queue(queue=queue, actor=job.started_by, progress=progress).document()


def _find_errors(job: JobRun, progress: Progress) -> dict[str, Any]:
    """Put likely label errors of a queue to a reviewer, as the arguments say: {"queue": id}."""
    queue = get_queue(job.arguments["queue"], job.dataset)
    _make_missing_vectors(queue, progress)
    return find_label_errors(queue=queue, actor=job.started_by, progress=progress).document()


def _make_missing_vectors(queue: LabelingQueue, progress: Progress) -> None:
    state = vector_state(queue)
    if state.model is not None and state.coverage.missing:
        embed_examples(branch=queue.branch, model=state.model, actor=None, progress=progress, wait=True)


@app.periodic(cron="*/2 * * * *", periodic_id="reorder_queues")
@app.task(name="golden.reorder_queues", queueing_lock="golden.reorder_queues")
def reorder_queues(timestamp: int) -> None:
    """Every other minute: learn anew where the labels of a queue have grown by a tenth."""
    for queue in queues_to_reorder():
        start_job(kind="label_reorder", dataset=queue.dataset, actor=None, arguments={"queue": str(queue.pk)})


def _to_bulk(job: JobRun) -> list[tuple[str, str]]:
    return [("Label in bulk", reverse("label_bulk", args=[job.arguments["queue"]]))]


def _embed_facts(job: JobRun) -> list[tuple[str, str]]:
    done = job.result
    told = [
        ("Vectors made", f"{done['embedded']:,} with {done['model']}"),
        ("Up to date", f"{done['present']:,}"),
    ]
    return told + ([("Without any text", f"{done['empty']:,}")] if done["empty"] else [])


def _reorder_facts(job: JobRun) -> list[tuple[str, str]]:
    done = job.result
    order = dict(LabelingQueue.Order.choices)
    told = [("Open examples", f"{done['items']:,}"), ("Order", str(order[done["used"]]))]
    if done["learned_from"]:
        told += [
            ("Learned from", f"{done['learned_from']:,} answers"),
            ("Suggestions", f"{done['suggestions']:,}"),
        ]
    if done["told"]:
        told.append((f"Why not “{order[done['order']]}”", done["told"]))
    return told


def _error_facts(job: JobRun) -> list[tuple[str, str]]:
    done = job.result
    told = [("Answers looked at", f"{done['looked_at']:,}"), ("Likely errors", f"{done['suspects']:,}")]
    told.append(("New reviews", f"{done['opened']:,}"))
    return told + ([("Why none", done["told"])] if done["told"] else [])


register(
    JobKind(
        "label_embed", "Vectors of the examples of a queue", Action.REVIEW, _embed, _to_bulk, _embed_facts
    )
)
register(
    JobKind("label_reorder", "Order of a labeling queue", Action.REVIEW, _reorder, _to_bulk, _reorder_facts)
)
register(
    JobKind("label_errors", "Likely label errors", Action.REVIEW, _find_errors, _to_review, _error_facts)
)


# --- webhooks -------------------------------------------------------------------------------------------------------
@app.periodic(cron="* * * * *", periodic_id="webhooks")
@app.task(name="golden.send_webhooks", queueing_lock="golden.send_webhooks")
def send_webhooks(timestamp: int = 0) -> None:
    """Send what is due: after a commit that wrote messages, and each minute what waits for another try."""
    if send_due().rest:
        _start_sending()


@app.periodic(cron="23 3 * * *", periodic_id="old_webhook_deliveries")
@app.task(name="golden.forget_webhook_deliveries", queueing_lock="golden.forget_webhook_deliveries")
def forget_webhook_deliveries(timestamp: int) -> None:
    """Once a day: delete messages of long ago."""
    forget_old()


def _start_sending() -> None:
    try:
        send_webhooks.defer()
    except AlreadyEnqueued:  # the one that waits will see these messages too
        pass


def _tell(event: str, **happened: Any) -> None:
    written = write_deliveries(
        event=event,
        queue=happened["queue"],
        example_id=happened["example_id"],
        actor=happened["actor"],
        facts=happened["facts"],
    )
    # once for all messages of a transaction
    if written and not any(waiting[1] is _start_sending for waiting in connection.run_on_commit):
        transaction.on_commit(_start_sending, robust=True)


_TOLD: dict[Webhook.Event, Signal] = {
    Webhook.Event.SUBMITTED: events.label_submitted,
    Webhook.Event.VALIDATED: events.example_validated,
    Webhook.Event.REJECTED: events.example_rejected,
    Webhook.Event.DISAGREEMENT: events.labels_disagree,
}
for _event, _signal in _TOLD.items():
    _signal.connect(partial(_tell, _event.value), weak=False, dispatch_uid=f"webhooks {_event.value}")
