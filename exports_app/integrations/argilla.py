"""Annotation files of Argilla: records as JSON, of version 2 (nested or flat) and of version 1 (feedback records, hub).

Written is the nested form of version 2: `responses` are {question: [{value, user_id}]}, `suggestions` are
{question: {value, score, agent}}. Argilla knows people by UUID, so a name that is none gets one made from it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import orjson

from datasets_app.domain.canonical import canonical_text
from exports_app.integrations.annotated import (
    OURS,
    ExportRow,
    Given,
    Guess,
    ReadTask,
    Unreadable,
    array_bytes,
    as_uuid,
    identity,
    json_items,
    own_words,
    share,
    words_of,
)
from exports_app.integrations.answer_shape import BOOLEAN, CHOICE, CHOICES, NUMBER, AnswerShape, shown_choice

_PEOPLE = uuid.UUID("7a0c4c0e-6f4b-5f0c-9d3e-0a6f9a4d1c55")
_RESPONSES, _SUGGESTION = ".responses", ".suggestion"
_NOT_GIVEN = ("draft", "discarded", "pending")
_HOUSEKEEPING = ("id", "status", "_server_id", "vectors", "metadata", "external_id", "golden_id", OURS)


class Argilla:
    """Argilla, JSON of its records."""

    name = "argilla"
    title = "Argilla"
    extension = "json"
    hint = "records.to_json(), records.to_list() as JSON, or the rows of a dataset on the hub as JSON lines."

    def read(self, file: BinaryIO, default_annotator: str) -> Iterator[ReadTask | Unreadable]:
        for item in json_items(file):
            if isinstance(item, Unreadable):
                yield item
                continue
            place, record = item
            answers = _Answers(default_annotator)
            try:
                data = _read(record, answers)
            except (TypeError, ValueError, AttributeError, KeyError) as error:
                yield Unreadable(place, f"found a record of another form ({error}), expected one of Argilla.")
                continue
            yield answers.task(place, record, data)

    def write(self, rows: Iterator[ExportRow], shape: AnswerShape, file: BinaryIO) -> None:
        for block in array_bytes(orjson.dumps(_written(row, shape)) for row in rows):
            file.write(block)


class _Answers:
    """What users and agents say about one record, gathered question by question."""

    def __init__(self, default: str) -> None:
        self._default = default
        self._given: dict[str, dict[str, Any]] = {}
        self._guesses: dict[str, tuple[dict[str, Any], list[float]]] = {}
        self._left_out: list[str] = []

    def response(self, user: Any, question: str, value: Any, status: Any = None) -> None:
        if isinstance(status, str) and status in _NOT_GIVEN:
            self._left_out.append(status)
        elif value is not None:
            name = str(user) if user is not None and str(user) not in ("", "None") else self._default
            self._given.setdefault(name, {})[question] = value

    def suggestion(self, agent: Any, question: str, value: Any, score: Any = None) -> None:
        if value is None:
            return
        answers, scores = self._guesses.setdefault(str(agent or "Argilla"), ({}, []))
        answers[question] = value
        if (confidence := share(score)) is not None:
            scores.append(confidence)

    def task(self, place: str, record: Mapping[str, Any], data: Mapping[str, Any]) -> ReadTask:
        ours = record.get(OURS) if isinstance(record.get(OURS), dict) else {}
        assert isinstance(ours, dict)
        given = []
        for user, answers in self._given.items():
            words = ours.get(user) if isinstance(ours.get(user), dict) else {}
            assert isinstance(words, dict)
            annotator = words.get("annotator")
            given.append(
                Given(
                    annotator if isinstance(annotator, str) and annotator else user,
                    answers,
                    **own_words({OURS: words}),
                )
            )
        example, names = identity(record.get("metadata"), record)
        own = record.get("id") or record.get("external_id")
        if isinstance(own, str | int) and not isinstance(own, bool):
            example = example or as_uuid(own)
            names = tuple(dict.fromkeys((*names, str(own))))
        return ReadTask(
            place,
            data,
            example,
            names,
            given=tuple(given),
            guesses=tuple(
                Guess(agent, answers, min(scores) if scores else None)
                for agent, (answers, scores) in self._guesses.items()
            ),
            left_out=tuple(self._left_out),
        )


def _read(record: Mapping[str, Any], answers: _Answers) -> Mapping[str, Any]:
    """Gather the answers of a record, whichever form it has; return its fields."""
    if isinstance(record.get("fields"), dict):
        if isinstance(record.get("responses"), dict) or isinstance(record.get("suggestions"), dict):
            _nested(record, answers)
        else:
            _feedback(record, answers)
        return dict(record["fields"])
    if any(isinstance(key, str) and (_RESPONSES in key or _SUGGESTION in key) for key in record):
        return _flat(record, answers)
    return _hub(record, answers)


def _nested(record: Mapping[str, Any], answers: _Answers) -> None:
    for question, responses in (record.get("responses") or {}).items():
        for one in responses:
            answers.response(one.get("user_id"), question, one["value"], one.get("status"))
    for question, one in (record.get("suggestions") or {}).items():
        answers.suggestion(one.get("agent"), question, one["value"], one.get("score"))


def _feedback(record: Mapping[str, Any], answers: _Answers) -> None:
    for response in record.get("responses") or []:
        if not response.get("values"):
            answers.response(response.get("user_id"), "", "", response.get("status", "discarded"))
        for question, value in (response.get("values") or {}).items():
            answers.response(response.get("user_id"), question, value["value"], response.get("status"))
    for one in record.get("suggestions") or []:
        answers.suggestion(one.get("agent"), one["question_name"], one["value"], one.get("score"))


def _flat(record: Mapping[str, Any], answers: _Answers) -> Mapping[str, Any]:
    data = {}
    for key, value in record.items():
        if key.endswith(_RESPONSES):
            users = record.get(f"{key}.users") or []
            states = record.get(f"{key}.status") or []
            for number, one in enumerate(value or []):
                user = users[number] if number < len(users) else None
                state = states[number] if number < len(states) else None
                answers.response(user, key.removesuffix(_RESPONSES), one, state)
        elif key.endswith(_SUGGESTION):
            agent, score = record.get(f"{key}.agent"), record.get(f"{key}.score")
            answers.suggestion(agent, key.removesuffix(_SUGGESTION), value, score)
        elif _RESPONSES not in key and _SUGGESTION not in key and key not in _HOUSEKEEPING:
            data[key] = value
    return data


def _hub(record: Mapping[str, Any], answers: _Answers) -> Mapping[str, Any]:
    """A row of version 1 on the hub: a question's column lists {user_id, value, status}, beside it its suggestion."""
    data = {}
    for key, value in record.items():
        if key.endswith(("-suggestion", "-suggestion-metadata")) or key in _HOUSEKEEPING:
            continue
        if isinstance(value, list) and value and all(isinstance(v, dict) and "user_id" in v for v in value):
            for one in value:
                answers.response(one["user_id"], key, one["value"], one.get("status"))
        elif f"{key}-suggestion" not in record:
            data[key] = value
        if record.get(f"{key}-suggestion") is not None:
            about = record.get(f"{key}-suggestion-metadata") or {}
            answers.suggestion(about.get("agent"), key, record[f"{key}-suggestion"], about.get("score"))
    return data


