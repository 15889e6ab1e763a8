"""How each labeler of a queue does: how much, how fast, how right on hidden checks, how often with the consensus."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import connection

from datasets_app.domain.canonical import loads_stored
from datasets_app.domain.retrieval.significance import Estimate, share_estimate
from labeling_app.domain.answer_fields import AnswerField, Kind, deciding_fields
from labeling_app.domain.gold_checks import NUMBER_TOLERANCE, is_right
from labeling_app.models import LabelerStanding, LabelingQueue
from labeling_app.services.annotators import of_annotator
from labeling_app.services.queue_fields import fields_of

IDLE_S: Final = 300
"""Of a pause between two labels at most this much counts as work."""
SHOWN_WEEKS: Final = 12

# A person is one labeler whatever they were called when they labeled: `who` is the name that the person has now, or the
# name in the file for annotators without an account. One scan of the queue's labels (index label_newest_of_queue), or of
# one person's (label_newest_of_labeler): the time of a label is what passed since the same
# labeler's last one in the session, or since the session began, pauses capped; labels given in bulk or imported took no time
# that is known. A label is compared with what was adopted where two or more labeled, or with what a reviewer decided; as
# long as nothing is, with the consensus, if more than one half is behind it: of a tie nobody is right.
_BY_LABELER = """
WITH given AS (
    SELECT coalesce(person.username, label.annotator) AS who, label.labeler_id, label.gold_correct, label.labeled_at,
           date_trunc('week', label.labeled_at AT TIME ZONE 'UTC') AS week,
           CASE WHEN label.session_id IS NOT NULL AND label.source IN ('human', 'accepted') THEN
                least({idle}, greatest(0, extract(epoch FROM label.labeled_at - coalesce(
                    lag(label.labeled_at) OVER (PARTITION BY coalesce(person.username, label.annotator), label.session_id
                                                ORDER BY label.labeled_at, label.id),
                    session.started_at))))
           END AS seconds,
           CASE WHEN label.gold_correct IS NULL AND settled.value IS NOT NULL THEN {agrees} END AS agrees
      FROM labeling_app_label AS label
      LEFT JOIN auth_user AS person ON person.id = label.labeler_id
      LEFT JOIN labeling_app_labelingsession AS session ON session.id = label.session_id
      LEFT JOIN labeling_app_consensus AS consensus ON consensus.item_id = label.item_id
      LEFT JOIN LATERAL (
           SELECT CASE WHEN consensus.adopted_at IS NOT NULL
                            AND (consensus.origin = 'adjudicated' OR consensus.label_count > 1)
                       THEN consensus.adopted_value
                       WHEN consensus.label_count > 1 AND consensus.confidence > 0.5
                       THEN consensus.value END AS value) AS settled ON true
     WHERE label.queue_id = %s {narrower}
)
SELECT who, max(labeler_id), {week}, count(*), count(seconds), sum(seconds),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds),
       count(gold_correct), count(*) FILTER (WHERE gold_correct),
       count(agrees), count(*) FILTER (WHERE agrees), max(labeled_at)
  FROM given GROUP BY GROUPING SETS ((who), (who, week)) ORDER BY who, week NULLS FIRST
"""
# the events that leave no label; index label_history_queue
_WITHOUT_LABEL = """
SELECT coalesce(person.username, annotator) AS who, event, count(*), max(labeler_id)
  FROM labeling_app_labelhistory LEFT JOIN auth_user AS person ON person.id = labeler_id
 WHERE queue_id = %s AND event IN ('skipped', 'flagged', 'undone') {narrower} GROUP BY who, event
"""
_SESSIONS = """
SELECT labeler_id, count(*) FROM labeling_app_labelingsession WHERE queue_id = %s {narrower} GROUP BY labeler_id
"""

# What was said last of each check before a moment, whether it was taken back later or not; index label_history_labeler.
_CHECKS_ANSWERED = """
SELECT DISTINCT ON (lease.item_id) said.label_value::text, gold.value::text
  FROM labeling_app_labelhistory AS said
  JOIN labeling_app_lease AS lease ON lease.id = said.lease_id AND lease.is_gold_check
  JOIN labeling_app_goldanswer AS gold ON gold.item_id = lease.item_id
 WHERE said.labeler_id = %s AND said.queue_id = %s AND said.event IN ('submitted', 'changed') AND said.labeled_at < %s
 ORDER BY lease.item_id, said.id DESC
