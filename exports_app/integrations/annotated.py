"""What the annotation files of all tools have in common: tasks with the answers of annotators and the guesses of models.

An answer is told by control: {"sentiment": "positive"}, each as plain JSON. Which field of a type a control is, and
whether the answer is allowed, is decided elsewhere (`answer_shape`).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO, Protocol

from datasets_app.domain.strict_json import check_value, loads_strict
from datasets_app.errors import InvalidJson, MalformedRow
from exports_app.integrations.answer_shape import AnswerShape

# what a tool has no place for lies under this key; tools leave it alone or drop it
OURS = "golden"
_READ_CHARS = 1 << 20


@dataclass(frozen=True, slots=True)
class Given:
    """The answer of one annotator. With `loose`, controls that are no field of the type are data of the tool."""

    annotator: str
    answers: Mapping[str, Any]
    confidence: float | None = None
    notes: str = ""
    duration_ms: int | None = None
    labeled_at: datetime | None = None
    loose: bool = False


@dataclass(frozen=True, slots=True)
class Guess:
    """What a model would answer."""

    source: str
    answers: Mapping[str, Any]
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class ReadTask:
    """A task of a file. `external_ids` name the example in words of ours; `own_id` is only the tool's number."""

    place: str
    data: Mapping[str, Any]
    example: uuid.UUID | None = None
    external_ids: tuple[str, ...] = ()
    own_id: str = ""
    given: tuple[Given, ...] = ()
    guesses: tuple[Guess, ...] = ()
    left_out: tuple[str, ...] = ()  # why an annotation is no answer, each


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A piece of a file that is no task."""

    place: str
    message: str


@dataclass(frozen=True, slots=True)
class Labeled:
    """A label on its way out."""

    annotator: str
    value: Any
    confidence: float | None = None
    notes: str = ""
    duration_ms: int | None = None
    labeled_at: datetime | None = None
    email: str = ""


@dataclass(frozen=True, slots=True)
class Suggested:
    """A suggestion on its way out."""

    source: str
    value: Any
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class ExportRow:
    """An example on its way out; `number` counts from 1."""

    number: int
    example: uuid.UUID
    external_id: str | None
    data: Mapping[str, Any]
    labels: tuple[Labeled, ...] = ()
    suggestions: tuple[Suggested, ...] = field(default=())


class Tool(Protocol):
    """A tool whose files are read and written."""

    name: str
    title: str
    extension: str
    hint: str

    def read(self, file: BinaryIO, default_annotator: str) -> Iterator[ReadTask | Unreadable]:
        """Yield the tasks of a file, each with its place. Raises MalformedRow when the rest cannot be read."""

    def write(self, rows: Iterator[ExportRow], shape: AnswerShape, file: BinaryIO) -> None:
        """Write rows as the tool itself exports them."""


def json_items(file: BinaryIO) -> Iterator[tuple[str, dict[str, Any]] | Unreadable]:
    """Yield (place, object) of a JSON array, of JSON lines, or of one object, whichever the file holds; flat memory.

    A bad line of JSON lines is passed on as Unreadable. Raises MalformedRow where an array breaks off.
    """
    first = file.read(1 << 16)
    file.seek(0)
    begin = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    if begin.startswith(b"["):
        yield from _array(file)
    elif _is_one_object(begin):
        yield from _document(file)
    else:
        yield from _lines(file)


def _is_one_object(begin: bytes) -> bool:
    """Whether an object goes over several lines, so that these are no JSON lines."""
    line, _, rest = begin.partition(b"\n")
    if not rest or not line.startswith(b"{"):
        return False
    try:
        json.loads(line)
    except ValueError:
        return line.strip() == b"{" or line.rstrip().endswith((b",", b"{", b"["))
    return False


def _lines(file: BinaryIO) -> Iterator[tuple[str, dict[str, Any]] | Unreadable]:
    for number, line in enumerate(file, 1):
        text = line.removeprefix(b"\xef\xbb\xbf").strip()
        if text:
            yield _item(f"line {number}", text)


def _item(place: str, text: bytes) -> tuple[str, dict[str, Any]] | Unreadable:
    try:
        value = loads_strict(text)
    except InvalidJson as error:
        return Unreadable(place, error.message)
    if not isinstance(value, dict):
        return Unreadable(place, f"found {type(value).__name__}, expected an object.")
    return place, value


def _document(file: BinaryIO) -> Iterator[tuple[str, dict[str, Any]] | Unreadable]:
    yield _item("task 1", file.read().removeprefix(b"\xef\xbb\xbf"))


def _array(file: BinaryIO) -> Iterator[tuple[str, dict[str, Any]] | Unreadable]:
    """The items of an array, decoded one by one from a window that moves through the file."""
    import codecs

    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    scan = json.JSONDecoder(parse_constant=_no_number).raw_decode
    window, at, number, ended = "", 0, 0, False
    while True:
        at = _past_space(window, at, "[," if number == 0 else ",")
        if at < len(window) and window[at] == "]":
            return
        try:
            if at >= len(window):
                raise ValueError("the array is not closed")
            value, end = scan(window, at)
            # a number at the edge of the window may go on behind it
            if end == len(window) and not ended:
                raise ValueError("the array is not closed")
        except ValueError as error:
            if ended:
                raise MalformedRow(
                    f"Task {number + 1}: no JSON ({error}).", hint="The file was cut off or changed."
                ) from error
            window, at = window[at:], 0
            try:
                block = file.read(max(_READ_CHARS, len(window)))
                window += decode(block, not block)
            except UnicodeDecodeError as broken:
                raise MalformedRow(f"Task {number + 1}: the file is no UTF-8.") from broken
            ended = not block
            continue
        number, at = number + 1, end
        yield _checked(f"task {number}", value)


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _checked(place: str, value: Any) -> tuple[str, dict[str, Any]] | Unreadable:
    try:
        check_value(value)
    except InvalidJson as error:
        return Unreadable(place, error.message)
    if not isinstance(value, dict):
        return Unreadable(place, f"found {type(value).__name__}, expected an object.")
    return place, value


def _past_space(text: str, at: int, also: str) -> int:
    skipped = " \t\r\n" + also
    while at < len(text) and text[at] in skipped:
        at += 1
    return at


def array_bytes(documents: Iterator[bytes]) -> Iterator[bytes]:
    """Yield documents as one JSON array, a document a line."""
    between = b"[\n"
    for document in documents:
        yield between + document
        between = b",\n"
    yield b"[\n]\n" if between == b"[\n" else b"\n]\n"


def moment(value: Any) -> datetime | None:
    """Return a time from ISO 8601 (without a zone it is UTC) or seconds since 1970; None for anything else."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str) and value:
            found = datetime.fromisoformat(value)
            return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def told(value: datetime | None) -> str | None:
    """Return a time in ISO 8601, UTC."""
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def share(value: Any) -> float | None:
    """Return a confidence from 0 to 1; None for anything else."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    return float(value) if good else None


def milliseconds(seconds: Any) -> int | None:
    """Return seconds as milliseconds, None when they are none or do not fit."""
    good = isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds < 2_000_000
    return round(seconds * 1000) if good else None


def own_words(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what we had written under our key of a record, as keywords of Given; {} for another tool's file."""
    ours = record.get(OURS)
    if not isinstance(ours, dict):
        return {}
    found: dict[str, Any] = {}
    if (confidence := share(ours.get("confidence"))) is not None:
        found["confidence"] = confidence
    if isinstance(ours.get("notes"), str):
        found["notes"] = ours["notes"]
    if isinstance(ours.get("duration_ms"), int) and not isinstance(ours["duration_ms"], bool):
        found["duration_ms"] = ours["duration_ms"] if 0 <= ours["duration_ms"] < 2**31 else None
    if (at := moment(ours.get("labeled_at"))) is not None:
        found["labeled_at"] = at
    return found


