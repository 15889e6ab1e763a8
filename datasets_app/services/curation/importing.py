"""Import a file into a working copy: streamed and all or nothing, or staged first for a preview."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from datasets_app.errors import MalformedRow
from datasets_app.models import Branch, Dataset, ExampleType
from datasets_app.services.access import record
from datasets_app.services.curation.file_formats import columns_of, format_of, read_rows
from datasets_app.services.curation.mapping import LINE_KEYS, CellMapper, guess_mapping
from datasets_app.services.curation.preparing import Preparer, RefusedRow
from datasets_app.services.curation.types import get_type
from datasets_app.services.curation.upserting import BulkUpsert, PreparedExample
from datasets_app.services.versioning.commits import lock_branch
from datasets_app.services.versioning.compiled_types import compiled
from goldenproject.kit.audit import acting
from goldenproject.kit.errors import BadInput
from goldenproject.kit.read_ahead import batches_ahead
from goldenproject.kit.refused_rows import RefusedRows

BATCH_ROWS = 20_000
_CELL_FORMATS = ("csv", "tsv", "parquet")


@dataclass(frozen=True)
class ImportOptions:
    """How a file is read. `mapping` is column → field (guessed for what it does not name); `on_error` is stop, skip or report.

    `report_path` is where the refused rows go (JSONL: line, errors, raw) with on_error="report".
    """

    type_name: str | None = None
    format: str | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    on_error: str = "stop"
    report_path: str | os.PathLike[str] | None = None

    def checked(self) -> ImportOptions:
        if self.on_error not in ("stop", "skip", "report"):
            raise BadInput(f"“{self.on_error}”: expected stop, skip or report.")
        if self.on_error == "report" and not self.report_path:
            raise BadInput("on_error=report needs a file for the refused rows.")
        return self


@dataclass(frozen=True)
class ImportResult:
    """How many rows were read and what became of them; `report_path` holds the refused ones when it was asked for."""

    read: int
    added: int
    changed: int
    unchanged: int
    refused: int
    report_path: str | None = None
    first_refusals: tuple[str, ...] = ()


Progress = Callable[[int], None]


def import_file(
    *,
    branch: Branch,
    source: BinaryIO | str | os.PathLike[str],
    actor: Any,
    options: ImportOptions | None = None,
    progress: Progress | None = None,
) -> ImportResult:
    """Import a file into the working copy of `branch`, in one transaction.

    A row with a known id updates that example, an equal one changes nothing. `progress` is told the rows read so far.
    Raises MalformedRow at the first bad row with on_error="stop"; nothing is written then.
    """
    options = (options or ImportOptions()).checked()
    with _opened(source) as file:
        name = (
            Path(getattr(file, "name", "") or "file").name
            if not isinstance(source, str)
            else Path(source).name
        )
        rows = prepared_rows(branch.dataset, file, name, options)
        with acting(actor, f"import {name}"):
            locked = lock_branch(branch)
            result = _write(locked, rows, name, options, progress)
            record(
                actor,
                "import",
                branch.dataset,
                f"{name}: {result.added} added, {result.changed} changed, {result.refused} refused",
            )
    return result


def _opened(source: BinaryIO | str | os.PathLike[str]) -> BinaryIO:
    if isinstance(source, str | os.PathLike):
        try:
            return open(source, "rb")
        except OSError as error:
            raise BadInput(f"{os.fspath(source)} cannot be read: {error.strerror}.") from error
    return io.BufferedReader(source) if isinstance(source, io.RawIOBase) else source


def type_for(dataset: Dataset, name: str | None) -> ExampleType:
    """Return the type of imported rows: the one that is named, else the dataset's own."""
    if name:
        return get_type(name)
    if dataset.default_type is None:
        raise BadInput(
            f"Dataset “{dataset}” has no type of its own, so the file's rows have none.",
            hint="Say it with --type.",
        )
    return dataset.default_type


def prepared_rows(
    dataset: Dataset, file: BinaryIO, name: str, options: ImportOptions
) -> Iterator[PreparedExample | RefusedRow]:
    """Yield every row of a file as an example ready to be written, or as refused."""
    file_format = format_of(name, options.format)
    example_type = type_for(dataset, options.type_name)
    mapper = None
    if file_format in _CELL_FORMATS or options.mapping:
        columns = columns_of(file, file_format)
        unknown = options.mapping.keys() - set(columns)
        if unknown:
            raise BadInput(f"{name} has no column “{min(unknown)}”.", hint=f"Columns: {', '.join(columns)}.")
        mapper = CellMapper({**guess_mapping(columns, example_type), **options.mapping}, example_type)
        if set(columns) <= set(LINE_KEYS) and not options.mapping and file_format == "parquet":
            mapper = None
    types = {t.name: (t.pk, compiled(t)) for t in ExampleType.objects.all()}
    preparer = Preparer(dataset.pk, types, example_type.name, mapper)
    return preparer.prepare(read_rows(file, file_format))


def _write(
    branch: Branch,
    rows: Iterator[PreparedExample | RefusedRow],
    name: str,
    options: ImportOptions,
    progress: Progress | None,
) -> ImportResult:
    upsert = BulkUpsert(branch)
    with RefusedRows(options.report_path if options.on_error == "report" else None) as refused:
        sieve = _Sieve(name, options, refused)
        read = 0
        for batch in batches_ahead(rows, BATCH_ROWS):
            upsert.write(sieve.sift(batch))
            read += len(batch)
            if progress:
                progress(read)
        counts = upsert.close()
        report_path = refused.publish()
    return ImportResult(
        read=read,
        added=counts.added,
        changed=counts.changed,
        unchanged=counts.unchanged,
        refused=refused.count,
        report_path=report_path,
        first_refusals=tuple(refused.first),
    )


class _Sieve:
    """Lets good rows through; stops at the first refused one if told so, else counts it and reports it."""

    def __init__(self, name: str, options: ImportOptions, refused: RefusedRows) -> None:
        self._name = name
        self._options = options
        self._refused = refused

    def sift(self, batch: Iterable[PreparedExample | RefusedRow]) -> list[PreparedExample]:
        good = []
        for row in batch:
            if isinstance(row, PreparedExample):
                good.append(row)
            else:
                self._refuse(row)
        return good

    def _refuse(self, row: RefusedRow) -> None:
        if self._options.on_error == "stop":
            raise MalformedRow(
                f"{self._name}, {row.sentence()}.",
                hint="Nothing was imported. Mend the row, or import the rest with --on-error skip or report.",
                file=self._name,
                line=row.line,
                errors=row.errors,
            )
        self._refused.add(row.sentence(), {"line": row.line, "errors": row.errors, "raw": row.raw})
