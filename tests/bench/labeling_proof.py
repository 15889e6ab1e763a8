"""The proof: many labelers at once while web workers and PostgreSQL are killed with -9. Nothing is assigned to more than
the overlap allows, and every answer that was acknowledged is stored exactly once."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.bench.labeling_clients import Caller, Refused, run_all
from tests.bench.labeling_site import LABELS, Prepared, Site, kill_database


@dataclass
class Seen:
    """What the labelers saw: who was given which example, and which answers were acknowledged under which key."""

    assigned: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    acknowledged: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    """key → (number of the labeler, example, label)"""
    refused: Counter[str] = field(default_factory=Counter)
    tries_again: int = 0
    kills: dict[str, int] = field(default_factory=lambda: {"web worker": 0, "PostgreSQL": 0})
    began_after: int = 0
    """The last row of the label history before."""


def label_through_kills(
    site: Site, prepared: Prepared, *, labels: int, between_kills: int, kills_database: bool = True
) -> Seen:
    """Let all labelers work until `labels` answers are acknowledged or nothing is left.

    After every `between_kills` of them something is killed: PostgreSQL each third time, else a web worker. Kills follow
    the work and not the clock, because on a slow machine a worker would be killed before it served anybody.
    """
    seen, lock = Seen(began_after=_last_history()), threading.Lock()
    done = threading.Event()

    def work(number: int) -> None:
        rng = random.Random(number)
        caller = Caller(site.port, prepared.tokens[number], stubborn=True)
        session = caller.start(prepared.queue)
        task: dict[str, Any] | None = None
        while not done.is_set():
            task = task or caller.take(session)
            if task is None:
                break
            with lock:
                seen.assigned[task["example"]].add(number)
            key, label = uuid.uuid4().hex, rng.choice(LABELS)
            try:
                answer = caller.submit(task, label, key, following=rng.randint(0, 1))
            except Refused as error:
                with lock:
                    seen.refused[error.code] += 1
                task = None
                continue
            with lock:
                seen.acknowledged[key] = (number, task["example"], label)
                if len(seen.acknowledged) >= labels:
                    done.set()
            task = answer["tasks"][0] if answer["tasks"] else None
        caller.close()
        with lock:
            seen.tries_again += caller.tries_again

    def kill() -> None:
        turn, aim = 0, between_kills
        while not done.wait(0.05):
            if len(seen.acknowledged) < aim:
                continue
            turn, aim = turn + 1, len(seen.acknowledged) + between_kills
            if kills_database and turn % 3 == 2:
                seen.kills["PostgreSQL"] += kill_database() is not None
            else:
                seen.kills["web worker"] += site.kill_worker(turn) is not None

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    try:
        run_all(work, len(prepared.tokens))
    finally:
        done.set()
        killer.join()
    return seen


def check(prepared: Prepared, seen: Seen) -> dict[str, Any]:
    """Hold what the labelers saw against the database; every count of a violation must be 0."""
    from django.db import connection
    from django.db.utils import OperationalError

    for _ in range(200):  # the server may be recovering from the last kill
        try:
            connection.close()
            connection.ensure_connection()
            break
        except OperationalError:
            time.sleep(0.1)
    stored = _stored(seen.began_after)
    violations = {
        "examples assigned to more than the overlap": sum(
            len(labelers) > prepared.overlap for labelers in seen.assigned.values()
        ),
        "acknowledged and not stored, or otherwise": sum(
            stored.get(key) != [what] for key, what in seen.acknowledged.items()
        ),
        "stored and never acknowledged": len(stored.keys() - seen.acknowledged.keys()),
        **{name: _count(statement, prepared) for name, statement in _MUST_BE_NONE.items()},
    }
    return {
        "labelers": len(prepared.tokens),
        "overlap": prepared.overlap,
        "acknowledged": len(seen.acknowledged),
        "kills": seen.kills,
        "tries_again": seen.tries_again,
        "refused": dict(seen.refused),
        "violations": violations,
    }


def _last_history() -> int:
    from labeling_app.models import LabelHistory

    last = LabelHistory.objects.order_by("pk").last()
    return last.pk if last is not None else 0


def _stored(after: int) -> dict[str, list[tuple[int, str, str]]]:
    """Key → what is stored under it, with the label that holds now beside it: both must say the same."""
    from django.db import connection

    found: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT h.key, substr(h.annotator, 9)::int, h.example_id::text, h.label_value ->> 'label',
                   l.value ->> 'label'
              FROM labeling_app_labelhistory h
              LEFT JOIN labeling_app_label l ON l.example_id = h.example_id AND l.annotator = h.annotator
             WHERE h.id > %s AND h.event = 'submitted'
            """,
            [after],
        )
        for key, number, example, said, holds in cursor.fetchall():
            found[key].append((number, example, said if said == holds else f"{said} and not {holds}"))
    return found


_MUST_BE_NONE = {
    "items with more labels than the overlap": """
        SELECT count(*) FROM (SELECT item_id FROM labeling_app_label GROUP BY item_id HAVING count(*) > {overlap}) t""",
    "items given to more labelers than the overlap": """
        SELECT count(*) FROM (SELECT item_id FROM labeling_app_lease WHERE state IN ('held', 'submitted')
                               GROUP BY item_id HAVING count(*) > {overlap}) t""",
    "items twice to one labeler": """
        SELECT count(*) FROM (SELECT item_id, labeler_id FROM labeling_app_lease
                               WHERE state IN ('held', 'submitted', 'skipped')
                               GROUP BY item_id, labeler_id HAVING count(*) > 1) t""",
    "labels without history, or with more than one": """
        SELECT count(*) FROM labeling_app_label l
         WHERE (SELECT count(*) FROM labeling_app_labelhistory h
                 WHERE h.example_id = l.example_id AND h.annotator = l.annotator AND h.event = 'submitted') <> 1""",
    "items whose count of labels is wrong": """
        SELECT count(*) FROM labeling_app_queueitem i
         WHERE i.label_count <> (SELECT count(*) FROM labeling_app_label l WHERE l.item_id = i.id)""",
    "items whose open slots are wrong": """
        SELECT count(*) FROM labeling_app_queueitem i
         WHERE i.open_slots <> {overlap} - (SELECT count(*) FROM labeling_app_lease l
                                             WHERE l.item_id = i.id AND l.state IN ('held', 'submitted'))""",
    "full items that were not settled": """
        SELECT count(*) FROM labeling_app_queueitem i WHERE i.label_count >= {overlap} AND i.state = 'open'""",
}


def _count(statement: str, prepared: Prepared) -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement.format(overlap=prepared.overlap))
        return int(cursor.fetchone()[0])
