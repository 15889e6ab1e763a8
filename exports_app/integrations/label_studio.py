"""Annotation files of Label Studio: its JSON export (tasks with annotations and predictions) and its JSON-MIN.

Read: choices, taxonomy, rating, number, textarea, pairwise and datetime results; whatever marks places in a text comes
as a list of {start, end, text, labels}. `completed_by` is a number, a name or {id, email, …}; lead_time is in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import orjson

from datasets_app.domain.canonical import canonical_text
from exports_app.integrations.annotated import (
    OURS,
    ExportRow,
    Given,
    Guess,
    Labeled,
    ReadTask,
    Unreadable,
    array_bytes,
    identity,
    json_items,
    milliseconds,
    moment,
    own_words,
    plain_id,
    share,
    told,
    words_of,
)
from exports_app.integrations.answer_shape import (
    BOOLEAN,
    CHOICE,
    CHOICES,
    NUMBER,
    AnswerShape,
    Part,
    shown_choice,
)

# type of a result → the key of its value
_PLAIN = {
    "choices": "choices",
    "taxonomy": "taxonomy",
    "rating": "rating",
    "number": "number",
    "textarea": "text",
    "datetime": "datetime",
    "pairwise": "selected",
    "ranker": "ranker",
}
_NOTES = ("notes", "note", "comment", "comments")
_OF_MIN = (
    "id",
    "annotator",
    "annotation_id",
    "created_at",
    "updated_at",
    "lead_time",
    "agreement",
    "file_upload",
    "inner_id",
    "meta",
    OURS,
)


class LabelStudio:
    """Label Studio, JSON and JSON-MIN."""

    name = "label_studio"
    title = "Label Studio"
    extension = "json"
    hint = "JSON or JSON-MIN, as its export gives them."

    def read(self, file: BinaryIO, default_annotator: str) -> Iterator[ReadTask | Unreadable]:
        for item in json_items(file):
            if isinstance(item, Unreadable):
                yield item
                continue
            place, task = item
            annotations = task.get("annotations", task.get("completions"))
            if annotations is None and "data" not in task:
                yield _minimal(place, task, default_annotator)
            elif not isinstance(task.get("data"), dict):
                yield Unreadable(place, "found no “data”, expected a task of Label Studio.")
            elif not isinstance(annotations or [], list) or not isinstance(
                task.get("predictions") or [], list
            ):
                yield Unreadable(place, "“annotations” and “predictions” have to be lists.")
            else:
                yield _task(place, task, annotations or [], default_annotator)

    def write(self, rows: Iterator[ExportRow], shape: AnswerShape, file: BinaryIO) -> None:
        annotations = 0

        def documents() -> Iterator[bytes]:
            nonlocal annotations
            people: dict[str, int] = {}
            for row in rows:
                for label in row.labels:
                    people.setdefault(label.annotator, len(people) + 1)
                yield orjson.dumps(_written(row, shape, people, annotations))
                annotations += len(row.labels)

        for block in array_bytes(documents()):
            file.write(block)


def _task(place: str, task: Mapping[str, Any], annotations: list[Any], default: str) -> ReadTask:
    given, left_out = [], []
    for annotation in annotations:
        if not isinstance(annotation, dict) or not isinstance(annotation.get("result"), list):
            left_out.append("no result")
        elif annotation.get("was_cancelled"):
            left_out.append("skipped by the annotator")
        elif not annotation["result"]:
            left_out.append("empty")
        else:
            given.append(_given(annotation, default))
    guesses = []
    for prediction in task.get("predictions") or []:
        if (
            isinstance(prediction, dict)
            and isinstance(prediction.get("result"), list)
            and prediction["result"]
        ):
            source = str(prediction.get("model_version") or "Label Studio")
            guesses.append(Guess(source, _answers(prediction["result"])[0], share(prediction.get("score"))))
    example, names = identity(task.get("meta"), task["data"])
    return ReadTask(
        place,
        task["data"],
        example,
        names,
        plain_id(task.get("id")),
        tuple(given),
        tuple(guesses),
        tuple(left_out),
    )


def _given(annotation: Mapping[str, Any], default: str) -> Given:
    answers, notes = _answers(annotation["result"])
    words = {
        "notes": notes,
        "duration_ms": milliseconds(annotation.get("lead_time")),
        "labeled_at": moment(annotation.get("created_at")),
    }
    return Given(
        _annotator(annotation.get("completed_by"), default), answers, **(words | own_words(annotation))
    )


def _annotator(who: Any, default: str) -> str:
    if isinstance(who, dict):
        for key in ("username", "email"):
            if isinstance(who.get(key), str) and who[key].strip():
                return str(who[key].strip())
        who = who.get("id")
    if isinstance(who, str) and who.strip():
        return who.strip()
    return f"user {who}" if isinstance(who, int) and not isinstance(who, bool) else default


def _answers(results: list[Any]) -> tuple[dict[str, Any], str]:
    """Return control → what it says, and the notes. A text field is notes when no other control is called so."""
    answers: dict[str, Any] = {}
    notes = ""
    for result in results:
        if not isinstance(result, dict) or not isinstance(result.get("value"), dict):
            continue
        kind, value = str(result.get("type", "")), result["value"]
        name = str(result.get("from_name") or kind)
        key = _PLAIN.get(kind)
        if kind == "textarea" and name.casefold() in _NOTES:
            text = value.get("text")
            notes = "\n".join(map(str, text)) if isinstance(text, list) else str(text or "")
        elif key is not None and "start" not in value:
            answers[name] = value.get(key)
        else:  # a place in a text
            answers.setdefault(name, [])
            if isinstance(answers[name], list):
                answers[name].append(value)
    return answers, notes


def _minimal(place: str, task: Mapping[str, Any], default: str) -> ReadTask:
    """A task of JSON-MIN: one annotation, data and answers side by side."""
    data = {key: value for key, value in task.items() if key not in _OF_MIN}
    answers = {
        key: value["choices"] if isinstance(value, dict) and "choices" in value else value
        for key, value in data.items()
    }
    words = {
        "duration_ms": milliseconds(task.get("lead_time")),
        "labeled_at": moment(task.get("created_at")),
    }
    given = Given(
        _annotator(task.get("annotator"), default), answers, loose=True, **(words | own_words(task))
    )
    example, names = identity(task.get("meta"), task)
    return ReadTask(place, data, example, names, plain_id(task.get("id")), (given,))


def _written(row: ExportRow, shape: AnswerShape, people: Mapping[str, int], before: int) -> dict[str, Any]:
    about = next((key for key, value in row.data.items() if isinstance(value, str)), "text")
    meta = {"golden_id": str(row.example)}
    if row.external_id is not None:
        meta["external_id"] = row.external_id
    return {
        "id": row.number,
        "data": row.data,
        "meta": meta,
        "annotations": [
            _annotation(label, shape, about, people[label.annotator], before + number, row.number)
            for number, label in enumerate(row.labels, 1)
        ],
        "predictions": [
            {
                "id": number,
                "model_version": one.source,
                "score": one.confidence,
                "result": _results(one.value, shape, about),
                "task": row.number,
            }
            for number, one in enumerate(row.suggestions, 1)
        ],
    }


def _annotation(
    label: Labeled, shape: AnswerShape, about: str, person: int, number: int, task: int
) -> dict[str, Any]:
    at = told(label.labeled_at)
    return {
        "id": number,
        "completed_by": {
            "id": person,
            "email": label.email or label.annotator,
            "username": label.annotator,
            "first_name": "",
            "last_name": "",
        },
        "result": _results(label.value, shape, about),
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": at,
        "updated_at": at,
        "lead_time": None if label.duration_ms is None else label.duration_ms / 1000,
        "task": task,
        OURS: words_of(label),
    }


def _results(value: Any, shape: AnswerShape, about: str) -> list[dict[str, Any]]:
    return [
        {"id": f"{about}-{name}", "from_name": name, "to_name": about, **_result(part, inner)}
        for name, (part, inner) in shape.texts(value).items()
    ]


def _result(part: Part | None, inner: Any) -> dict[str, Any]:
    kind = part.kind if part is not None else ""
    if kind in (CHOICE, BOOLEAN):
        return {"type": "choices", "value": {"choices": [shown_choice(inner)]}}
    if kind == CHOICES:
        return {"type": "choices", "value": {"choices": [shown_choice(one) for one in inner]}}
    if kind == NUMBER:
        return {"type": "number", "value": {"number": inner}}
    text = inner if isinstance(inner, str) else canonical_text(inner)
    return {"type": "textarea", "value": {"text": [text]}}
