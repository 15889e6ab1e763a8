"""Export a version: rows in the order of import → lines → one file, or a file for each part of a split.

Reads the version through a cursor of the server, so memory does not grow with the number of examples.
"""

from __future__ import annotations

import os
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from django.db import transaction

from datasets_app.domain.number_types import number_restorer, types_numbers
from datasets_app.domain.splits import SplitPlan, class_cuts, part_at, place
from datasets_app.models import Dataset, DatasetCommit, ExampleType, ValidationStatus
from datasets_app.services.access import record
from datasets_app.services.curation.types import get_type
from datasets_app.services.versioning.reading import load_version_table
from datasets_app.services.versioning.refs import resolve
from exports_app.services import kept_exports
from exports_app.services.kept_exports import KeptFacts
from exports_app.writers.dataset_card import Card, CardPart, card_text
from exports_app.writers.jsonl_lines import Line, LineFormat, LineMaker, any_long_digits
from exports_app.writers.published_files import (
    HashedFile,
    PublishedDirectory,
    PublishedFile,
    WrittenFile,
)
from goldenproject.kit.audit import acting
from goldenproject.kit.database_io import stream
from goldenproject.kit.errors import BadInput

STDOUT = Path("-")
WHOLE = "examples"
_NAMED_REDACTIONS = 20
_CHUNK_ROWS = 10_000

# The version's entries are hashed into a table; identities and blobs are read once each by hash joins, then sorted.
_ROWS = """
    SELECT to_json(coalesce(i.external_id, i.id::text))::text, i.id::text, b.body
      FROM golden_version v
      JOIN datasets_app_exampleidentity i ON i.id = v.example_id
      JOIN datasets_app_blob b ON b.hash = v.hash
     ORDER BY i.ordinal
"""


@dataclass(frozen=True)
class ExportOptions:
    """What is exported and how. Empty `types` and `statuses` mean all; `stratify` keeps the classes' shares in each part.

    `replace` allows what is there to be replaced; `as_directory` asks for a directory where one file would do.
    """

    format: str = "jsonl"
    types: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    split: SplitPlan | None = None
    stratify: bool = False
    replace: bool = False
    as_directory: bool = False

    def checked(self) -> ExportOptions:
        if self.format != "jsonl":
            raise BadInput(f"Found format “{self.format}”, expected jsonl.")
        for name in self.types:
            get_type(name)
        for status in self.statuses:
            if status not in ValidationStatus.values:
                raise BadInput(
                    f"Found status “{status}”, expected one of {', '.join(ValidationStatus.values)}."
                )
        if self.stratify and self.split is None:
            raise BadInput("Only a split can be stratified.", hint="Say --split train=.8,test=.2 too.")
        return self


@dataclass(frozen=True)
class ExportedFile:
    """A file of examples that was written."""

    name: str
    rows: int
    size_bytes: int
    sha256: str
    classes: Mapping[str, int]


@dataclass(frozen=True)
class ExportResult:
    """What was written. `redacted_names` names the first 20 redacted examples; `in_no_part` fell into no part of the split."""

    dataset: Dataset
    commit: DatasetCommit
    path: str
    files: tuple[ExportedFile, ...]
    redacted: int = 0
    redacted_names: tuple[str, ...] = ()
    filtered: int = 0
    in_no_part: int = 0

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)


Progress = Callable[[int, int], None]


def export_version(
    *,
    dataset: Dataset,
    ref: str | None,
    output: Path,
    actor: Any,
    options: ExportOptions | None = None,
    stdout: BinaryIO | None = None,
    progress: Progress | None = None,
) -> ExportResult:
    """Write the version `ref` (default: the default branch's commit) to `output`.

    `output` is a file; with a split, as_directory, or when it is a directory: a directory with SHA256SUMS and a dataset
    card; "-" is `stdout`. Files appear whole or not at all. Raises FileExists without `options.replace`.
    """
    options = (options or ExportOptions()).checked()
    commit = resolve(dataset, ref)
    with acting(actor, f"export {dataset.name}@{commit.short_hash}"):
        job = _Job(dataset, commit, ref or dataset.main.name, options, progress)
        if output == STDOUT:
            if options.split is not None or stdout is None:
                raise BadInput("A split makes several files, so it cannot go to standard output.")
            result = job.to_stream(stdout)
        elif options.split is not None or options.as_directory or output.is_dir():
            result = job.to_directory(Path(os.path.abspath(output)))
        else:
            result = job.to_file(Path(os.path.abspath(output)))
        record(
            actor, "export", dataset, f"{commit.short_hash}: {result.rows} examples", files=len(result.files)
        )
    return result


