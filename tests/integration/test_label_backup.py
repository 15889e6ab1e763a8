"""Labels in backups: what is of the moment stays out, nobody gets an example twice, and datasets bring theirs along."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection

from datasets_app.models import Dataset
from datasets_app.services.curation.manager import DatasetManager
from exports_app.backup.label_tables import LABEL_SECTIONS
from exports_app.backup.opened import Part
from exports_app.backup.reading import findings, open_backup
from exports_app.services.backups import BackupOptions, create_backup
from exports_app.services.restores import RestoreOptions, restore_backup
from exports_app.services.verification import verify_directory
from labeling_app.models import (
    Consensus,
    Draft,
    KeyMap,
    Label,
    LabelHistory,
    LabelingQueue,
    LabelingSession,
    Lease,
    QueueItem,
    Review,
    Suggestion,
    Webhook,
)
from labeling_app.services.queues import QueueOptions, create_queue
from labeling_app.services.reviewing import decide
from labeling_app.services.submitting import skip
from labeling_app.services.undoing import undo_label
from labeling_app.services.verifying import verify_labels
from tests.integration.backup_data import documents
from tests.integration.label_data import (
    MORNING,
    hold,
    make_label,
    make_labels,
    make_queue,
    make_session,
)
from tests.integration.labeling.labeling_data import answer, ids, take, text_rows
from tests.template_database import cloned, connected_to


def words(name: str = "words", count: int = 10) -> Dataset:
    manager = DatasetManager.create(name, type="text_classification")
    manager.add_examples(documents(count, name))
    manager.commit("first")
    return manager.dataset


def test_backup__while_people_label__holds_their_slots_open_and_restores_no_lease_that_ran(
    committed_db: str, tmp_path: Path
) -> None:
    labeler = User.objects.create_user("labeler")
    queue = make_queue(words())
    session = make_session(labeler, queue, ended=False)
    items = list(queue.items.order_by("position"))
    make_label(items[0], session, {"label": "a"})
    hold(items[1], session, slot=1)
    create_backup(directory=tmp_path, actor=None)
    assert QueueItem.objects.get(pk=items[1].pk).open_slots == 1
    with cloned() as name, connected_to(name):
        restore_backup(directory=tmp_path, actor=None)
        slots = list(QueueItem.objects.order_by("position").values_list("open_slots", "label_count"))
        assert slots == [(1, 1), *[(2, 0)] * 9]
        assert [lease.state for lease in Lease.objects.all()] == ["submitted"]
        assert not Draft.objects.exists()
        restored = LabelingSession.objects.get()
        assert restored.ended_at == restored.last_seen_at == MORNING + timedelta(minutes=9)
        told = restored.history.order_by("history_id").values_list(
            "history_type", "history_change_reason", "ended_at"
        )
        assert list(told)[-1] == ("~", "restored", restored.ended_at)
        item = QueueItem.objects.get(example_id=items[0].example_id)
        with pytest.raises(Exception, match="lease_never_twice_to_one"):  # the one who labeled it
            hold(item, LabelingSession.objects.get(), slot=2)


def test_restore__beside_other_labels__brings_a_dataset_with_its_labels_and_shifts_numbers(
    committed_db: str, tmp_path: Path
) -> None:
    make_labels(words())
    create_backup(directory=tmp_path, actor=None, options=BackupOptions(inline_examples=0))
    with cloned() as name, connected_to(name):
        local = words("local", 4)
        mine = User.objects.create_user("labeler")
        KeyMap.objects.create(user=mine, keys={"skip": "my own"})
        running = make_session(mine, make_queue(local), ended=False)
        kept = make_label(QueueItem.objects.get(position=0), running, {"label": "here"})
        restore_backup(directory=tmp_path, actor=None)
        queue = LabelingQueue.objects.get(dataset__name="words")
        assert Label.objects.filter(queue=queue).count() == 7
        assert LabelHistory.objects.filter(queue=queue).count() == 7
        assert Suggestion.objects.get().item.queue == queue
        for model in (Label, Consensus, Review, Lease):
            wrong = [row for row in model.objects.filter(queue=queue) if row.item.queue_id != queue.pk]
            assert wrong == []
        agreed = Consensus.objects.get(origin="unanimous")
        assert set(agreed.item.labels.values_list("annotator", flat=True)) == {"labeler", "second-labeler"}
        assert Label.objects.get(pk=kept.pk).value == {"label": "here"}
        assert LabelingSession.objects.get(pk=running.pk).ended_at is None
        assert LabelingSession.objects.filter(queue=None).count() == 1, "the session over all queues"
        assert KeyMap.objects.get(user=mine).keys == {"skip": "my own"}
        assert [hook.name for hook in Webhook.objects.all()] == ["of one dataset"]
        again = make_label(
            QueueItem.objects.filter(queue=queue, label_count=0)[0],
            make_session(mine, queue),
            {"label": "new"},
        )
        assert again.pk > kept.pk


def test_restore__update_of_a_dataset__puts_its_labels_back_and_leaves_those_of_others(
    committed_db: str, tmp_path: Path
) -> None:
    queue = make_labels(words())
    before = dump()
    create_backup(directory=tmp_path / "b", actor=None)
    other = make_queue(words("other", 3), "of another")
    session = make_session(User.objects.get(username="labeler"), other)
    make_label(other.items.order_by("position")[0], session, {"label": "kept"})
    hold(queue.items.order_by("position")[8], session, slot=1)
    options = RestoreOptions(on_conflict="update", safety_dir=tmp_path / "safety")
    restore_backup(directory=tmp_path / "b", actor=None, options=options)
    assert [label.value for label in Label.objects.filter(queue=other)] == [{"label": "kept"}]
    assert not Draft.objects.exists()
    assert dump() == before


def test_restore__a_backup_of_before_there_were_labels__has_none(committed_db: str, tmp_path: Path) -> None:
    manager = DatasetManager.create("words", type="text_classification")
    manager.add_examples([{"id": "e1", "input": {"text": "one"}, "output": {"label": "a"}}])
    create_backup(directory=tmp_path, actor=None)
    main = tmp_path / "golden_dataset_backup.json"
    document = json.loads(main.read_bytes())
    for key in ("sha256", "files", *(section.name for section in LABEL_SECTIONS)):
        del document[key]
    del document["metadata"]["total_labels"]
    main.write_text(json.dumps(document))
    (tmp_path / "golden_dataset_metadata.json").unlink()
    with cloned() as name, connected_to(name):
        result = restore_backup(directory=tmp_path, actor=None)
        assert result.findings == []
        assert Dataset.objects.get().name == "words"
        assert not LabelingQueue.objects.exists()


def test_backup__after_more_labels__tells_how_many_and_writes_only_their_shards(
    committed_db: str, tmp_path: Path
) -> None:
    queue = make_labels(words())
    create_backup(directory=tmp_path, actor=None, options=BackupOptions(inline_examples=0))
    shards = set(tmp_path.rglob("*.jsonl"))
    session = make_session(User.objects.create_user("third"), queue)
    make_label(queue.items.order_by("position")[8], session, {"label": "c"})
    Label.objects.filter(annotator="reviewer").delete()
    Label.objects.filter(annotator="labeler").update(notes="seen again")
    result = create_backup(directory=tmp_path, actor=None, options=BackupOptions(inline_examples=0))
    assert [c["description"] for c in result.changes] == [
        "1 label added",
        "1 label removed",
        "3 labels modified",
    ]
    assert result.totals["total_labels"] == 7
    touched = {path.parent.name for path in set(tmp_path.rglob("*.jsonl")) - shards}
    assert touched == {
        "history_label_history",
        "history_labeling_sessions",
        "label_history",
        "labeling_sessions",
        "labels",
        "leases",
        "queue_items",
    }
    assert verify_directory(tmp_path).errors == []


def test_verify__a_backup_with_records_that_this_version_does_not_know__says_so(
    committed_db: str, tmp_path: Path
) -> None:
    words()
    create_backup(directory=tmp_path, actor=None)
    backup = open_backup(tmp_path)
    backup.parts["of_the_future"] = [Part("x", 3)]
    assert findings(backup) == [
        "golden_dataset_backup.json: 3 records of “of_the_future”, which this version does not know"
    ]


def test_restore__of_real_work__goes_on_where_it_was(committed_db: str, tmp_path: Path) -> None:
    manager = DatasetManager.create("texts", type="text_classification")
    manager.add_examples(text_rows(8))
    people = [User.objects.create_user(name) for name in ("labeler", "second-labeler")]
    for one in people:
        one.groups.add(Group.objects.get(name="labeler"))
    queue = create_queue(
        dataset=manager.dataset, name="all", actor=None, options=QueueOptions(overlap=2, adopts="unanimous")
    )
    for labels, person in (("aab", people[0]), ("abb", people[1])):
        for label in labels:
            answer(queue, person, label)
    (skipped,) = take(queue, people[0])
    skip(lease_id=skipped.lease, labeler=people[0], reason="unclear")
    undone = answer(queue, people[1], "c").label
    assert undone is not None
    undo_label(label_id=undone, labeler=people[1])  # and holds the example again
    held = take(queue, people[0], 2)
    first = create_backup(directory=tmp_path / "first", actor=None)
    assert first.totals["total_labels"] == 6
    with cloned() as name, connected_to(name):
        restore_backup(directory=tmp_path / "first", actor=None)
        assert verify_labels(deep=True).errors == []
        second = create_backup(directory=tmp_path / "second", actor=None)
        with cloned() as again, connected_to(again):
            restore_backup(directory=tmp_path / "second", actor=None)
            assert create_backup(directory=tmp_path / "third", actor=None).sha256 == second.sha256
        queue = LabelingQueue.objects.get()
        User.objects.update(is_active=True)
        labeler = User.objects.get(username="labeler")
        labeler.groups.add(Group.objects.get(name="labeler"))
        given = take(queue, labeler, 8)
        assert ids(given) == ["t5", "t6", "t7", "t8"], "neither what was labeled nor what was skipped"
        assert ids(held) == ["t5", "t6"]
        states = QueueItem.objects.order_by("example__ordinal").values_list("state", flat=True)
        assert list(states)[:3] == ["adopted", "review", "adopted"]
        (review,) = Review.objects.filter(outcome="")
        judge = User.objects.create_user("reviewer")
        judge.groups.add(Group.objects.get(name="reviewer"))
        decide(review_id=review.pk, actor=judge, outcome="adopted", value={"label": "a"})
        assert verify_labels(deep=True).errors == []


def dump() -> dict[str, list[str]]:
    """Every row of the first dataset's labels, without numbers of rows."""
    numbers = ("id", "item_id", "seen_item", "example_type_id", "branch_id")
    found = {}
    with connection.cursor() as cursor:
        for section in LABEL_SECTIONS:
            cursor.execute(section.line_sql())
            rows = [json.loads(line) for (line,) in cursor.fetchall()]
            kept = [row for row in rows if "of another" not in str(row.get("name"))]
            ids = {str(q.pk) for q in LabelingQueue.objects.filter(name="of another")}
            kept = [row for row in kept if row.get("queue_id") not in ids]
            found[section.name] = sorted(
                json.dumps({k: v for k, v in row.items() if k not in numbers}) for row in kept
            )
    return found
