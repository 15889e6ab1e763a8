"""Annotation files of Prodigy: JSON lines, one for each answer of an annotator.

`answer` is accept, reject or ignore; a choice is in `accept`, a yes-or-no question in `label`, other controls lie beside
them by name, spans in `spans`. The annotator is `_annotator_id`, in older files `_session_id`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO
from zlib import crc32

import orjson

from datasets_app.domain.canonical import canonical_text
from exports_app.integrations.annotated import (
    OURS,
    ExportRow,
    Given,
    Labeled,
    ReadTask,
    Unreadable,
    by_control,
    identity,
    json_items,
    keys_for,
    moment,
    own_words,
    plain_id,
    words_of,
)
from exports_app.integrations.answer_shape import CHOICE, CHOICES, AnswerShape, Part

REJECTED = "rejected"
"""Key of Given.answers: the value that the annotator said no to."""
_OF_TASK = ("id", "meta", "options", "accept", "answer", "label", "spans", "tokens", "html", OURS, "versions")


class Prodigy:
    """Prodigy, JSONL of its db-out."""

    name = "prodigy"
    title = "Prodigy"
    extension = "jsonl"
    hint = "JSONL, as db-out gives it."

    def read(self, file: BinaryIO, default_annotator: str) -> Iterator[ReadTask | Unreadable]:
        for item in json_items(file):
            if isinstance(item, Unreadable):
                yield item
            else:
                yield _task(*item, default_annotator)

    def write(self, rows: Iterator[ExportRow], shape: AnswerShape, file: BinaryIO) -> None:
        for row in rows:
            if not row.labels:
                file.write(orjson.dumps(_head(row)) + b"\n")
            for label in row.labels:
                file.write(orjson.dumps(_written(row, label, shape)) + b"\n")


def _task(place: str, record: Mapping[str, Any], default: str) -> ReadTask:
    data = {key: value for key, value in record.items() if key not in _OF_TASK and not key.startswith("_")}
    example, names = identity(record.get("meta"), record)
    given, left_out = [], []
    answer = record.get("answer")
    if answer == "ignore":
        left_out.append("ignored by the annotator")
    elif answer is not None or "accept" in record:
        answers, loose = _answers(record, data, rejected=answer == "reject")
        if answers:
            words = {"labeled_at": moment(record.get("_timestamp"))} | own_words(record)
            given.append(Given(_annotator(record, default), answers, loose=loose, **words))
        else:
            left_out.append("rejected" if answer == "reject" else "empty")
    ours = record.get(OURS)
    if isinstance(ours, dict) and isinstance(ours.get("controls"), dict):
        data = {key: value for key, value in data.items() if key not in ours["controls"].values()}
    if isinstance(ours, dict) and isinstance(ours.get("data"), dict):
        data = ours["data"]
    return ReadTask(
        place, data, example, names, plain_id(record.get("id")), tuple(given), left_out=tuple(left_out)
    )


def _answers(
    record: Mapping[str, Any], data: Mapping[str, Any], *, rejected: bool
) -> tuple[dict[str, Any], bool]:
    """Return control → answer, and whether there may be data among them."""
    if rejected:
        # of a choice nothing is known but that it was refused; a yes-or-no question is answered with no
        return ({REJECTED: record["label"]}, False) if isinstance(record.get("label"), str) else ({}, False)
    ours = record.get(OURS)
    found = by_control(record, ours.get("controls")) if isinstance(ours, dict) else None
    if found is not None and isinstance(ours, dict):
        if isinstance(ours.get("choice"), str):
            found[ours["choice"]] = _chosen(record)
        return found, False
    answers: dict[str, Any] = {}
    if isinstance(record.get("accept"), list):
        answers["label"] = _chosen(record)
    elif isinstance(record.get("label"), str):
        answers["label"] = record["label"]
    if isinstance(record.get("spans"), list) and record["spans"]:
        answers["spans"] = record["spans"]
    if answers and len(data) <= 1:
        return answers, False
    return {**{key: value for key, value in data.items() if key not in answers}, **answers}, True


def _chosen(record: Mapping[str, Any]) -> list[Any]:
    """Return the ids of the options taken; for an option that has only a number as id, its text."""
    options = record.get("options")
    texts = {}
    for option in options if isinstance(options, list) else []:
        if isinstance(option, dict) and isinstance(option.get("id"), int) and "text" in option:
            texts[option["id"]] = option["text"]
    accepted = record.get("accept")
    return [texts.get(one, one) if isinstance(one, int) else one for one in accepted or []]


def _annotator(record: Mapping[str, Any], default: str) -> str:
    for key in ("_annotator_id", "_session_id"):
        if isinstance(record.get(key), str) and record[key].strip():
            return str(record[key].strip())
    return default


def _head(row: ExportRow) -> dict[str, Any]:
    texts = [value for value in row.data.values() if isinstance(value, str)]
    meta = {"golden_id": str(row.example)}
    if row.external_id is not None:
        meta["external_id"] = row.external_id
    head: dict[str, Any] = {"text": texts[0] if texts else "", "meta": meta}
    if set(row.data) != {"text"} or len(texts) != 1:
        head[OURS] = {"data": row.data}
    head["_input_hash"] = _signed(canonical_text(row.data))
    return head


def _written(row: ExportRow, label: Labeled, shape: AnswerShape) -> dict[str, Any]:
    record = _head(row)
    ours = {**record.get(OURS, {}), **words_of(label)}
    answers = shape.split(label.value)
    choice = _choice(shape, answers)
    if choice is not None:
        value = answers.pop(choice.name)
        record["options"] = [{"id": one, "text": str(one)} for one in choice.choices or _listed(value)]
        record["accept"] = _listed(value)
        ours["choice"] = choice.name
    ours["controls"] = keys_for(answers, {*_OF_TASK, *record})
    record |= {ours["controls"][name]: value for name, value in answers.items()}
    return {
        **record,
        "answer": "accept",
        "_task_hash": _signed(f"{row.example} {label.annotator}"),
        "_view_id": "choice" if choice is not None and not answers else "blocks",
        "_session_id": label.annotator,
        "_annotator_id": label.annotator,
        "_timestamp": None if label.labeled_at is None else int(label.labeled_at.timestamp()),
        OURS: ours,
    }


def _choice(shape: AnswerShape, answers: Mapping[str, Any]) -> Part | None:
    """Return the field that is shown as options: the class, or else the first choice."""
    choices = [part for part in shape.parts if part.kind in (CHOICE, CHOICES) and part.name in answers]
    choices = [part for part in choices if all(isinstance(one, str) for one in _listed(answers[part.name]))]
    return next((part for part in choices if part.is_main), choices[0] if choices else None)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _signed(text: str) -> int:
    """Return a number of 32 bits with a sign, as Prodigy's hashes are; it makes its own anew."""
    number = crc32(text.encode())
    return number - (1 << 32) if number >= 1 << 31 else number
