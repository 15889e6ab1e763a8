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
from labeling_app.models import LabelingQueue, Review
from labeling_app.services.gold import pause_labeler
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
