"""Read files row by row: JSONL, JSON, CSV, TSV and Parquet, each row with the line it begins at.

A reader yields `FileRow`s and never stops at a bad row: the row carries its error instead.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any, BinaryIO, NamedTuple

from datasets_app.domain.strict_json import loads_strict
from datasets_app.errors import InvalidJson, MalformedRow
from goldenproject.kit.errors import BadInput

_BOM = b"\xef\xbb\xbf"
MAX_LINE_BYTES = 16 * 1024 * 1024
_PARQUET_ROWS = 5000


class FileRow(NamedTuple):
    """A row of a file: `value` is its object (text cells for CSV), unless `error` says why it cannot be read."""

    line: int
    value: dict[str, Any] | None
    error: dict[str, Any] | None
    raw: str


def _error(message: str, found: str = "", expected: str = "", path: str = "$") -> dict[str, Any]:
    return {"path": path, "message": message, "found": found, "expected": expected}


def format_of(file_name: str, given: str | None = None) -> str:
    """Return the format of a file, given or by its ending. Raises BadInput."""
    name = given or {".ndjson": "jsonl", ".jsonlines": "jsonl", ".txt": "tsv"}.get(
        PurePath(file_name).suffix.lower(), PurePath(file_name).suffix.lower().lstrip(".")
    )
    if name not in READERS:
        raise BadInput(
            f"“{file_name}”: found format “{name or 'none'}”, expected one of {', '.join(READERS)}.",
            hint="Say it with --format.",
        )
    return name


def read_rows(file: BinaryIO, file_format: str) -> Iterator[FileRow]:
    """Yield the rows of a file in one of the formats of `READERS`."""
    return READERS[file_format](file)


def columns_of(file: BinaryIO, file_format: str, sample_rows: int = 100) -> list[str]:
    """Return the names of the columns (of the keys of the first rows, for JSON), and rewind the file."""
    names: dict[str, None] = {}
    for number, row in enumerate(read_rows(file, file_format)):
        names.update(dict.fromkeys(row.value or {}))
        if number >= sample_rows:
            break
    file.seek(0)
    return list(names)


def _read_jsonl(file: BinaryIO) -> Iterator[FileRow]:
    first = True
    for number, line in enumerate(_lines(file), 1):
        if first:
            line = line.removeprefix(_BOM)
            first = False
        stripped = line.strip(b" \t\r\n")
        if stripped:
            yield _json_row(number, stripped)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            while rest := file.readline(MAX_LINE_BYTES):
                if rest.endswith(b"\n"):
                    break
        yield line


def _json_row(number: int, data: bytes) -> FileRow:
    if len(data) > MAX_LINE_BYTES:
        expected = f"at most {MAX_LINE_BYTES} bytes"
        return FileRow(
            number, None, _error("the line is too long", f"more than {MAX_LINE_BYTES} bytes", expected), ""
        )
    try:
        value = loads_strict(data)
    except InvalidJson as error:
        details = error.details
        return FileRow(
            number,
            None,
            _error(
                error.message, details.get("found", ""), details.get("expected", ""), details.get("path", "$")
            ),
            _raw(data),
        )
    if not isinstance(value, dict):
        return FileRow(
            number, None, _error("expected an object", type(value).__name__, "an object"), _raw(data)
        )
    return FileRow(number, value, None, "")


def _raw(data: bytes) -> str:
    return data.decode(errors="replace").replace("\x00", "\ufffd")


def _read_json(file: BinaryIO) -> Iterator[FileRow]:
    """A JSON array of objects. The file is read whole; large data comes as JSONL."""
    value = loads_strict(file.read().removeprefix(_BOM))
    if not isinstance(value, list):
        raise MalformedRow(f"The file holds {type(value).__name__}, expected an array of objects.")
    for number, item in enumerate(value, 1):
        if isinstance(item, dict):
            yield FileRow(number, item, None, "")
        else:
            yield FileRow(
                number, None, _error("expected an object", type(item).__name__, "an object"), str(item)
            )


def _read_csv(file: BinaryIO) -> Iterator[FileRow]:
    sample = file.read(64 * 1024)
    file.seek(0)
    return _read_delimited(file, _delimiter(sample))


def _read_tsv(file: BinaryIO) -> Iterator[FileRow]:
    return _read_delimited(file, "\t")


def _delimiter(sample: bytes) -> str:
    """The delimiter that the header line uses most: comma, semicolon, tab or bar."""
    header = sample.split(b"\n", 1)[0].decode("utf-8", errors="replace")
    return max(",;\t|", key=lambda mark: (header.count(mark), mark == ","))


def _read_delimited(file: BinaryIO, delimiter: str) -> Iterator[FileRow]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        yield from _delimited_rows(reader)
    finally:
        if not text.closed:  # who stopped early may have closed the file before this is tidied up
            text.detach()


def _delimited_rows(reader: Any) -> Iterator[FileRow]:
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield FileRow(line, None, _error(f"the row cannot be read: {error}", "", "well-formed CSV"), "")
            continue
        if not cells:
            continue
        if header is None:
            header = _checked_header(cells)
            continue
        yield _delimited_row(line, header, cells)


def _checked_header(cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled or "" in names:
        what = f"column {doubled[0]!r} twice" if doubled else "a column without a name"
        raise MalformedRow(
            f"Line 1: found {what}, expected a header line with a different name for each column."
        )
    return names


def _delimited_row(line: int, header: list[str], cells: list[str]) -> FileRow:
    raw = ",".join(cells).encode(errors="replace").decode().replace("\x00", "\ufffd")
    if len(cells) != len(header):
        return FileRow(
            line,
            None,
            _error("wrong number of cells", f"{len(cells)} cells", f"{len(header)} as in the header"),
            raw,
        )
    for name, cell in zip(header, cells, strict=True):
        if not cell.isprintable() and ("\x00" in cell or any("\ud800" <= c <= "\udfff" for c in cell)):
            found = "a NUL character" if "\x00" in cell else "bytes that are not UTF-8"
            return FileRow(
                line, None, _error("the cell cannot be read", found, "UTF-8 text without NUL", name), raw
            )
    return FileRow(line, dict(zip(header, cells, strict=True)), None, "")


def _read_parquet(file: BinaryIO) -> Iterator[FileRow]:
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        source = parquet.ParquetFile(file)
    except pyarrow.ArrowInvalid as error:
        raise MalformedRow(f"The file is not Parquet: {error}") from error
    number = 0
    for batch in source.iter_batches(batch_size=_PARQUET_ROWS):
        for value in batch.to_pylist():
            number += 1
            yield FileRow(number, value, None, "")


READERS: dict[str, Callable[[BinaryIO], Iterator[FileRow]]] = {
    "jsonl": _read_jsonl,
    "json": _read_json,
    "csv": _read_csv,
    "tsv": _read_tsv,
    "parquet": _read_parquet,
}
