"""Hidden checks: they come to everybody whose answers count, and nothing tells them from other examples."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from datasets_app.models import Dataset
from datasets_app.services.curation.examples import bulk_upsert, delete_examples, update_example
from goldenproject.kit.clock import frozen, now
from goldenproject.kit.errors import Forbidden
from labeling_app.console import scorecards_page
from labeling_app.errors import LeaseLost, UnknownLease
from labeling_app.models import GoldAnswer, Label, LabelingQueue, LabelingSession, Lease, QueueItem
from labeling_app.services.gold import set_gold
from labeling_app.services.leasing import next_examples, release
from labeling_app.services.scorecards import checks_answered
from labeling_app.services.sessions import end_session, start_session
from labeling_app.services.submitting import skip, submit_label
from labeling_app.services.tasks import Task
from labeling_app.services.undoing import undo_label, undo_skip
from tests.integration.labeling.labeling_data import ids, item_of, take, text_rows
from tests.integration.people import client_of

pytestmark = pytest.mark.django_db
CHECKS = {"t1", "t2", "t3", "t4"}
ORDINARY = [f"t{n}" for n in range(5, 11)]


@pytest.fixture
def checked(queue_factory: Callable[..., LabelingQueue]) -> LabelingQueue:
    """A queue whose t1 … t4 are hidden checks; one stands before each of t5 … t8 then."""
    queue = queue_factory(gold_rate=0.5)
    gold(queue)
    return queue


def gold(queue: LabelingQueue) -> None:
    found = {item_of(queue, name).example_id: {"label": "a"} for name in CHECKS}
    set_gold(queue=queue, answers=found, actor=None)


def names(tasks: list[Task]) -> list[str]:
    """Say of each example what it is, “check” or its name."""
    return ["check" if name in CHECKS else str(name) for name in ids(tasks)]


def submit(task: Task, labeler: Any) -> int:
    return submit_label(lease_id=task.lease, labeler=labeler, value={"label": "a"}).label or 0


def run(labeler: Any, session: LabelingSession) -> list[Task]:
    """Answer one after the other until nothing comes."""
    seen = []
    while tasks := next_examples(session=session):
        seen += tasks
        submit(tasks[0], labeler)
    return seen


def test_next__one_by_one_or_many__checks_stand_at_the_same_places(
    checked: LabelingQueue, labelers: list[Any]
) -> None:
    many = take(checked, labelers[0], 10)
    end_session(session=LabelingSession.objects.get())
    assert names(many) == ["check", "t5", "check", "t6", "check", "t7", "check", "t8", "t9", "t10"]
    assert ids(run(labelers[0], start_session(labeler=labelers[0], queue=checked))) == ids(many)
    rows = Label.objects.order_by("labeled_at", "id").values_list("gold_correct", flat=True)
    assert list(rows) == [True, None, True, None, True, None, True, None, None, None]


def test_next__session_without_a_queue__checks_at_the_rate_of_each_queue(
    checked: LabelingQueue, queue_factory: Callable[..., LabelingQueue], labelers: list[Any]
) -> None:
    queue_factory("z", filters={"text": "question 1"})
    seen = run(labelers[0], start_session(labeler=labelers[0]))
    assert names(seen)[:4] == ["check", "t5", "check", "t6"]
    assert {task.queue == checked.pk for task in seen[:10]} == {True}
    assert Lease.objects.filter(is_gold_check=True).values_list("queue").distinct().get() == (checked.pk,)
    assert Label.objects.filter(gold_correct=True).count() == 4


def test_next__with_and_without_a_queue_by_turns__is_the_same(
    checked: LabelingQueue, labelers: list[Any]
) -> None:
    narrow, wide = start_session(labeler=labelers[0], queue=checked), start_session(labeler=labelers[0])
    seen = []
    for session in [narrow, wide, wide, narrow]:
        tasks = next_examples(session=session, count=3)
        seen.append(ids(tasks))
        for task in tasks:
            release(lease_id=task.lease, labeler=labelers[0])
    assert seen[0] == seen[1] == seen[2] == seen[3]


@pytest.mark.parametrize("overlap", [1, 2])
@pytest.mark.parametrize("which", [0, 1])
def test_release__check_or_not__it_comes_again_at_once_under_another_lease(
    checked: LabelingQueue, labelers: list[Any], overlap: int, which: int
) -> None:
    LabelingQueue.objects.update(overlap=overlap)
    QueueItem.objects.update(open_slots=overlap)
    session = start_session(labeler=labelers[0], queue=checked)
    first = next_examples(session=session, count=2)
    held = [first[which]]
    for _ in range(20):
        release(lease_id=held[-1].lease, labeler=labelers[0])
        (again,) = next_examples(session=session, hold=[first[1 - which].lease])
        assert again.example == first[which].example
        held.append(again)
    assert len({task.lease for task in held}) == 21


@pytest.mark.parametrize("by", ["release", "end"])
def test_release__after_later_examples_were_answered__the_check_comes_again(
    checked: LabelingQueue, labelers: list[Any], by: str
) -> None:
    session = start_session(labeler=labelers[0], queue=checked)
    check, *later = next_examples(session=session, count=4)
    for task in later:
        submit(task, labelers[0])
    for _ in range(2):
        if by == "release":
            release(lease_id=check.lease, labeler=labelers[0])
        else:
            end_session(session=session)
            session = start_session(labeler=labelers[0], queue=checked)
        (again,) = next_examples(session=session)
        assert again.example == check.example
        check = again
    submit(check, labelers[0])
    assert names(next_examples(session=session)) == ["check"]
    assert Label.objects.filter(gold_correct=True).count() == 2


def test_release__check_and_what_is_behind_it__both_come_again_in_order(
    checked: LabelingQueue, labelers: list[Any]
) -> None:
    before = take(checked, labelers[0], 4)
    for task in before:
        release(lease_id=task.lease, labeler=labelers[0])
    assert ids(take(checked, labelers[0], 4)) == ids(before)


def test_undo__of_a_check_then_released__it_comes_again(checked: LabelingQueue, labelers: list[Any]) -> None:
    check, ordinary = take(checked, labelers[0], 2)
    for task in (check, ordinary):
        back = undo_label(label_id=submit(task, labelers[0]), labeler=labelers[0])
        release(lease_id=back.lease, labeler=labelers[0])
    assert ids(take(checked, labelers[0], 2)) == ids([check, ordinary])


def test_skip__a_check__it_does_not_come_again(checked: LabelingQueue, labelers: list[Any]) -> None:
    (check,) = take(checked, labelers[0])
    skip(lease_id=check.lease, labeler=labelers[0])
    assert names(take(checked, labelers[0], 2)) == ["t5", "check"]


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("by", ["skip", "release"])
def test_others_at_work__what_was_given_back__is_lost_check_or_not(
    checked: LabelingQueue, labelers: list[Any], which: int, by: str
) -> None:
    session = start_session(labeler=labelers[0], queue=checked)
    task = next_examples(session=session, count=2)[which]
    (skip if by == "skip" else release)(lease_id=task.lease, labeler=labelers[0])
    with frozen(now() + timedelta(seconds=1)):
        run(labelers[1], start_session(labeler=labelers[1], queue=checked))
        if by == "skip":
            with pytest.raises(UnknownLease, match="Others have labeled this example meanwhile"):
                undo_skip(lease_id=task.lease, labeler=labelers[0])
        else:
            with pytest.raises(LeaseLost):
                submit(task, labelers[0])
        assert task.example not in {one.example for one in next_examples(session=session, count=20)}


@pytest.mark.parametrize("which", [0, 1])
def test_nobody_else_at_work__what_was_skipped__can_be_had_again(
    checked: LabelingQueue, labelers: list[Any], which: int
) -> None:
    task = take(checked, labelers[0], 2)[which]
    skip(lease_id=task.lease, labeler=labelers[0])
    assert undo_skip(lease_id=task.lease, labeler=labelers[0]).example == task.example


def test_next__nothing_else_left__no_check_comes(
    checked: LabelingQueue, labelers: list[Any], dataset: Dataset
) -> None:
    examples = [item_of(checked, name).example_id for name in ORDINARY[1:]]
    delete_examples(branch=dataset.main, uuids=examples, actor=None)
    session = start_session(labeler=labelers[0], queue=checked)
    assert names(next_examples(session=session, count=5)) == ["check", "t5"]
    assert len(next_examples(session=session, count=5)) == 2


def test_next__gold_whose_row_is_gone__comes_to_nobody(
    checked: LabelingQueue, labelers: list[Any], dataset: Dataset
) -> None:
    gone = [item_of(checked, name).example_id for name in ("t1", "t2", "t3")]
    delete_examples(branch=dataset.main, uuids=gone, actor=None)
    run(labelers[0], start_session(labeler=labelers[0], queue=checked))
    assert ids(take(checked, labelers[1], 10)) == []
    assert Label.objects.filter(gold_correct=True).count() == 1


def test_next__what_the_labeler_said_before_it_was_gold__is_no_check_for_them(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any]
) -> None:
    queue = queue_factory(gold_rate=0.5, overlap=2)
    for task in take(queue, labelers[0], 3):
        submit(task, labelers[0])
    gold(queue)
    assert ids(run(labelers[0], start_session(labeler=labelers[0], queue=queue)))[:2] == ["t4", "t5"]


def test_next__gold_taken_back_while_it_was_given_back__does_not_come_as_a_check(
    checked: LabelingQueue, labelers: list[Any]
) -> None:
    (check,) = take(checked, labelers[0])
    release(lease_id=check.lease, labeler=labelers[0])
    GoldAnswer.objects.all().delete()
    assert names(take(checked, labelers[0])) == ["t5"]


@pytest.mark.parametrize("session_type", ["validation", "correction"])
def test_start__session_that_shows_the_answers__is_for_reviewers_and_has_no_checks(
    checked: LabelingQueue, labelers: list[Any], person: Callable[..., Any], session_type: str
) -> None:
    for queue in (checked, None):
        with pytest.raises(Forbidden, match=f"A session of {session_type} shows the answers"):
            start_session(labeler=labelers[0], queue=queue, session_type=session_type)
    assert not LabelingSession.objects.exists()
    assert ids(take(checked, person("reviewer"), 10, session_type=session_type)) == ORDINARY
    assert not Lease.objects.filter(is_gold_check=True).exists()


def test_next__reviewer_who_is_none_any_more__is_told(
    checked: LabelingQueue, person: Callable[..., Any]
) -> None:
    somebody = person("reviewer")
    session = start_session(labeler=somebody, queue=checked, session_type="validation")
    wide = start_session(labeler=somebody, session_type="validation")
    somebody.groups.clear()
    demoted = type(somebody).objects.get(pk=person("labeler", somebody.get_username()).pk)
    for one in (session, wide):
        one.labeler = demoted
        with pytest.raises(Forbidden, match="is for reviewers"):
            next_examples(session=one)


@pytest.mark.parametrize(
    "filters",
    [
        {"status": "validated"},
        {"status": ["pending", "validated"]},
        {"tags": ["hard"]},
        {"tier": ["gold"]},
        {"text": "question 7"},
    ],
)
def test_filters__on_what_a_task_does_not_show__need_the_right_to_view(
    checked: LabelingQueue, labelers: list[Any], person: Callable[..., Any], filters: dict[str, Any]
) -> None:
    name = next(iter(filters))
    with pytest.raises(Forbidden, match=f"The filter {name} would tell"):
        start_session(labeler=labelers[0], queue=checked, filters=filters)
    wide = start_session(labeler=labelers[0], filters=filters)
    with pytest.raises(Forbidden, match=f"The filter {name} would tell"):
        next_examples(session=wide)
    assert not Lease.objects.exists()
    start_session(labeler=person("reviewer"), queue=checked, filters=filters)


def test_filters__that_the_queue_has_itself__are_open_to_labelers(
    checked: LabelingQueue, queue_factory: Callable[..., LabelingQueue], labelers: list[Any]
) -> None:
    queue = queue_factory(filters={"status": ["pending"]})
    assert ids(take(queue, labelers[0], filters={"status": ["pending", "rejected"]})) == ["t1"]
    with pytest.raises(Forbidden, match="The filter status"):
        take(queue, labelers[0], filters={"status": ["rejected"]})
    either = ["pending", "rejected"]
    wide = start_session(labeler=labelers[1], filters={"status": either, "type": "text_classification"})
    assert {task.queue for task in next_examples(session=wide, count=3)} == {queue.pk}


def test_filters__pending__is_open_to_labelers_and_checks_come_all_the_same(
    checked: LabelingQueue, labelers: list[Any]
) -> None:
    without = names(take(checked, labelers[0], 4))
    assert sorted(names(take(checked, labelers[0], 4, filters={"status": "pending"}))) == sorted(without)
    seen = names(take(checked, labelers[1], 8, filters={"status": "pending"}))
    assert "check" in seen


def test_filters__of_whoever_may_view__checks_come_all_the_same(
    checked: LabelingQueue, person: Callable[..., Any]
) -> None:
    seen = take(checked, person("reviewer"), 10, filters={"text": "question 7"})
    assert names(seen) == ["check", "t7"]
    assert take(checked, person("curator"), 10, filters={"status": "rejected"}) == []


def test_document__of_a_check__is_like_any_other(
    checked: LabelingQueue, dataset: Dataset, labelers: list[Any], person: Callable[..., Any]
) -> None:
    row = dataset.main.examples.get(identity__external_id="t1")
    update_example(example=row, actor=None, expected_output={"label": "a"})
    for labeler, ids_told in ((labelers[0], False), (person("reviewer"), True)):
        told = [task.document() for task in take(checked, labeler, 4)]
        assert {tuple(document) for document in told} == {tuple(told[0])}
        for key in ("queue", "type", "expires_at", "schema_digest", "current", "suggestions", "mine", "note"):
            assert len({str(document[key]) for document in told}) == 1, key
        assert {uuid.UUID(document["lease"]).version for document in told} == {4}
        assert [document["external_id"] is not None for document in told] == [ids_told] * 4
        assert not any("gold" in key or "item" in key for document in told for key in document)


def test_document__order_that_is_none_of_ids__tells_them(
    queue_factory: Callable[..., LabelingQueue], labelers: list[Any]
) -> None:
    queue = queue_factory(gold_rate=0.5, order="random")
    gold(queue)
    assert all(task.document()["external_id"] for task in take(queue, labelers[0], 4))


def test_next__long_queue__checks_have_their_share(
    queue_factory: Callable[..., LabelingQueue], dataset: Dataset, labelers: list[Any]
) -> None:
    bulk_upsert(branch=dataset.main, documents=text_rows(400), actor=None)
    queue = queue_factory(gold_rate=0.2)
    examples = queue.items.filter(example__external_id__regex="[02468]$").values_list("example", flat=True)
    set_gold(queue=queue, answers={key: {"label": "a"} for key in examples}, actor=None)
    session = start_session(labeler=labelers[0], queue=queue)
    while next_examples(session=session, count=20):
        Lease.objects.filter(state="held").update(state="submitted")
    checks = Lease.objects.filter(is_gold_check=True).count()
    assert Lease.objects.filter(is_gold_check=False).count() == 200
    assert 35 <= checks <= 65  # 50 are expected, of which the standard deviation is 6.1
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT item_id) FROM labeling_app_lease")
        total, different = cursor.fetchone()
    assert total == different


def test_own_share_of_right_checks__answer_is_taken_back__stays_the_same(
    checked: LabelingQueue, labelers: list[Any]
) -> None:
    session = start_session(labeler=labelers[0], queue=checked)
    labels = [submit(task, labelers[0]) for task in next_examples(session=session, count=20)]
    until = now() + timedelta(seconds=1)
    before = checks_answered(checked, labeler=labelers[0], until=until)
    assert before is not None and (before.mean, before.n) == (1, 4)
    for label in labels:
        undo_label(label_id=label, labeler=labelers[0])
        assert checks_answered(checked, labeler=labelers[0], until=until) == before
    assert checks_answered(checked, labeler=labelers[1], until=until) is None


def test_own_figures__few_answers__tell_no_share(
    checked: LabelingQueue, labelers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with frozen(now() - timedelta(days=2)):
        for task in take(checked, labelers[0], 20):
            submit(task, labelers[0])
    address = f"/admin/label/{checked.pk}/labelers/"
    client = client_of("labeler", name="labeler")
    assert "<b>—</b><span>right, where it is known" in client.get(address).content.decode()
    monkeypatch.setattr(scorecards_page, "FEWEST_CHECKS_SHOWN", 4)
    assert "<b>100 %</b><span>right, where it is known" in client.get(address).content.decode()