def words_of(label: Labeled) -> dict[str, Any]:
    """Return what `own_words` reads; nothing for what is not there."""
    words = {
        "confidence": label.confidence,
        "notes": label.notes or None,
        "duration_ms": label.duration_ms,
        "labeled_at": told(label.labeled_at),
    }
    return {name: value for name, value in words.items() if value is not None}


def identity(*places: Any) -> tuple[uuid.UUID | None, tuple[str, ...]]:
    """Return our id and the external ids that the objects name: golden_id and external_id, in this order."""
    example, names = None, []
    for place in places:
        if not isinstance(place, Mapping):
            continue
        if example is None and isinstance(place.get("golden_id"), str):
            example = as_uuid(place["golden_id"])
        name = place.get("external_id")
        if isinstance(name, str | int) and not isinstance(name, bool) and str(name):
            names.append(str(name))
    return example, tuple(dict.fromkeys(names))


def as_uuid(text: Any) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None


def plain_id(value: Any) -> str:
    """Return a tool's own number as text; "" for anything else."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def keys_for(controls: Iterable[str], taken: Container[str]) -> dict[str, str]:
    """Return control → key of a record, one that the tool does not use itself."""
    return {name: f"answer_{name}" if name in taken or name.startswith("_") else name for name in controls}


def by_control(record: Mapping[str, Any], keys: Any) -> dict[str, Any] | None:
    """Return control → what the record says under its key; None when `keys` is not what `keys_for` made."""
    if not isinstance(keys, Mapping) or not all(isinstance(key, str) for key in keys.values()):
        return None
    return {name: record[key] for name, key in keys.items() if key in record}
