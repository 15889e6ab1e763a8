"""Files of annotation tools into a queue and out of it: several annotators kept, bad rows told, nothing twice."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from datasets_app.models import AuditEvent, Dataset, Example
from datasets_app.services.curation.examples import bulk_upsert
from exports_app.errors import LabelFileRefused
from exports_app.integrations.tools import TOOLS
from exports_app.services.label_export import LabelExportOptions, export_label_file, export_name
from exports_app.services.label_files import LabelImport, LabelImportOptions, import_label_file
from goldenproject.kit.errors import BadInput, Forbidden
from labeling_app.models import Consensus, Label, LabelHistory, LabelingQueue, Review, Suggestion
from labeling_app.services.verifying import verify_labels
from tests.integration.labeling.labeling_data import answer, item_of, take

Make = Callable[..., LabelingQueue]


def task(text: str, *answers: tuple[str, str], **more: Any) -> dict[str, Any]:
    """A task of Label Studio with the answers of annotators."""
    return {
        "data": {"text": text},
        "annotations": [
            {
                "completed_by": {"email": annotator},
                "result": [{"type": "choices", "from_name": "label", "value": {"choices": [label]}}],
                "created_at": "2026-01-02T03:04:05Z",
                "lead_time": 2.5,
            }
            for annotator, label in answers
        ],
        **more,
    }


def bring(
    queue: LabelingQueue, tasks: Any, tool: str = "label_studio", actor: Any = None, **options: Any
) -> LabelImport:
    data = tasks if isinstance(tasks, bytes) else json.dumps(tasks).encode()
    return import_label_file(
        queue=queue,
        source=io.BytesIO(data),
        tool=tool,
        actor=actor,
        file_name="labels.json",
        options=LabelImportOptions(**options),
    )


def labels(queue: LabelingQueue) -> list[tuple[Any, ...]]:
    rows = Label.objects.filter(queue=queue).order_by("example__ordinal", "annotator")
    return list(rows.values_list("example__external_id", "annotator", "value__label"))


def test_import__several_annotators__are_kept_settled_and_count(
    queue_factory: Make, labelers: list[Any]
) -> None:
    queue = queue_factory(overlap=2)
    tasks = [
        task("question 1", ("labeler", "a"), ("guest", "a")),
        task("question 2", ("labeler", "a"), ("guest", "b"), ("third", "b")),
        task("question 3", ("guest", "c")),
    ]
    result = bring(queue, tasks, annotator="")
    assert (result.tasks, result.added, result.annotators, result.refused) == (3, 6, 3, 0)
    assert labels(queue) == [
        ("t1", "guest", "a"),
        ("t1", "labeler", "a"),
        ("t2", "guest", "b"),
        ("t2", "labeler", "a"),
        ("t2", "third", "b"),
        ("t3", "guest", "c"),
    ]
    one = Label.objects.get(item=item_of(queue, "t1"), annotator="labeler")
    assert (one.labeler, one.source, one.duration_ms) == (labelers[0], "import", 2500)
    assert one.labeled_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert Label.objects.get(item=item_of(queue, "t1"), annotator="guest").labeler is None
    states = [(i.state, i.label_count, i.open_slots) for i in (item_of(queue, f"t{n}") for n in (1, 2, 3))]
    assert states == [("adopted", 2, 0), ("review", 3, 0), ("open", 1, 1)]
    assert Example.objects.get(identity__external_id="t1").expected_output == {"label": "a"}
    assert Review.objects.get().item == item_of(queue, "t2")
    said = LabelHistory.objects.filter(event="imported").values_list("label_type", "source")
    assert set(said) == {("output", "import")}
    assert AuditEvent.objects.filter(action="labels.import").count() == 1
    assert verify_labels(deep=True).errors == []
    assert [t.shown.external_id for t in take(queue, labelers[0], 2)] == ["t3", "t4"]


def test_import__nothing_in_the_file__is_told(queue_factory: Make) -> None:
    with pytest.raises(LabelFileRefused, match=r"^The file holds nothing: found no task in it"):
        bring(queue_factory(), [])


def test_import__the_same_file_twice__adds_nothing(queue_factory: Make) -> None:
    queue = queue_factory(overlap=2)
    tasks = [task("question 1", ("guest", "a")), task("question 2", ("guest", "b"))]
    bring(queue, tasks)
    before = LabelHistory.objects.count()
    again = bring(queue, tasks)
    assert (again.added, again.changed, again.same) == (0, 0, 2)
    assert LabelHistory.objects.count() == before
    changed = bring(queue, [task("question 1", ("guest", "c"))])
    assert (changed.added, changed.changed) == (0, 1)
    newest = LabelHistory.objects.order_by("-id")[0]
    assert (newest.event, newest.label_value, newest.previous_value) == (
        "imported",
        {"label": "c"},
        {"label": "a"},
    )
    assert verify_labels().errors == []


@pytest.mark.parametrize(
    "known",
    [
        {"meta": {"external_id": "t4"}},
        {"data": {"text": "question 4", "extra": 1}},
        {"data": {"words": "question 4"}},
        {"data": {"image": 5}, "id": "t4"},
    ],
    ids=["external id", "more data", "another name", "the tool's number"],
)
def test_import__an_example_by__id_or_input__is_found(queue_factory: Make, known: dict[str, Any]) -> None:
    queue = queue_factory()
    bring(queue, [{**task("question 4", ("guest", "a")), **known}])
    assert labels(queue) == [("t4", "guest", "a")]


def test_import__a_tools_number_that_is_an_id_here__is_not_believed_against_the_text(
    queue_factory: Make, dataset: Dataset
) -> None:
    bulk_upsert(branch=dataset.main, documents=[{"id": "7", "input": {"text": "seven"}}], actor=None)
    queue = queue_factory()
    bring(queue, [task("question 2", ("guest", "a"), id=7)])
    assert labels(queue) == [("t2", "guest", "a")]


def test_import__an_id_with_another_text__is_labeled_and_reviewed_as_changed(queue_factory: Make) -> None:
    queue = queue_factory()
    result = bring(queue, [task("question 2, older", ("guest", "a"), meta={"external_id": "t2"})])
    assert result.other_input == 1
    assert Review.objects.get().reason == "changed"
    assert labels(queue) == [("t2", "guest", "a")]


def test_import__equal_inputs_of_two_examples__must_be_named(queue_factory: Make, dataset: Dataset) -> None:
    bulk_upsert(branch=dataset.main, documents=[{"id": "twin", "input": {"text": "question 1"}}], actor=None)
    queue = queue_factory()
    with pytest.raises(LabelFileRefused, match="task 1: several examples have this very input"):
        bring(queue, [task("question 1", ("guest", "a"))])
    bring(queue, [task("question 1", ("guest", "a"), id="twin")])
    assert labels(queue) == [("twin", "guest", "a")]


BAD = [
    task("question 1", ("guest", "a")),
    task("unheard of", ("guest", "a")),
    {
        "data": {"text": "question 2"},
        "annotations": [
            {"completed_by": 1, "result": [{"type": "rating", "from_name": "stars", "value": {"rating": 3}}]}
        ],
    },
    [1],
]


def test_import__bad_rows__stop_it_and_are_told_with_place_and_cause(queue_factory: Make) -> None:
    queue = queue_factory()
    with pytest.raises(LabelFileRefused) as caught:
        bring(queue, BAD)
    assert caught.value.details["problems"] == [
        "task 3: “user 1”: $.output.label: found 3, expected a string.",
        "task 4: found list, expected an object.",
    ]
    assert not Label.objects.exists()
    with pytest.raises(
        LabelFileRefused, match="task 2: no example of the queue fits the task: neither its id nor"
    ):
        bring(queue, BAD[:2])
    assert not LabelHistory.objects.exists()


def test_import__skipping__brings_in_the_rest_and_writes_a_report(
    queue_factory: Make, tmp_path: Path
) -> None:
    queue = queue_factory()
    report = tmp_path / "refused.jsonl"
    result = bring(queue, BAD, on_error="skip", report_path=report)
    assert (result.added, result.refused, result.report_path) == (1, 3, str(report))
    assert [json.loads(line)["place"] for line in report.read_text().splitlines()] == [
        "task 3",
        "task 4",
        "task 2",
    ]
    assert list(tmp_path.iterdir()) == [report]


def test_import__dry_run__tells_all_and_changes_nothing(queue_factory: Make) -> None:
    queue = queue_factory()
    result = bring(queue, BAD, dry_run=True)
    assert (result.added, result.refused, len(result.problems)) == (1, 3, 3)
    assert not Label.objects.exists()
    assert not AuditEvent.objects.filter(action="labels.import").exists()


def test_import__tasks_that_nothing_fits__become_examples_on_request(
    queue_factory: Make, dataset: Dataset
) -> None:
    queue = queue_factory()
    tasks = [
        task("unheard of", ("guest", "a"), ("other", "a")),
        task("new too", ("guest", "b"), meta={"external_id": "n1"}),
    ]
    result = bring(queue, tasks, add_examples=True)
    assert (result.added, result.examples_added, result.refused) == (3, 2, 0)
    made = Example.objects.filter(branch=dataset.main).order_by("-ordinal")[:2]
    assert {(e.validation_status, e.input_data["text"]) for e in made} == {
        ("pending", "unheard of"),
        ("pending", "new too"),
    }
    assert ("n1", "guest", "b") in labels(queue)


def test_import__adding_examples__never_writes_over_one_that_the_queue_leaves_out(
    queue_factory: Make, dataset: Dataset
) -> None:
    queue = queue_factory(filters={"text": "question 1"})
    left_out = task("another text", ("guest", "a"), meta={"external_id": "t5"})
    with pytest.raises(LabelFileRefused, match="the dataset has the example “t5”, but not the queue"):
        bring(queue, [left_out], add_examples=True)
    with pytest.raises(LabelFileRefused, match="the dataset has the example, but not the queue"):
        bring(queue, [task("question 6", ("guest", "a"))], add_examples=True)
    bulk_upsert(branch=dataset.main, documents=[{"id": "7", "input": {"text": "seven"}}], actor=None)
    bring(queue, [task("question 1 of a number of another tool", ("guest", "a"), id=7)], add_examples=True)
    assert Example.objects.get(identity__external_id="t5").input_data == {"text": "question 5"}
    assert Example.objects.get(identity__external_id="7").input_data == {"text": "seven"}
    assert Label.objects.get().example.external_id is None


def test_import__over_a_label_that_the_person_gave_here__is_refused(
    queue_factory: Make, labelers: list[Any]
) -> None:
    queue = queue_factory(overlap=2)
    answer(queue, labelers[0], "mine")
    with pytest.raises(LabelFileRefused, match="“labeler” gave another answer here"):
        bring(queue, [task("question 1", ("labeler", "a"))])
    assert bring(queue, [task("question 1", ("labeler", "mine"))]).same == 1
    assert labels(queue) == [("t1", "labeler", "mine")]


def test_import__one_annotator_twice__counts_the_newest(queue_factory: Make) -> None:
    queue = queue_factory()
    made = task("question 1", ("guest", "old"), ("guest", "new"))
    made["annotations"][1]["created_at"] = "2026-02-01T00:00:00Z"
    result = bring(queue, [made])
    assert (result.added, result.superseded) == (1, 1)
    assert labels(queue) == [("t1", "guest", "new")]


def test_import__predictions__become_suggestions(queue_factory: Make) -> None:
    queue = queue_factory()
    made = task("question 1", ("guest", "a"))
    made["predictions"] = [{"model_version": "m1", "score": 0.75, "result": made["annotations"][0]["result"]}]
    assert bring(queue, [made]).suggestions == 1
    suggestion = Suggestion.objects.get()
    assert (suggestion.source, suggestion.value, float(suggestion.confidence or 0)) == (
        "m1",
        {"label": "a"},
        0.75,
    )
    assert bring(queue, [made]).suggestions == 0


def test_import__a_rejected_yes_or_no__is_the_other_value_where_there_are_two(
    queue_factory: Make, dataset: Dataset
) -> None:
    kind = dataset.default_type
    assert kind is not None
    kind.output_schema = {
        "type": "object",
        "properties": {"label": {"enum": ["spam", "ham"]}},
        "required": ["label"],
    }
    kind.save()
    queue = queue_factory()
    line = {"text": "question 1", "label": "spam", "answer": "reject", "_session_id": "guest"}
    bring(queue, line, tool="prodigy")
    assert labels(queue) == [("t1", "guest", "ham")]


@pytest.mark.parametrize("tool", list(TOOLS))
def test_export__brought_into_an_empty_queue__is_every_annotators_label_again(
    queue_factory: Make, labelers: list[Any], tool: str
) -> None:
    queue, other = queue_factory(overlap=2), queue_factory(overlap=2)
    for labeler in labelers[:2]:
        for label in ("a", "b \n “x”"):
            answer(queue, labeler, label, confidence=0.5, notes="why", duration_ms=1234)
    bring(queue, [task("question 5", ("guest", "g"))])
    file = io.BytesIO()
    told = export_label_file(queue=queue, tool=tool, file=file, actor=None)
    assert (told.tasks, told.labels, told.left_out) == (3, 5, 0)
    file.seek(0)
    result = import_label_file(queue=other, source=file, tool=tool, actor=None)
    assert (result.added, result.other_input) == (5, 0)
    fields = ("example", "annotator", "labeler", "value", "confidence", "notes", "duration_ms", "labeled_at")
    mine, theirs = (
        list(Label.objects.filter(queue=q).order_by("example", "annotator").values_list(*fields))
        for q in (queue, other)
    )
    assert mine == theirs
    hashes = [
        set(Label.objects.filter(queue=q).values_list("content_hash", flat=True)) for q in (queue, other)
    ]
    assert {bytes(h) for h in hashes[0]} == {bytes(h) for h in hashes[1]}
    assert set(Consensus.objects.values_list("item__queue", flat=True)) == {queue.pk, other.pk}
    assert verify_labels().errors == []


def test_export__with_what_is_not_labeled__has_all_examples_and_e_mail_addresses_on_request(
    queue_factory: Make, labelers: list[Any]
) -> None:
    queue = queue_factory()
    labelers[0].email = "labeler@example.org"
    labelers[0].save()
    answer(queue, labelers[0], "a")
    file = io.BytesIO()
    export_label_file(
        queue=queue,
        tool="label_studio",
        file=file,
        actor=None,
        options=LabelExportOptions(unlabeled=True, emails=True),
    )
    tasks = json.loads(file.getvalue())
    assert [len(t["annotations"]) for t in tasks] == [1, *[0] * 9]
    who = tasks[0]["annotations"][0]["completed_by"]
    assert (who["email"], who["username"]) == ("labeler@example.org", "labeler")
    assert "example.org" not in _exported(queue, "label_studio")


def _exported(queue: LabelingQueue, tool: str) -> str:
    file = io.BytesIO()
    export_label_file(queue=queue, tool=tool, file=file, actor=None)
    return file.getvalue().decode()


@pytest.mark.parametrize(
    ("role", "may_import", "may_export"),
    [("labeler", False, False), ("reviewer", False, True), ("viewer", False, False), ("curator", True, True)],
)
def test_files__by_role__need_import_to_come_in_and_review_to_go_out(
    queue_factory: Make, person: Callable[..., Any], role: str, may_import: bool, may_export: bool
) -> None:
    queue, actor = queue_factory(), person(role)

    def allowed(work: Callable[[], Any]) -> bool:
        try:
            work()
        except Forbidden:
            return False
        return True

    assert allowed(lambda: bring(queue, [task("question 1", ("guest", "a"))], actor=actor)) is may_import
    assert (
        allowed(lambda: export_label_file(queue=queue, tool="prodigy", file=io.BytesIO(), actor=actor))
        is may_export
    )


def test_files__of_another_tool_or_a_wrong_option__are_told_plainly(queue_factory: Make) -> None:
    queue = queue_factory()
    with pytest.raises(
        BadInput, match="Tool: found “brat”, expected one of label_studio, argilla, doccano, prodigy"
    ):
        bring(queue, [], tool="brat")
    with pytest.raises(BadInput, match="expected stop or skip"):
        bring(queue, [], on_error="ignore")
    with pytest.raises(LabelFileRefused, match="“confidence” is no field of the answer; there are: label"):
        bring(
            queue,
            [
                {
                    **task("question 1"),
                    "annotations": [
                        {
                            "result": [
                                {"type": "number", "from_name": "confidence", "value": {"number": 3}},
                                {"type": "choices", "from_name": "label", "value": {"choices": ["a"]}},
                            ]
                        }
                    ],
                }
            ],
        )
    assert export_name(queue, "doccano") == "texts-queue-1-doccano.zip"