"""


@dataclass(frozen=True)
class Pace:
    """What somebody did in a time: labels, hours of work (pauses capped), median seconds a label; checks and agreement.

    `timed` of the labels were given one by one in a session, so that their time is known.
    """

    labels: int = 0
    timed: int = 0
    hours: float = 0.0
    median_s: float | None = None
    checks: int = 0
    right: int = 0
    compared: int = 0
    agreed: int = 0
    last_at: datetime | None = None

    @property
    def labels_per_hour(self) -> float | None:
        return self.timed / self.hours if self.hours > 0 else None

    @property
    def accuracy(self) -> Estimate | None:
        """The share of hidden checks that were right, with its Wilson interval; None without checks."""
        return share_estimate(self.right, self.checks) if self.checks else None

    @property
    def agreement(self) -> Estimate | None:
        """The share of labels that say what was adopted, or what most labelers say; None where neither is known."""
        return share_estimate(self.agreed, self.compared) if self.compared else None


@dataclass(frozen=True)
class Week:
    """One week of a labeler, which begins at `start` (Monday, UTC)."""

    start: datetime
    pace: Pace


@dataclass(frozen=True)
class Scorecard:
    """A labeler of a queue, `annotator` as the person is called now; `labeler_id` is None for annotators of imported files."""

    annotator: str
    labeler_id: int | None
    pace: Pace
    weeks: list[Week] = field(default_factory=list)
    sessions: int = 0
    skipped: int = 0
    flagged: int = 0
    undone: int = 0
    paused_at: datetime | None = None
    pause_reason: str = ""

    def document(self) -> dict[str, Any]:
        """JSON for the API."""
        pace = self.pace
        return {
            "annotator": self.annotator,
            "labels": pace.labels,
            "labels_per_hour": _rounded(pace.labels_per_hour),
            "median_s": _rounded(pace.median_s),
            "hours": round(pace.hours, 4),
            "gold": _share(pace.accuracy),
            "agreement": _share(pace.agreement),
            "sessions": self.sessions,
            "skipped": self.skipped,
            "flagged": self.flagged,
            "undone": self.undone,
            "last_at": pace.last_at.isoformat() if pace.last_at else None,
            "paused_at": self.paused_at.isoformat() if self.paused_at else None,
            "pause_reason": self.pause_reason,
            "weeks": [
                {
                    "start": week.start.date().isoformat(),
                    "labels": week.pace.labels,
                    "gold": _share(week.pace.accuracy),
                    "agreement": _share(week.pace.agreement),
                }
                for week in self.weeks
            ],
        }


def scorecards(
    queue: LabelingQueue,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    annotator: str | None = None,
) -> list[Scorecard]:
    """Return the scorecards of all labelers of a queue, most labels first; or of one annotator. Four queries.

    `annotator` is the name that a person has now, or the name in a file of somebody without an account.
    `since` leaves out what was labeled before, `until` what was labeled then or later. Somebody who is paused, or who only skipped, has one too.
    """
    condition, agreement_parameters = _agrees_sql(fields_of(queue))
    narrower = ""
    parameters: list[Any] = [queue.pk]
    if since is not None:
        narrower, parameters = narrower + " AND {table}labeled_at >= %s", [*parameters, since]
    if until is not None:
        narrower, parameters = narrower + " AND {table}labeled_at < %s", [*parameters, until]
    if annotator is not None:
        narrower += f" AND {of_annotator('{table}')}"
        parameters += [annotator, annotator]
    statement = _BY_LABELER.format(
        idle=IDLE_S, agrees=condition, narrower=narrower.format(table="label."), week="week"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [*agreement_parameters, *parameters])
        rows = cursor.fetchall()
        cursor.execute(_WITHOUT_LABEL.format(narrower=narrower.format(table="")), parameters)
        without = cursor.fetchall()
        cursor.execute(
            _SESSIONS.format(narrower=" AND started_at >= %s" if since else ""),
            [queue.pk, since] if since else [queue.pk],
        )
        sessions: dict[int, int] = dict(cursor.fetchall())
    standings = {
        standing.labeler.get_username(): standing
        for standing in LabelerStanding.objects.filter(queue=queue, paused_at__isnull=False).select_related(
            "labeler"
        )
    }
    paces, weeks, ids = _sorted_rows(rows)
    events = {(name, event): count for name, event, count, _ in without}
    ids = {name: labeler_id for name, _, _, labeler_id in without} | ids
    names = {*paces, *(name for name, _ in events), *standings}
    if annotator is not None:
        names &= {annotator}
    made = []
    for name in names:
        standing = standings.get(name)
        labeler_id = ids.get(name) or (standing.labeler_id if standing else None)
        made.append(
            Scorecard(
                annotator=name,
                labeler_id=labeler_id,
                pace=paces.get(name, Pace()),
                weeks=weeks.get(name, [])[-SHOWN_WEEKS:],
                sessions=sessions.get(labeler_id, 0) if labeler_id else 0,
                skipped=events.get((name, "skipped"), 0),
                flagged=events.get((name, "flagged"), 0),
                undone=events.get((name, "undone"), 0),
                paused_at=standing.paused_at if standing else None,
                pause_reason=standing.pause_reason if standing else "",
            )
        )
    return sorted(made, key=lambda card: (-card.pace.labels, card.annotator))


def checks_answered(queue: LabelingQueue, *, labeler: Any, until: datetime) -> Estimate | None:
    """Return the share of a labeler's answers to hidden checks before `until` that were right; None without any.

    From the history, so that it stays the same when an answer is taken back: else that would tell which were checks.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CHECKS_ANSWERED, [labeler.pk, queue.pk, until])
        rows = cursor.fetchall()
    fields = fields_of(queue)
    right = sum(is_right(loads_stored(said), loads_stored(gold), fields) for said, gold in rows)
    return share_estimate(right, len(rows)) if rows else None


