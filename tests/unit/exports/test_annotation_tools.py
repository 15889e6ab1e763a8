"""Files of annotation tools: what is written is read again as it was, and files of the tools themselves are understood."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_app.errors import MalformedRow
from exports_app.integrations.annotated import (
    ExportRow,
    Labeled,
    ReadTask,
    Suggested,
    Unreadable,
    json_items,
)
from exports_app.integrations.answer_shape import AnswerShape, NoSuchField, shape_of
from exports_app.integrations.argilla import user_id
from exports_app.integrations.tools import TOOLS, tool_called
from labeling_app.domain.answer_fields import answer_fields

SCHEMAS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "class": ({"type": "object", "properties": {"label": {"type": "string"}}}, ("label",)),
    "enum": (
        {
            "type": "object",
            "properties": {
                "tier": {"enum": ["hot", "cold"]},
                "score": {"type": "number"},
                "sure": {"type": "boolean"},
                "why": {"type": "string"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "deep": {"type": "object", "properties": {"level": {"enum": [1, 2, 3]}}},
                "more": {"type": "array", "items": {"type": "object"}},
            },
        },
        ("tier",),
    ),
    "number": ({"type": "number"}, ()),
}
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
NUMBER = st.integers(-1000, 1000) | st.floats(-1e6, 1e6).filter(lambda x: not x.is_integer())
VALUES = {
    "class": st.fixed_dictionaries({"label": TEXT}),
    "enum": st.fixed_dictionaries(
        {"tier": st.sampled_from(["hot", "cold"])},
        optional={
            "score": NUMBER,
            "sure": st.booleans(),
            "why": TEXT | st.none(),
            "tags": st.lists(TEXT, max_size=3),
            "deep": st.fixed_dictionaries({"level": st.sampled_from([1, 2, 3])}),
            "more": st.lists(st.dictionaries(TEXT, NUMBER | TEXT, max_size=2), max_size=2),
        },
    ),
    "number": NUMBER,
}
MOMENTS = st.datetimes(datetime(2001, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


def shape(name: str) -> AnswerShape:
    schema, path = SCHEMAS[name]
    return shape_of(answer_fields(schema, class_path=path), schema, class_path=path, root="answer")


@st.composite
def rows(draw: st.DrawFn, kind: str) -> list[ExportRow]:
    names = ["labeler", "second-labeler", "ä b/../c", "x@example.org", "all"]
    made = []
    for number in range(1, draw(st.integers(0, 3)) + 1):
        labels = [
            Labeled(
                annotator,
                draw(VALUES[kind]),
                draw(st.none() | st.sampled_from([0.0, 0.25, 1.0])),
                draw(TEXT).strip(),
                draw(st.none() | st.integers(0, 10**6)),
                draw(MOMENTS),
            )
            for annotator in draw(st.lists(st.sampled_from(names), unique=True, min_size=1, max_size=3))
        ]
        made.append(
            ExportRow(
                number,
                uuid.UUID(int=number),
                draw(st.none() | TEXT.filter(bool)),
                draw(st.sampled_from([{"text": "one"}, {"question": "two", "n": 1}, {"a": {"b": []}}])),
                tuple(sorted(labels, key=lambda one: one.annotator)),
                (Suggested("model 1", draw(VALUES[kind]), 0.5),),
            )
        )
    return made


def written(tool: str, rows: list[ExportRow], kind: str) -> bytes:
    file = io.BytesIO()
    TOOLS[tool].write(iter(rows), shape(kind), file)
    return file.getvalue()


def read(tool: str, data: bytes) -> list[Any]:
    return list(TOOLS[tool].read(io.BytesIO(data), "nobody"))


@pytest.mark.parametrize("tool", list(TOOLS))
@pytest.mark.parametrize("kind", list(SCHEMAS))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_tools__what_is_written__is_read_again_as_it_was(tool: str, kind: str, data: st.DataObject) -> None:
    made = data.draw(rows(kind))
    answers = shape(kind)
    found: dict[tuple[uuid.UUID, str], Labeled] = {}
    guessed = {}
    for task in read(tool, written(tool, made, kind)):
        assert isinstance(task, ReadTask), task
        assert task.example is not None
        row = made[task.example.int - 1]
        assert row.external_id is None or row.external_id in task.external_ids
        if tool != "argilla":  # whose fields are texts
            assert task.data == row.data
        for one in task.given:
            said = answers.compose(one.answers, loose=one.loose)
            key = (task.example, one.annotator)
            assert key not in found
            found[key] = Labeled(
                one.annotator, said, one.confidence, one.notes, one.duration_ms, one.labeled_at
            )
        for guess in task.guesses:
            guessed[task.example] = Suggested(guess.source, answers.compose(guess.answers), guess.confidence)
    assert found == {(row.example, label.annotator): label for row in made for label in row.labels}
    if tool in ("label_studio", "argilla"):
        assert guessed == {row.example: row.suggestions[0] for row in made}


def test_label_studio__its_own_export__keeps_annotators_times_and_predictions() -> None:
    task = {
        "id": 7,
        "data": {"text": "one"},
        "annotations": [
            {
                "completed_by": {"id": 3, "email": "labeler@example.org"},
                "result": [
                    {"type": "choices", "from_name": "sentiment", "value": {"choices": ["good"]}},
                    {"type": "textarea", "from_name": "notes", "value": {"text": ["as it says"]}},
                ],
                "was_cancelled": False,
                "created_at": "2021-07-06T06:06:25.927570Z",
                "lead_time": 4.288,
            },
            {"completed_by": 5, "result": [{"type": "rating", "from_name": "stars", "value": {"rating": 4}}]},
            {"completed_by": 6, "result": [], "was_cancelled": True},
        ],
        "predictions": [
            {
                "model_version": "m1",
                "score": 0.7,
                "result": [{"type": "choices", "from_name": "s", "value": {"choices": ["bad"]}}],
            }
        ],
    }
    (found,) = read("label_studio", json.dumps([task]).encode())
    assert (found.place, found.own_id, found.left_out) == ("task 1", "7", ("skipped by the annotator",))
    first, second = found.given
    assert (first.annotator, first.answers, first.notes) == (
        "labeler@example.org",
        {"sentiment": ["good"]},
        "as it says",
    )
    assert (first.duration_ms, first.labeled_at) == (4288, datetime(2021, 7, 6, 6, 6, 25, 927570, UTC))
    assert (second.annotator, second.answers) == ("user 5", {"stars": 4})
    assert [(g.source, g.answers, g.confidence) for g in found.guesses] == [("m1", {"s": ["bad"]}, 0.7)]


def test_label_studio__json_min__has_answers_among_the_data() -> None:
    line = {"id": 1, "text": "one", "label": "good", "annotator": 2, "lead_time": 1.5, "annotation_id": 9}
    (found,) = read("label_studio", json.dumps([line]).encode())
    (given,) = found.given
    assert shape("class").compose(given.answers, loose=given.loose) == {"label": "good"}
    assert (given.annotator, given.duration_ms, found.data["text"]) == ("user 2", 1500, "one")


@pytest.mark.parametrize(
    ("name", "annotator", "control"),
    [
        ("previous_export.json", "annotator_from_past@project.com", "label"),
        ("test_export_json_min_data.json", "user 1", "label"),
        ("test_export_csv_csv_test.json", "hakan@heartex.com", "label"),
    ],
)
def test_label_studio__real_files__are_read(
    shared_data: Path, name: str, annotator: str, control: str
) -> None:
    tasks = read("label_studio", (shared_data / "formats" / "label_studio" / name).read_bytes())
    assert all(isinstance(task, ReadTask) for task in tasks)
    assert {one.annotator for task in tasks for one in task.given} >= {annotator}
    assert control in tasks[0].given[0].answers


@pytest.mark.parametrize(
    ("record", "data"),
    [
        (
            {
                "id": "r1",
                "fields": {"text": "one"},
                "responses": {
                    "label": [{"value": "good", "user_id": "u1"}, {"value": "bad", "user_id": "u2"}]
                },
                "suggestions": {"label": {"value": "bad", "score": 0.4, "agent": "m"}},
            },
            {"text": "one"},
        ),
        (
            {
                "id": "r1",
                "_server_id": "s",
                "status": "completed",
                "text": "one",
                "label.responses": ["good", "bad", "worse"],
                "label.responses.users": ["u1", "u2", "u3"],
                "label.responses.status": ["submitted", "submitted", "draft"],
                "label.suggestion": "bad",
                "label.suggestion.score": 0.4,
                "label.suggestion.agent": "m",
            },
            {"text": "one"},
        ),
        (
            {
                "external_id": "r1",
                "fields": {"text": "one"},
                "responses": [
                    {"user_id": "u1", "status": "submitted", "values": {"label": {"value": "good"}}},
                    {"user_id": "u2", "status": "submitted", "values": {"label": {"value": "bad"}}},
                    {"user_id": "u3", "status": "discarded", "values": {}},
                ],
                "suggestions": [{"question_name": "label", "value": "bad", "score": 0.4, "agent": "m"}],
            },
            {"text": "one"},
        ),
        (
            {
                "external_id": "r1",
                "text": "one",
                "label": [
                    {"user_id": "u1", "value": "good", "status": "submitted"},
                    {"user_id": "u2", "value": "bad", "status": "submitted"},
                ],
                "label-suggestion": "bad",
                "label-suggestion-metadata": {"agent": "m", "score": 0.4},
            },
            {"text": "one"},
        ),
    ],
    ids=["version 2", "version 2, flat", "version 1", "version 1, hub"],
)
def test_argilla__each_of_its_forms__keeps_every_user(record: dict[str, Any], data: dict[str, Any]) -> None:
    (found,) = read("argilla", json.dumps(record).encode())
    assert [(one.annotator, one.answers) for one in found.given] == [
        ("u1", {"label": "good"}),
        ("u2", {"label": "bad"}),
    ]
    assert [(g.source, g.answers, g.confidence) for g in found.guesses] == [("m", {"label": "bad"}, 0.4)]
    assert (found.data, found.external_ids) == (data, ("r1",))


def test_argilla__names__are_uuids_there_and_uuids_stay() -> None:
    known = str(uuid.UUID(int=5))
    assert user_id(known) == known
    assert user_id("labeler") == user_id("labeler") != user_id("second-labeler")


def test_doccano__zip_of_annotators__names_each_after_its_file() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("labeler.jsonl", '{"id":1,"text":"one","label":["good"],"Comments":["sure"]}\n')
        archive.writestr(
            "all.jsonl", '{"id":1,"text":"one","label":[]}\n{"id":2,"text":"two","label":["bad"]}\n'
        )
    found = read("doccano", file.getvalue())
    told = [(t.place, [(g.annotator, g.answers, g.notes) for g in t.given], t.left_out) for t in found]
    assert told == [
        ("all.jsonl, line 1", [], ("empty",)),
        ("all.jsonl, line 2", [("nobody", {"label": ["bad"]}, "")], ()),
        ("labeler.jsonl, line 1", [("labeler", {"label": ["good"]}, "sure")], ()),
    ]


def test_doccano__written_for_names_that_are_paths__stays_in_its_zip() -> None:
    row = ExportRow(1, uuid.UUID(int=1), None, {"text": "one"}, (Labeled("../../etc/x", {"label": "a"}),))
    with zipfile.ZipFile(io.BytesIO(written("doccano", [row], "class"))) as archive:
        assert archive.namelist() == ["etc_x.jsonl"]


@pytest.mark.parametrize(
    ("record", "answers", "left_out"),
    [
        ({"label": "good", "answer": "accept"}, {"label": "good"}, ()),
        ({"label": "good", "answer": "reject"}, {"rejected": "good"}, ()),
        ({"label": "good", "answer": "ignore"}, None, ("ignored by the annotator",)),
        (
            {
                "options": [{"id": 1, "text": "good"}, {"id": 2, "text": "bad"}],
                "accept": [2],
                "answer": "accept",
            },
            {"label": ["bad"]},
            (),
        ),
        ({"accept": ["good"], "answer": "accept"}, {"label": ["good"]}, ()),
        ({"accept": ["good"], "answer": "reject"}, None, ("rejected",)),
        (
            {"spans": [{"start": 0, "end": 3, "label": "X"}], "answer": "accept"},
            {"spans": [{"start": 0, "end": 3, "label": "X"}]},
            (),
        ),
    ],
)
def test_prodigy__answers__are_taken_left_out_or_turned_round(
    record: dict[str, Any], answers: dict[str, Any] | None, left_out: tuple[str, ...]
) -> None:
    line = {
        "text": "one",
        "_timestamp": 1707211049,
        "_annotator_id": "set-labeler",
        "_input_hash": -9,
        **record,
    }
    (found,) = read("prodigy", json.dumps(line).encode())
    assert [one.answers for one in found.given] == ([] if answers is None else [answers])
    assert found.left_out == left_out
    if answers:
        assert (found.given[0].annotator, found.given[0].labeled_at) == (
            "set-labeler",
            datetime(2024, 2, 6, 9, 17, 29, tzinfo=UTC),
        )


@pytest.mark.parametrize(
    ("answers", "value"),
    [
        ({"Tier": ["cold"], "score": "3"}, {"tier": "cold", "score": 3}),
        ({"sentiment": ["hot"], "sure": ["yes"]}, {"tier": "hot", "sure": True}),
        ({"level": "2", "tags": "a"}, {"deep": {"level": 2}, "tags": ["a"]}),
        ({"tier": ["warmth", "hot"], "more": '[{"a":1}]'}, {"tier": "hot", "more": [{"a": 1}]}),
        ({"tier": "lukewarm", "why": ["one", "two"]}, {"tier": "lukewarm", "why": "one\ntwo"}),
        ({"answer": '{"tier":"hot"}'}, {"tier": "hot"}),
    ],
)
def test_compose__what_controls_say__becomes_the_answer_of_the_type(
    answers: dict[str, Any], value: Any
) -> None:
    assert shape("enum").compose(answers) == value


def test_compose__controls_that_are_no_field__are_named_with_those_there_are() -> None:
    with pytest.raises(
        NoSuchField, match="“x” is no field of the answer; there are: deep.level, more, score"
    ):
        shape("enum").compose({"x": 1, "y": 2})
    assert shape("enum").compose({"x": 1, "tier": "hot"}, loose=True) == {"tier": "hot"}
    with pytest.raises(NoSuchField, match="None of the fields"):
        shape("enum").compose({"x": 1}, loose=True)


def test_json_items__arrays_lines_and_one_object__are_all_read() -> None:
    for text in ('[{"a": 1},\n {"a": "]"}]', '{"a":1}\n\n{"a":"]"}\n', '\ufeff[{"a":1},{"a":"]"} ]'):
        found = [
            item[1] for item in json_items(io.BytesIO(text.encode())) if not isinstance(item, Unreadable)
        ]
        assert found == [{"a": 1}, {"a": "]"}]
    (one,) = json_items(io.BytesIO(b'{\n "a": 1\n}\n'))
    assert one == ("task 1", {"a": 1})
    assert list(json_items(io.BytesIO(b"[]"))) == []


def test_json_items__an_array_larger_than_the_window__is_read_whole() -> None:
    many = [{"n": n, "text": "ü" * 500} for n in range(3000)]
    found = [
        item[1]
        for item in json_items(io.BytesIO(json.dumps(many).encode()))
        if not isinstance(item, Unreadable)
    ]
    assert found == many


def test_json_items__what_is_bad__is_told_with_its_place() -> None:
    assert list(json_items(io.BytesIO(b'{"a":1}\n{"a":\n[1]\n'))) == [
        ("line 1", {"a": 1}),
        Unreadable("line 2", "$.a: found the end of the text at character 6, expected a JSON value."),
        Unreadable("line 3", "found list, expected an object."),
    ]
    with pytest.raises(MalformedRow, match="Task 2: no JSON"):
        list(json_items(io.BytesIO(b'[{"a":1},{"a"')))


def test_label_studio__annotators_told_by_name__are_kept_apart() -> None:
    result = [{"type": "choices", "from_name": "label", "value": {"choices": ["a"]}}]
    task = {
        "data": {"text": "x"},
        "annotations": [
            {"completed_by": name, "result": result} for name in ("labeler", " reviewer ", "", 7)
        ],
    }
    (read,) = tool_called("label_studio").read(io.BytesIO(json.dumps([task]).encode()), "file")
    assert isinstance(read, ReadTask)
    assert [one.annotator for one in read.given] == ["labeler", "reviewer", "file", "user 7"]
