"""Annotation files of doccano: JSON lines of {id, text, label, Comments, …}, one file, or a zip with one per annotator.

In the zip of a project where each annotates alone, a file is called after its annotator. Spans ([start, end, label]),
entities and relations come as they are, as lists. Written is such a zip.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import orjson

from datasets_app.errors import MalformedRow
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
    own_words,
    plain_id,
    words_of,
)
from exports_app.integrations.answer_shape import AnswerShape

_LABELS = ("label", "labels", "cats")
_SPANS = ("entities", "relations")
_OF_ALL = ("all", "admin", "unknown", "")  # names of files that tell no annotator
_MAX_FILES = 1000
_MAX_BYTES = 4 << 30
_UNSAFE = re.compile(r"[^\w.@+-]+")


class Doccano:
    """doccano, JSONL or a zip of it."""

    name = "doccano"
    title = "doccano"
    extension = "zip"
    hint = "JSONL, or the zip with a file for each annotator."

    def read(self, file: BinaryIO, default_annotator: str) -> Iterator[ReadTask | Unreadable]:
        begin = file.read(4)
        file.seek(0)
        if not begin.startswith(b"PK"):
            yield from _tasks(file, default_annotator, "")
            return
        try:
            with zipfile.ZipFile(file) as archive:
                for member in _members(archive):
                    stem = PurePosixPath(member.filename).stem
                    annotator = default_annotator if stem.casefold() in _OF_ALL else stem
                    with archive.open(member) as opened, tempfile.TemporaryFile() as unpacked:
                        while block := opened.read(1 << 20):
                            unpacked.write(block)
                        unpacked.seek(0)
                        yield from _tasks(unpacked, annotator, f"{member.filename}, ")
        except zipfile.BadZipFile as error:
            raise MalformedRow(f"The zip cannot be read: {error}.") from error

    def write(self, rows: Iterator[ExportRow], shape: AnswerShape, file: BinaryIO) -> None:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            files: dict[str, tuple[str, Any]] = {}
            for row in rows:
                for label in row.labels or (None,):
                    annotator = "" if label is None else label.annotator
                    if annotator not in files:
                        name = _file_name(annotator, {name for name, _ in files.values()})
                        opened = stack.enter_context((Path(folder) / str(len(files))).open("w+b"))
                        files[annotator] = (name, opened)
                    files[annotator][1].write(orjson.dumps(_written(row, label, shape)) + b"\n")
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, opened in sorted(files.values(), key=lambda pair: pair[0]):
                    opened.flush()
                    archive.write(opened.name, name)


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the JSON files of a zip. Raises MalformedRow for one that is too large or holds none."""
    members = [m for m in archive.infolist() if not m.is_dir() and m.filename.endswith((".jsonl", ".json"))]
    if not members and archive.infolist():
        raise MalformedRow("The zip holds no .jsonl file.")
    if len(members) > _MAX_FILES or sum(m.file_size for m in members) > _MAX_BYTES:
        raise MalformedRow(
            f"The zip holds {len(members)} files of {sum(m.file_size for m in members)} bytes; expected at the most "
            f"{_MAX_FILES} of {_MAX_BYTES} together."
        )
    return sorted(members, key=lambda m: m.filename)


def _tasks(file: BinaryIO, annotator: str, within: str) -> Iterator[ReadTask | Unreadable]:
    for item in json_items(file):
        if isinstance(item, Unreadable):
            yield Unreadable(within + item.place, item.message)
            continue
        place, record = item
        yield _task(within + place, record, annotator)


def _task(place: str, record: Mapping[str, Any], annotator: str) -> ReadTask:
    ours = record.get(OURS) if isinstance(record.get(OURS), dict) else {}
    assert isinstance(ours, dict)
    answers = by_control(record, ours.get("controls"))
    if answers is None:
        answers = {name: record[name] for name in (*_LABELS, *_SPANS) if name in record}
    data = ours.get("data") if isinstance(ours.get("data"), dict) else None
    if data is None:
        keys = ours.get("controls")
        known = {"id", "Comments", "comments", OURS, *(keys.values() if isinstance(keys, dict) else answers)}
        data = {key: value for key, value in record.items() if key not in known}
    example, names = identity(ours, record)
    given: tuple[Given, ...] = ()
    left_out: tuple[str, ...] = ()
    if not any(value not in (None, []) for value in answers.values()):
        left_out = () if not answers else ("empty",)
    else:
        comments = record.get("Comments", record.get("comments")) or []
        texts = comments if isinstance(comments, list) else [comments]
        notes = "\n".join(_comment(one) for one in texts)
        words = {"notes": notes} | own_words(record)
        who = ours.get("annotator")
        given = (Given(who if isinstance(who, str) and who else annotator, answers, **words),)
    return ReadTask(place, data, example, names, plain_id(record.get("id")), given, left_out=left_out)


def _comment(comment: Any) -> str:
    return str(comment.get("comment", comment)) if isinstance(comment, dict) else str(comment)


def _written(row: ExportRow, label: Labeled | None, shape: AnswerShape) -> dict[str, Any]:
    texts = [value for value in row.data.values() if isinstance(value, str)]
    ours: dict[str, Any] = {"golden_id": str(row.example)}
    if row.external_id is not None:
        ours["external_id"] = row.external_id
    record: dict[str, Any] = {"id": row.number, "text": texts[0] if texts else ""}
    if set(row.data) != {"text"} or len(texts) != 1:
        ours["data"] = row.data
    if label is None:
        return {**record, "label": [], OURS: ours}
    ours |= {"annotator": label.annotator, **words_of(label)}
    answers = shape.split(label.value)
    main = shape.main.name if shape.main is not None else ""
    if list(answers) == [main] or list(answers) == ["label"]:
        value = next(iter(answers.values()))
        record["label"] = value if isinstance(value, list) else [value]
    else:
        keys = keys_for(answers, {"id", "text", "label", "Comments", OURS})
        ours["controls"] = keys
        record |= {keys[name]: value for name, value in answers.items()}
    return {**record, "Comments": [label.notes] if label.notes else [], OURS: ours}


def _file_name(annotator: str, taken: set[str]) -> str:
    """Return a name that leads nowhere else and is nobody else's."""
    stem = _UNSAFE.sub("_", annotator).strip("._")[:80] or "unknown"
    name, number = f"{stem}.jsonl", 1
    while name.casefold() in {one.casefold() for one in taken}:
        number += 1
        name = f"{stem}-{number}.jsonl"
    return name
