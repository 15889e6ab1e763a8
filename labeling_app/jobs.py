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
from datasets_app.services.jobs import JobKind, Progress, register
from labeling_app.models import Webhook
from labeling_app.services import events
from labeling_app.services.queues import get_queue, refresh_queue
from labeling_app.services.recomputing import RECOMPUTE_JOB, recompute_queue
from labeling_app.services.sessions import close_idle_sessions
from labeling_app.services.webhook_deliveries import forget_old, send_due, write_deliveries


# --- queues and sessions --------------------------------------------------------------------------------------------
def _refresh(job: JobRun, progress: Progress) -> dict[str, Any]:
    """Bring a queue in line with its working copy, as the arguments say: {"queue": id}."""
    queue = get_queue(job.arguments["queue"], job.dataset)
    return refresh_queue(queue=queue, actor=job.started_by, progress=progress).document()


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
register(JobKind(RECOMPUTE_JOB, "Consensus of a labeling queue", Action.REVIEW, _recompute, links=_to_review))


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