def user_id(annotator: str) -> str:
    """Return the UUID that stands for an annotator in files of Argilla: the name itself when it is one."""
    return str(as_uuid(annotator) or uuid.uuid5(_PEOPLE, annotator))


def _written(row: ExportRow, shape: AnswerShape) -> dict[str, Any]:
    responses: dict[str, list[dict[str, Any]]] = {}
    ours = {}
    for label in row.labels:
        user = user_id(label.annotator)
        for question, value in _questions(label.value, shape):
            responses.setdefault(question, []).append({"value": value, "user_id": user})
        ours[user] = {"annotator": label.annotator, **words_of(label)}
    suggestions = {}
    for one in row.suggestions[:1]:  # a record of Argilla has one suggestion a question
        for question, value in _questions(one.value, shape):
            suggestions[question] = {"value": value, "score": one.confidence, "agent": one.source}
    return {
        "id": row.external_id or str(row.example),
        "fields": {
            key: value if isinstance(value, str) else canonical_text(value) for key, value in row.data.items()
        },
        "metadata": {"golden_id": str(row.example)},
        "suggestions": suggestions,
        "responses": responses,
        "vectors": {},
        "_server_id": None,
        OURS: ours,
    }


def _questions(value: Any, shape: AnswerShape) -> Iterator[tuple[str, Any]]:
    for name, (part, inner) in shape.texts(value).items():
        kind = part.kind if part is not None else ""
        if kind in (CHOICE, BOOLEAN):
            yield name, shown_choice(inner)
        elif kind == CHOICES:
            yield name, [shown_choice(one) for one in inner]
        elif kind == NUMBER:
            yield name, inner
        else:
            yield name, inner if isinstance(inner, str) else canonical_text(inner)