def _sorted_rows(
    rows: list[tuple[Any, ...]],
) -> tuple[dict[str, Pace], dict[str, list[Week]], dict[str, int | None]]:
    paces: dict[str, Pace] = {}
    weeks: dict[str, list[Week]] = {}
    ids: dict[str, int | None] = {}
    for name, labeler_id, week, labels, timed, seconds, median, checks, right, compared, agreed, last in rows:
        pace = Pace(
            labels,
            timed,
            float(seconds or 0) / 3600,
            None if median is None else float(median),
            checks,
            right,
            compared,
            agreed,
            last,
        )
        if week is None:
            paces[name], ids[name] = pace, labeler_id
        else:
            weeks.setdefault(name, []).append(Week(week, pace))
    return paces, weeks, ids


def _agrees_sql(fields: list[AnswerField]) -> tuple[str, list[Any]]:
    """Return the SQL that compares a label with what is settled in the fields that decide, and its parameters."""
    deciding = deciding_fields(fields)
    judged = [one for one in deciding if one.kind != Kind.TEXT] or deciding
    conditions: list[str] = []
    parameters: list[Any] = []
    for one in judged:
        path = list(one.path)
        if one.kind == Kind.NUMBER and one.span is not None:
            conditions.append(
                "CASE WHEN jsonb_typeof(label.value #> %s) = 'number' AND jsonb_typeof(settled.value #> %s) = 'number'"
                " THEN abs((label.value #>> %s)::numeric - (settled.value #>> %s)::numeric) <= %s ELSE false END"
            )
            parameters += [path, path, path, path, one.span * NUMBER_TOLERANCE]
        else:
            conditions.append("(label.value #> %s IS NOT DISTINCT FROM settled.value #> %s)")
            parameters += [path, path]
    return " AND ".join(conditions) or "label.value = settled.value", parameters


def _share(estimate: Estimate | None) -> dict[str, float | int] | None:
    if estimate is None:
        return None
    found = estimate.document()
    return {
        "share": round(found["mean"], 4),
        "low": round(found["low"], 4),
        "high": round(found["high"], 4),
        "of": found["n"],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
