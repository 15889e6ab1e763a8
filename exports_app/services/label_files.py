"""Bring the annotation files of other tools in: several annotators each kept, all or nothing unless told otherwise."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any, BinaryIO

import orjson
from django.db import transaction

from datasets_app.domain.canonical import canonical_text
from datasets_app.domain.roles import Action
from datasets_app.errors import MalformedRow
from datasets_app.services.access import record, require
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.importing import ImportOptions
from exports_app.errors import LabelFileRefused
from exports_app.integrations.annotated import Given, Guess, ReadTask, Unreadable
from exports_app.integrations.answer_shape import NoSuchField
from exports_app.integrations.prodigy import REJECTED
from exports_app.integrations.tools import tool_called
from exports_app.services.queue_shapes import InputReader, answer_shape
from goldenproject.kit.audit import acting
from goldenproject.kit.errors import BadInput
from goldenproject.kit.refused_rows import MOST_TOLD, RefusedRows
from labeling_app.models import LabelingQueue
from labeling_app.services.answer_types import answer_type
from labeling_app.services.imported_labels import (
    Compared,
    ImportedLabels,
    StagedLabel,
    StagedSuggestion,
    StagedTask,
    annotator_trouble,
)
from labeling_app.services.keeping import MAX_NOTES
from labeling_app.services.refreshing import refresh_queue
from labeling_app.services.suggestions import MAX_SOURCE

_BATCH = 2000
_ADDED_AT_ONCE = 5000
Progress = Callable[..., None]


@dataclass(frozen=True)
class LabelImportOptions:
    """How a file is brought in.

    `annotator` stands for answers that name nobody. `people`: an annotator called like a user here is that user.
    `add_examples`: tasks that no example fits become new, pending ones. `on_error`: stop, or skip what is bad
    (`report_path`: and write it there, JSON lines of place and message). `fields` maps a control to a field of the
    answer. `suggestions`: predictions become suggestions.
    """

    annotator: str = ""
    people: bool = True
    add_examples: bool = False
    on_error: str = "stop"
    report_path: str | os.PathLike[str] | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    suggestions: bool = True
    dry_run: bool = False

    def checked(self) -> LabelImportOptions:
        if self.on_error not in ("stop", "skip"):
            raise BadInput(f"“{self.on_error}”: expected stop or skip.")
        if self.annotator and (trouble := annotator_trouble(self.annotator)):
            raise BadInput(f"Annotator: {trouble}.")
        return self


@dataclass(frozen=True)
class LabelImport:
    """What became of a file. Counts are of labels unless they say otherwise; `problems` are the first bad rows."""

    tool: str
    dry_run: bool
    tasks: int = 0
    added: int = 0
    changed: int = 0
    same: int = 0
    superseded: int = 0  # of an annotator who answered the same example again, later in the file's time
    left_out: dict[str, int] = field(default_factory=dict)  # reason → annotations that are no answer
    suggestions: int = 0
    examples_added: int = 0
    other_input: int = 0  # tasks whose text is another one than the example's
    annotators: int = 0
    refused: int = 0
    problems: tuple[str, ...] = ()
    report_path: str | None = None

    def document(self) -> dict[str, Any]:
        return asdict(self)


def import_label_file(
    *,
    queue: LabelingQueue,
    source: BinaryIO,
    tool: str,
    actor: Any,
    file_name: str = "file",
    options: LabelImportOptions | None = None,
    progress: Progress | None = None,
) -> LabelImport:
    """Bring the labels of a file into a queue, in one transaction; the same file twice adds nothing.

    Examples are found by our id or external id in the file, by equal input, or by the tool's own number where the file
    shows no input. A label that a person gave here is never replaced. Items with all their labels are settled. Right:
    import. Raises LabelFileRefused (details: problems) for bad rows, MalformedRow for a file that breaks off.
    """
    options = (options or LabelImportOptions()).checked()
    if actor is not None:
        require(actor, Action.IMPORT, queue.dataset)
    with RefusedRows(options.report_path) as rows:
        problems = _Problems(file_name, options, rows)
        try:
            with transaction.atomic(), acting(actor, f"labels of {file_name}"):
                result = _Import(queue, tool, options, actor, problems, progress).run(source)
                if options.dry_run:
                    raise _Undo
                record(
                    actor,
                    "labels.import",
                    queue.dataset,
                    f"{file_name} ({tool_called(tool).title}) into queue {queue.name}: {result.added:,} added, "
                    f"{result.changed:,} changed, {result.refused:,} refused",
                    queue=str(queue.pk),
                )
        except _Undo:
            pass
        return replace(
            result,
            refused=rows.count,
            problems=tuple(rows.first),
            report_path=rows.publish(),
        )


class _Undo(Exception):
    """A dry run has seen enough."""


class _Problems:
    """The bad rows of a file, which stop the import where they are to stop it."""

    def __init__(self, file_name: str, options: LabelImportOptions, rows: RefusedRows) -> None:
        self._file_name, self._options, self._rows = file_name, options, rows

    def add(self, place: str, message: str) -> None:
        self._rows.add(f"{place}: {message.removesuffix('.')}.", {"place": place, "message": message})

    def stop_if_any(self) -> None:
        """Raise LabelFileRefused when there are problems and these are to stop the import."""
        count, first = self._rows.count, self._rows.first
        if count and self._options.on_error == "stop" and not self._options.dry_run:
            more = f" (and {count - 1:,} more)" if count > 1 else ""
            raise LabelFileRefused(
                f"{self._file_name}, {first[0].removesuffix('.')}{more}.",
                hint="Nothing was changed. Mend the file, or bring in the rest: on errors, skip.",
                problems=first,
                count=count,
            )


class _Import:
    """One run; see `import_label_file`."""

    def __init__(
        self,
        queue: LabelingQueue,
        tool: str,
        options: LabelImportOptions,
        actor: Any,
        problems: _Problems,
        progress: Progress | None,
    ) -> None:
        self._queue, self._tool, self._options, self._actor = queue, tool_called(tool), options, actor
        self._problems, self._progress = problems, progress
        self._shape, self._type, self._inputs = answer_shape(queue), answer_type(queue), InputReader(queue)
        self._staged = ImportedLabels(queue, people=options.people)
        self._left_out: dict[str, int] = {}
        self._annotators: set[str] = set()
        self._tasks = 0
        self._checked: dict[str, tuple[str, str]] = {}

    def run(self, source: BinaryIO) -> LabelImport:
        self._stage_all(source)
        self._problems.stop_if_any()
        if not self._tasks:
            raise LabelFileRefused(
                f"The file holds nothing: found no task in it, expected some of {self._tool.title}.",
                hint="Export it once more from where it comes from.",
            )
        missing = self._staged.match()
        added = self._add_examples() if missing and self._options.add_examples else 0
        for task in self._staged.unmatched():
            self._problems.add(task.place, _unmatched(task.why, task.name))
        self._problems.stop_if_any()
        self._tell("Comparing with what is here")
        compared = self._staged.compare(MOST_TOLD)
        self._tell_taken(compared)
        self._problems.stop_if_any()
        suggestions = self._write(compared)
        return LabelImport(
            tool=self._tool.name,
            dry_run=self._options.dry_run,
            tasks=self._tasks,
            added=compared.new,
            changed=compared.changed,
            same=compared.same,
            superseded=compared.superseded,
            left_out=self._left_out,
            suggestions=suggestions,
            examples_added=added,
            other_input=compared.other_input,
            annotators=len(self._annotators),
        )

    def _tell_taken(self, compared: Compared) -> None:
        for place, annotator in compared.taken:
            self._problems.add(
                place, f"“{annotator}” gave another answer here; a label of a person is not replaced"
            )

    def _write(self, compared: Compared) -> int:
        suggestions = self._staged.suggest() if self._options.suggestions else 0
        items = self._staged.write() if compared.new or compared.changed else []
        if not self._options.dry_run:
            for done in self._staged.settle(items, self._actor):
                self._tell("Settling", done, len(items))
        return suggestions

    def _tell(self, words: str, done: int = 0, total: int | None = None) -> None:
        if self._progress is not None:
            self._progress(done, total, words)

    # --- reading ---------------------------------------------------------------------------------------------------

    def _stage_all(self, source: BinaryIO) -> None:
        tasks = self._tool.read(source, self._options.annotator or self._tool.name)
        while batch := list(islice(tasks, _BATCH)):
            self._stage(batch)
            self._tell("Reading", self._tasks)

    def _stage(self, batch: list[ReadTask | Unreadable]) -> None:
        tasks, labels, suggestions = [], [], []
        for task in batch:
            self._tasks += 1
            if isinstance(task, Unreadable):
                self._problems.add(task.place, task.message)
                continue
            number = self._tasks
            if not (task.given or task.left_out or task.guesses or self._options.add_examples):
                self._leave_out("task without labels")
                continue
            for reason in task.left_out:
                self._leave_out(reason)
            labels += [
                label for given in task.given if (label := self._label(number, task, given)) is not None
            ]
            if self._options.suggestions:
                suggestions += [
                    s for guess in task.guesses if (s := self._guess(number, task, guess)) is not None
                ]
            tasks.append(
                StagedTask(
                    number,
                    task.place,
                    task.example,
                    list(task.external_ids),
                    self._inputs.inputs(task.data),
                    task.own_id,
                )
            )
        self._staged.stage(tasks, labels, suggestions)

    def _leave_out(self, reason: str) -> None:
        self._left_out[reason] = self._left_out.get(reason, 0) + 1

    def _label(self, number: int, task: ReadTask, given: Given) -> StagedLabel | None:
        annotator = given.annotator.strip()
        if trouble := annotator_trouble(annotator) or _notes_trouble(given.notes):
            self._problems.add(task.place, trouble)
            return None
        value = self._value(task, f"“{annotator}”", given.answers, loose=given.loose)
        if value is None:
            return None
        self._annotators.add(annotator)
        return StagedLabel(
            number, annotator, value, given.confidence, given.notes, given.duration_ms, given.labeled_at
        )

    def _guess(self, number: int, task: ReadTask, guess: Guess) -> StagedSuggestion | None:
        source = "".join(c for c in guess.source if c.isprintable()).strip()[:MAX_SOURCE] or self._tool.title
        value = self._value(task, f"the prediction of “{source}”", guess.answers)
        return None if value is None else StagedSuggestion(number, source, value, guess.confidence)

    def _value(
        self, task: ReadTask, whose: str, answers: Mapping[str, Any], *, loose: bool = False
    ) -> str | None:
        """Return an answer as canonical JSON, or None after telling what is wrong with it."""
        key = canonical_text([answers, loose])
        known = self._checked.get(key)
        if known is None:
            known = self._composed(answers, loose)
            if len(self._checked) < _BATCH:
                self._checked[key] = known
        value, trouble = known
        if trouble == REJECTED:
            self._leave_out(REJECTED)
            return None
        if trouble:
            self._problems.add(task.place, f"{whose}: {trouble}")
            return None
        return value

    def _composed(self, answers: Mapping[str, Any], loose: bool) -> tuple[str, str]:
        """Return (canonical JSON, "") or ("", what is wrong)."""
        if set(answers) == {REJECTED}:
            main = self._shape.main
            others = [one for one in main.choices if one != answers[REJECTED]] if main is not None else []
            if main is None or len(main.choices) != 2 or len(others) != 1:
                return "", REJECTED  # of more than two, nobody knows which one it is instead
            answers = {main.name: others[0]}
        renamed = {self._options.fields.get(name, name): value for name, value in answers.items()}
        try:
            value = self._shape.compose(renamed, loose=loose)
        except NoSuchField as error:
            return "", f"{error} Say which one is meant: a control = a field"
        if violations := self._type.violations(value):
            return "", violations[0].message
        return canonical_text(value), ""

    # --- examples that are not here --------------------------------------------------------------------------------

    def _add_examples(self) -> int:
        """Make examples of the tasks that none fits and whose data the type allows as input; return how many."""
        added = 0
        for documents in _parts(self._documents(), _ADDED_AT_ONCE):
            result = bulk_upsert(
                branch=self._queue.branch,
                documents=documents,
                actor=self._actor,
                options=ImportOptions(type_name=self._queue.example_type.name),
            )
            added += result.added
        if added:
            refresh_queue(queue=self._queue)
            self._staged.match()
        return added

    def _documents(self) -> Iterator[dict[str, Any]]:
        seen: set[str] = set()
        for task in self._staged.unmatched():
            key = task.external_id or (task.inputs[0] if task.inputs else "")
            if task.why != "unknown" or not task.inputs or key in seen:
                continue
            seen.add(key)
            document = {"input": orjson.loads(task.inputs[0])}
            yield {"id": task.external_id, **document} if task.external_id else document


def _parts(documents: Iterator[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    every = list(documents)  # read whole: the next look for unmatched tasks comes after these are there
    for start in range(0, len(every), size):
        yield every[start : start + size]


def _unmatched(why: str, name: str) -> str:
    called = f" “{name}”" if name else ""
    if why == "ambiguous":
        return f"several examples have this very input{called}; name the example by external_id"
    if why == "outside":
        return f"the dataset has the example{called}, but not the queue: its type or the queue's filters leave it out"
    if why == "gone":
        return f"the example{called} has left the working copy, or the queue's filters; refresh the queue"
    return f"no example of the queue fits the task{called}: neither its id nor its input is known; add it, or leave it out"


def _notes_trouble(notes: str) -> str:
    return f"notes of {len(notes)} characters, expected up to {MAX_NOTES}" if len(notes) > MAX_NOTES else ""


__all__ = ["LabelFileRefused", "LabelImport", "LabelImportOptions", "MalformedRow", "import_label_file"]