def stream_version(*, dataset: Dataset, commit: DatasetCommit, actor: Any) -> Iterator[bytes]:
    """Return the lines of a whole version in pieces, as `export_version` writes them, for an answer that is under way.

    The export is recorded at once, so that one which is broken off is known too. The pieces are read in one transaction
    that ends with the last piece, or when the iterator is closed because nobody listens any more.
    """
    with acting(actor, f"export {dataset.name}@{commit.short_hash}"):
        record(actor, "export", dataset, f"{commit.short_hash}: {commit.example_count} examples", files=1)
    return _pieces(commit)


def _pieces(commit: DatasetCommit) -> Iterator[bytes]:
    with transaction.atomic():
        load_version_table(commit)
        for rows in _chunks(LineMaker(_formats())):
            lines = [line.text for _, _, line in rows if line is not None]
            if lines:
                yield ("\n".join(lines) + "\n").encode()


@dataclass
class _Sink:
    file: HashedFile
    rows: int = 0
    classes: Counter[str] = field(default_factory=Counter)

    def exported(self) -> ExportedFile:
        written: WrittenFile = self.file.written()
        return ExportedFile(written.name, self.rows, written.size_bytes, written.sha256, dict(self.classes))


class _Job:
    """One export under way: reads, chooses, divides, counts."""

    def __init__(
        self,
        dataset: Dataset,
        commit: DatasetCommit,
        ref: str,
        options: ExportOptions,
        progress: Progress | None,
    ) -> None:
        self._dataset = dataset
        self._commit = commit
        self._ref = ref
        self._options = options
        self._progress = progress or (lambda done, total: None)
        self._formats = _formats()
        self._redacted: list[str] = []
        self._redacted_count = 0
        self._filtered = 0
        self._in_no_part = 0

    def to_stream(self, sink: BinaryIO) -> ExportResult:
        only = _Sink(HashedFile(STDOUT, sink))
        self._write({WHOLE: only}, LineMaker(self._formats))
        return self._result("-", [only.exported()])

    def to_file(self, path: Path) -> ExportResult:
        is_whole = not self._options.types and not self._options.statuses
        key = kept_exports.key_of(self._commit) if is_whole else ""
        kept = kept_exports.find(key) if is_whole else None
        if kept is not None:
            try:
                return self._copy_kept(key, kept, path)
            except kept_exports.KeptFileDamaged:
                pass  # it is forgotten now, and made anew
        with PublishedFile(path, replace=self._options.replace) as file:
            only = _Sink(file)
            self._write({WHOLE: only}, LineMaker(self._formats))
        made = only.exported()
        if is_whole:
            facts = KeptFacts(
                made.rows, made.size_bytes, made.sha256, self._redacted_count, tuple(self._redacted)
            )
            kept_exports.keep(key, path, facts)
        return self._result(str(path), [made])

    def _copy_kept(self, key: str, kept: KeptFacts, path: Path) -> ExportResult:
        with PublishedFile(path, replace=self._options.replace) as file:
            kept_exports.copy_into(key, kept, cast(BinaryIO, file))
        self._redacted_count, self._redacted = kept.redacted, list(kept.redacted_names)
        self._progress(kept.rows, self._commit.example_count)
        return self._result(str(path), [ExportedFile(path.name, kept.rows, kept.size_bytes, kept.sha256, {})])

    def to_directory(self, path: Path) -> ExportResult:
        names = self._options.split.names if self._options.split else (WHOLE,)
        with PublishedDirectory(path, replace=self._options.replace) as directory:
            sinks = {name: _Sink(directory.open(f"{name}.jsonl")) for name in names}
            self._write(sinks, LineMaker(self._formats, with_classes=True))
            directory.add("README.md", card_text(self._card(sinks)).encode())
        return self._result(str(path), [sink.exported() for sink in sinks.values()])

    def _write(self, sinks: Mapping[str, _Sink], maker: LineMaker) -> None:
        load_version_table(self._commit)
        divide = self._divider(maker)
        done = 0
        for rows in _chunks(maker):
            texts: dict[str, list[str]] = {name: [] for name in sinks}
            for id_json, example, line in rows:
                if line is None:
                    self._note_redacted(id_json)
                elif self._left_out(line):
                    self._filtered += 1
                else:
                    part = divide(example, line)
                    if part is None:
                        self._in_no_part += 1
                        continue
                    texts[part].append(line.text)
                    if line.class_key is not None:
                        sinks[part].classes[line.class_key] += 1
            for name, found in texts.items():
                if found:
                    sinks[name].file.write(("\n".join(found) + "\n").encode())
                    sinks[name].rows += len(found)
            done += len(rows)
            self._progress(done, self._commit.example_count)

    def _left_out(self, line: Line) -> bool:
        types, statuses = self._options.types, self._options.statuses
        return bool((types and line.type_name not in types) or (statuses and line.status not in statuses))

    def _note_redacted(self, id_json: str) -> None:
        self._redacted_count += 1
        if len(self._redacted) < _NAMED_REDACTIONS:
            self._redacted.append(id_json.strip('"'))

    def _divider(self, maker: LineMaker) -> Callable[[Any, Line], str | None]:
        plan = self._options.split
        if plan is None:
            return lambda example, line: WHOLE
        if not self._options.stratify:
            cuts = plan.cuts
            return lambda example, line: part_at(plan, cuts, place(uuid.UUID(example), plan.seed))
        by_class = self._class_cuts(plan, maker)
        return lambda example, line: part_at(
            plan, by_class[line.class_key or ""], place(uuid.UUID(example), plan.seed)
        )

    def _class_cuts(self, plan: SplitPlan, maker: LineMaker) -> Mapping[str, tuple[int, ...]]:
        """Read the version once more, for the places of the examples of each class: 8 bytes an example."""
        places: dict[str, list[np.ndarray]] = defaultdict(list)
        for rows in _chunks(maker):
            found: dict[str, list[int]] = defaultdict(list)
            for _, example, line in rows:
                if line is not None and not self._left_out(line):
                    found[line.class_key or ""].append(place(uuid.UUID(example), plan.seed))
            for name, chunk in found.items():
                places[name].append(np.array(chunk, dtype=np.uint64))
        cuts = {name: class_cuts(plan, np.concatenate(chunks)) for name, chunks in places.items()}
        return defaultdict(lambda: plan.cuts, cuts)

    def _card(self, sinks: Mapping[str, _Sink]) -> Card:
        options, commit = self._options, self._commit
        choices = []
        if options.types:
            choices.append(f"Only examples of the types {', '.join(options.types)}.")
        if options.statuses:
            choices.append(f"Only examples with the status {', '.join(options.statuses)}.")
        if options.split:
            shares = ", ".join(f"{part.name} {part.share}" for part in options.split.parts)
            how = "by class and " if options.stratify else ""
            choices.append(
                f"Split {how}by the hash of each example's UUID, seed {options.split.seed}: {shares}."
            )
        return Card(
            name=self._dataset.name,
            description=self._dataset.description,
            ref=self._ref,
            commit_hash=commit.commit_hash,
            commit_message=commit.message,
            author=commit.author,
            committed_at=commit.committed_at,
            parts=[
                CardPart(
                    WHOLE_SPLIT if name == WHOLE else name, sink.file.name, sink.rows, dict(sink.classes)
                )
                for name, sink in sinks.items()
            ],
            choices=choices,
            redacted=self._redacted_count,
        )

    def _result(self, path: str, files: list[ExportedFile]) -> ExportResult:
        return ExportResult(
            dataset=self._dataset,
            commit=self._commit,
            path=path,
            files=tuple(files),
            redacted=self._redacted_count,
            redacted_names=tuple(self._redacted),
            filtered=self._filtered,
            in_no_part=self._in_no_part,
        )


def _chunks(maker: LineMaker) -> Iterator[list[tuple[str, str, Line | None]]]:
    """Yield (id as JSON, UUID, line) of the version in golden_version, in the order of import, in lists.

    A cursor's lists are made in C, where COPY hands over a row at a time; UUIDs come as text, which is cheaper to make.
    """
    for rows in stream(_ROWS, chunk_rows=_CHUNK_ROWS):
        long_digits = any_long_digits(row[2] for row in rows)
        yield [(row[0], row[1], maker.line(row[0], row[2], long_digits=long_digits)) for row in rows]


WHOLE_SPLIT = "train"
"""What readers of dataset cards call the only part of undivided data."""


def _formats() -> dict[str, LineFormat]:
    return {example_type.name: _format_of(example_type) for example_type in ExampleType.objects.all()}


def _format_of(example_type: ExampleType) -> LineFormat:
    schemas = (example_type.input_schema, example_type.output_schema)
    restore_input, restore_output = (number_restorer(s) if types_numbers(s) else None for s in schemas)
    path = tuple(example_type.class_field.split(".")) if example_type.class_field else ()
    return LineFormat(restore_input, restore_output, path)
