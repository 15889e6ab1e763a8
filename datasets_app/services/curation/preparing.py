"""From a row of a file to an example that may be written: shape, JSON, type, identity. No database is asked."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from datasets_app.domain.canonical import canonical_bytes
from datasets_app.domain.identity import uuid_of_external_id, uuid_of_input
from datasets_app.domain.schema_types import CompiledType
from datasets_app.domain.strict_json import check_value
from datasets_app.errors import InvalidJson
from datasets_app.services.curation.file_formats import FileRow
from datasets_app.services.curation.mapping import LINE_KEYS, CellMapper
from datasets_app.services.curation.types import violation_dict
from datasets_app.services.curation.upserting import PreparedExample

# An export tells where answers came from; here they come from the file, so that is not taken over.
_KNOWN_KEYS = frozenset(LINE_KEYS) | {"type", "provenance"}
MAX_ID_CHARACTERS = 500


class RefusedRow(NamedTuple):
    """A row that was not taken, and every reason why."""

    line: int
    errors: list[dict[str, Any]]
    raw: str

    def sentence(self) -> str:
        """What a person reads: line, path, found, expected."""
        first = self.errors[0]
        words = f"line {self.line}: {first['path']}: {first['message']}"
        if first["found"] and str(first["found"]) not in words:
            words += f", found {first['found']}"
        if first["expected"] and str(first["expected"]) not in words:
            words += f", expected {first['expected']}"
        more = len(self.errors) - 1
        return words + (f" (and {more} more)" if more else "")


def problem(path: str, message: str, found: str = "", expected: str = "") -> dict[str, Any]:
    return {"path": path, "message": message, "found": found, "expected": expected}


class _Refused(Exception):
    def __init__(self, *errors: dict[str, Any]) -> None:
        self.errors = list(errors)


class Preparer:
    """Prepares rows for one dataset; remembers which examples came, so that none comes twice."""

    def __init__(
        self,
        dataset_id: uuid.UUID,
        types: Mapping[str, tuple[int, CompiledType]],
        default_type: str,
        mapper: CellMapper | None,
    ) -> None:
        self._dataset_id = dataset_id
        self._types = types
        self._default_type = default_type
        self._mapper = mapper
        self._seen: set[bytes] = set()
        self._occurrences: dict[bytes, int] = {}

    def prepare(self, rows: Iterable[FileRow]) -> Iterator[PreparedExample | RefusedRow]:
        for row in rows:
            if row.value is None:
                yield RefusedRow(row.line, [row.error or problem("$", "the row cannot be read")], row.raw)
                continue
            try:
                yield self._example(row.line, row.value)
            except _Refused as refused:
                yield RefusedRow(row.line, refused.errors, _shown(row.value))

    def _example(self, line: int, value: dict[str, Any]) -> PreparedExample:
        if self._mapper is not None:
            value = self._map_cells(value)
        unknown = value.keys() - _KNOWN_KEYS
        if unknown:
            expected = "id, input, output, labels, metadata, type"
            raise _Refused(problem(f"$.{min(unknown)}", "unknown key", min(unknown), expected))
        type_id, compiled = self._type_of(value)
        if "input" not in value:
            raise _Refused(problem("$.input", "the input is missing", "nothing", "the input of the example"))
        input_, output = value["input"], value.get("output")
        violations = compiled.validate(input_, output, require_output=False)
        if violations:
            raise _Refused(*(violation_dict(v) for v in violations))
        labels, metadata = _object(value, "labels"), _object(value, "metadata")
        external_id = _external_id(value)
        return PreparedExample(
            line=line,
            example_id=self._identify(external_id, input_),
            external_id=external_id,
            type_id=type_id,
            input_data=_text(input_),
            expected_output=None if output is None else _text(output),
            labels=None if labels is None else _text(labels),
            metadata=None if metadata is None else _text(metadata),
            search_text=search_text(input_, output, labels, metadata),
        )

    def _map_cells(self, cells: dict[str, Any]) -> dict[str, Any]:
        assert self._mapper is not None
        try:
            value = self._mapper.row(cells)
            check_value(value)
        except InvalidJson as error:
            details = error.details
            raise _Refused(
                problem(
                    details.get("path", "$"),
                    error.message,
                    details.get("found", ""),
                    details.get("expected", ""),
                )
            ) from error
        return value

    def _type_of(self, value: dict[str, Any]) -> tuple[int, CompiledType]:
        name = value.get("type") or self._default_type
        known = self._types.get(name) if isinstance(name, str) else None
        if known is None:
            raise _Refused(
                problem("$.type", "unknown example type", str(name), ", ".join(sorted(self._types)))
            )
        return known

    def _identify(self, external_id: str | None, input_: Any) -> uuid.UUID:
        if external_id is not None:
            identity = uuid_of_external_id(self._dataset_id, external_id)
            if identity.bytes in self._seen:
                raise _Refused(
                    problem("$.id", "the same id occurs twice in this file", external_id, "each id once")
                )
        else:
            canonical = canonical_bytes(input_)
            identity = uuid_of_input(self._dataset_id, canonical)
            if identity.bytes in self._seen:
                count = self._occurrences.get(identity.bytes, 0) + 1
                self._occurrences[identity.bytes] = count
                identity = uuid_of_input(self._dataset_id, canonical, count)
        self._seen.add(identity.bytes)
        return identity


def _external_id(value: dict[str, Any]) -> str | None:
    given = value.get("id")
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise _Refused(
            problem("$.id", "an id is a string or an integer", type(given).__name__, "a string or an integer")
        )
    text = str(given)
    if not text or len(text) > MAX_ID_CHARACTERS:
        raise _Refused(
            problem("$.id", "wrong length", f"{len(text)} characters", f"1 to {MAX_ID_CHARACTERS} characters")
        )
    return text


def _object(value: dict[str, Any], name: str) -> dict[str, Any] | None:
    given = value.get(name)
    if given is not None and not isinstance(given, dict):
        raise _Refused(problem(f"$.{name}", "expected an object", type(given).__name__, "an object"))
    return given


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


def _shown(value: Any) -> str:
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except (orjson.JSONEncodeError, TypeError):
        return repr(value)


def search_text(*documents: Any) -> str:
    """The values (not the keys) of JSON documents, a line each: as the database's golden_search_text has them."""
    found: list[str] = []
    for document in documents:
        _collect(document, found)
    return "\n".join(found)


def _collect(value: Any, found: list[str]) -> None:
    if type(value) is str:
        found.append(value)
    elif type(value) is dict:
        for inner in value.values():
            _collect(inner, found)
    elif type(value) is list:
        for inner in value:
            _collect(inner, found)
    elif type(value) in (int, float):
        found.append(str(value))
