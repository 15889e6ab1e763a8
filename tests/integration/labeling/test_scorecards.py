"""Scorecards: how much, how fast, how right, how often with the consensus."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from datasets_app.domain.retrieval.significance import share_estimate
from goldenproject.kit.clock import frozen
from labeling_app.models import Label, LabelingQueue, Review
from labeling_app.services.annotators import of_annotator
from labeling_app.services.consensus_report import answers_of
from labeling_app.services.gold import pause_labeler
from labeling_app.services.ratings import ratings_of
from labeling_app.services.reviewing import decide
from labeling_app.services.scorecards import scorecards
from labeling_app.services.sessions import start_session
from labeling_app.services.submitting import skip
from tests.integration.labeling.labeling_data import answer, take
from tests.integration.labeling.test_gold import gold

pytestmark = pytest.mark.django_db

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # a Monday


def label_at(queue: LabelingQueue, labeler: Any, *answers: tuple[float, str]) -> None:
    """Answer at so many seconds after START each."""
    for seconds, label in answers:
        with frozen(START + timedelta(seconds=seconds)):
            answer(queue, labeler, label)


def test_scorecards__pauses__count_five_minutes_at_the_most(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any]
) -> None:
    queue = queue_factory(idle_s=86_400)
    with frozen(START):
        start_session(labeler=labelers[0], queue=queue)
    # 10 s, 20 s, a pause of 1,000 s that counts 300 s, 30 s
    label_at(queue, labelers[0], (10, "a"), (30, "a"), (1030, "a"), (1060, "a"))
    (card,) = scorecards(queue)
    pace = card.pace
    assert (card.annotator, pace.labels, pace.timed, card.sessions) == ("labeler", 4, 4, 1)
    assert pace.hours == pytest.approx(360 / 3600)
    assert pace.labels_per_hour == pytest.approx(40)
    assert pace.median_s == pytest.approx(25)
    assert pace.last_at == START + timedelta(seconds=1060)
    assert (pace.accuracy, pace.agreement) == (None, None)


def test_scorecards__agreement_and_checks__have_wilson_intervals(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any]
) -> None:
    queue = queue_factory(overlap=3, gold_rate=0.5)
    gold(queue, "t1", "t2", "t3", "t4")
    for labeler, label in zip(labelers, "aab", strict=True):
        while take(queue, labeler):
            answer(queue, labeler, label)
    cards = {card.annotator: card for card in scorecards(queue)}
    right, wrong = cards["labeler"].pace, cards["third-labeler"].pace
    assert (right.compared, right.agreed, wrong.agreed) == (6, 6, 0)
    assert right.agreement == share_estimate(6, 6)
    assert wrong.agreement == share_estimate(0, 6)
    assert right.checks == right.right > 0
    assert (wrong.right, wrong.accuracy) == (0, share_estimate(0, wrong.checks))
    assert right.labels == 6 + right.checks


def test_scorecards__tie__nobody_is_right_until_a_reviewer_decides(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue = queue_factory(overlap=2)
    answer(queue, labelers[0], "a")
    answer(queue, labelers[1], "b")
    assert [(card.pace.compared, card.pace.agreed) for card in scorecards(queue)] == [(0, 0), (0, 0)]
    review = Review.objects.get(queue=queue)
    decide(
        review_id=review.pk,
        actor=person("reviewer"),
        outcome="third_answer",
        value={"label": "b"},
        comment="b",
    )
    cards = {card.annotator: card.pace for card in scorecards(queue)}
    assert (cards["labeler"].compared, cards["labeler"].agreed) == (1, 0)
    assert (cards["second-labeler"].compared, cards["second-labeler"].agreed) == (1, 1)


def test_scorecards__adjudicated_against_most_labelers__the_decision_counts(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue = queue_factory(overlap=3)
    for labeler, label in zip(labelers, "aab", strict=True):
        answer(queue, labeler, label)
    assert [card.pace.agreed for card in scorecards(queue)] == [1, 1, 0]
    review = Review.objects.get(queue=queue)
    decide(review_id=review.pk, actor=person("reviewer"), outcome="adopted", value={"label": "b"})
    cards = {card.annotator: card.pace.agreed for card in scorecards(queue)}
    assert cards == {"labeler": 0, "second-labeler": 0, "third-labeler": 1}


def test_scorecards__weeks__begin_on_mondays(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any]
) -> None:
    queue = queue_factory()
    week = 7 * 86_400
    label_at(queue, labelers[0], (-36_000, "a"), (0, "a"), (5, "a"), (week, "a"))
    (card,) = scorecards(queue)
    assert [(one.start.date().isoformat(), one.pace.labels) for one in card.weeks] == [
        ("2026-02-23", 1),
        ("2026-03-02", 2),
        ("2026-03-09", 1),
    ]
    assert card.document()["weeks"][1] == {
        "start": "2026-03-02",
        "labels": 2,
        "gold": None,
        "agreement": None,
    }


def test_scorecards__since_and_until__leave_out_the_rest(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any]
) -> None:
    queue = queue_factory()
    label_at(queue, labelers[0], (0, "a"), (100, "a"), (200, "a"))
    label_at(queue, labelers[1], (300, "a"))
    (card,) = scorecards(queue, until=START + timedelta(seconds=200))
    assert (card.annotator, card.pace.labels) == ("labeler", 2)
    (card,) = scorecards(queue, since=START + timedelta(seconds=250))
    assert (card.annotator, card.pace.labels) == ("second-labeler", 1)
    (card,) = scorecards(queue, annotator="labeler")
    assert (card.annotator, card.pace.labels) == ("labeler", 3)


def test_scorecards__who_only_skipped_or_is_paused__is_there_too(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any]
) -> None:
    queue = queue_factory()
    (task,) = take(queue, labelers[0])
    skip(lease_id=task.lease, labeler=labelers[0], reason="no sense")
    pause_labeler(queue=queue, labeler=labelers[1], actor=None, reason="Please read the instructions.")
    first, second = scorecards(queue)
    assert (first.annotator, first.skipped, first.pace.labels, first.labeler_id) == (
        "labeler",
        1,
        0,
        labelers[0].pk,
    )
    assert (second.pause_reason, second.labeler_id) == ("Please read the instructions.", labelers[1].pk)


def test_scorecards__however_many_labelers__asks_four_times(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any]
) -> None:
    queue = queue_factory(overlap=3)
    for labeler in labelers:
        answer(queue, labeler)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert len(scorecards(queue)) == 3
    assert len(queries) == 4


# --- people who were renamed ----------------------------------------------------------------------------------------
def rename(person: Any, name: str) -> None:
    person.username = name
    person.save()


def test_scorecards__labeler_was_renamed__is_one_person_by_the_name_of_now(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any]
) -> None:
    queue = queue_factory(overlap=2)
    label_at(queue, labelers[0], (0, "a"), (10, "a"))
    (task,) = take(queue, labelers[0])
    skip(lease_id=task.lease, labeler=labelers[0], reason="no sense")
    rename(labelers[0], "renamed-labeler")
    with frozen(START + timedelta(seconds=30)):
        answer(queue, labelers[0], "a")
    (card,) = scorecards(queue)
    assert (card.annotator, card.labeler_id) == ("renamed-labeler", labelers[0].pk)
    assert (card.pace.labels, card.skipped, [week.pace.labels for week in card.weeks]) == (3, 1, [3])
    assert scorecards(queue, annotator="renamed-labeler") == [card]
    assert scorecards(queue, annotator="labeler") == []


def test_scorecards__somebody_else_has_the_name_now__is_another_person(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any], person: Callable[..., Any]
) -> None:
    queue = queue_factory(overlap=2)
    label_at(queue, labelers[0], (0, "a"), (10, "a"))
    rename(labelers[0], "renamed-labeler")
    newcomer = person(name="labeler")
    answer(queue, newcomer, "b")
    assert [(card.annotator, card.labeler_id, card.pace.labels) for card in scorecards(queue)] == [
        ("renamed-labeler", labelers[0].pk, 2),
        ("labeler", newcomer.pk, 1),
    ]


def test_scorecards__annotators_without_an_account__stay_by_their_names(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any]
) -> None:
    queue = queue_factory(overlap=2)
    answer(queue, labelers[0], "a")
    answer(queue, labelers[1], "a")
    Label.objects.filter(labeler=labelers[0]).update(labeler=None, annotator="from a file")
    found = {card.annotator: card.labeler_id for card in scorecards(queue)}
    assert found == {"from a file": None, "second-labeler": labelers[1].pk}
    (card,) = scorecards(queue, annotator="from a file")
    assert card.pace.labels == 1


def test_ratings__labeler_was_renamed__is_one_rater_with_the_newest_word_on_each_example(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any]
) -> None:
    queue = queue_factory(overlap=2)
    label_at(queue, labelers[0], (0, "a"), (10, "a"))
    rename(labelers[0], "renamed-labeler")
    label_at(queue, labelers[0], (8 * 86_400, "b"))
    first = Label.objects.filter(labeler=labelers[0]).order_by("labeled_at")[0]
    first.pk, first.annotator, first.value = None, "renamed-labeler", {"label": "b"}
    first.labeled_at = START + timedelta(days=8)
    first.save(force_insert=True)  # as labels in bulk could once leave it
    ratings = ratings_of(queue)
    assert ratings.table.rater_names == ("renamed-labeler",)
    assert [ratings.answers[code]["label"] for code in ratings.table.values] == ["b", "a", "b"]
    assert len(ratings_of(queue, labelers=["renamed-labeler"]).table) == 3
    assert len(ratings_of(queue, labelers=["labeler"]).table) == 0


def test_consensus__labeler_was_renamed_since_the_queue_was_learned__still_weighs(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any]
) -> None:
    queue = queue_factory(overlap=2)
    answer(queue, labelers[0], "a")
    rename(labelers[0], "renamed-labeler")
    (answers,) = answers_of(queue=queue, item_ids=[Label.objects.get().item_id]).values()
    assert [one.annotator for one in answers] == list(ratings_of(queue).table.rater_names)


MANY_LABELS = """
    INSERT INTO labeling_app_label
           (queue_id, item_id, example_id, labeler_id, annotator, value, notes, source, content_hash, labeled_at)
    SELECT %s, n, gen_random_uuid(), (%s::int[])[1 + n %% 3], 'x', '{}', '', 'human', '', now()
      FROM generate_series(1, 5000) n
"""


def test_own_figures__of_a_long_queue__are_read_by_an_index(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any]
) -> None:
    queue = queue_factory()
    with connection.cursor() as cursor:
        cursor.execute(MANY_LABELS, [queue.pk, [one.pk for one in labelers]])
        cursor.execute("ANALYZE labeling_app_label")
        cursor.execute(
            f"EXPLAIN SELECT 1 FROM labeling_app_label AS label WHERE queue_id = %s AND {of_annotator('label.')}",
            [queue.pk, "labeler", "labeler"],
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "label_newest_of_labeler" in plan
    assert "Seq Scan on labeling_app_label" not in plan
