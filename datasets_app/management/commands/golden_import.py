"""golden_import: bring the rows of a file into a working copy."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from rich.text import Text

from datasets_app.domain.roles import Action
from datasets_app.errors import UnknownDataset
from datasets_app.management.dataset_command import DatasetCommand, allow, line, lines
from datasets_app.models import Branch, Dataset
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.importing import ImportOptions, ImportResult, import_file
from datasets_app.services.curation.types import get_type
from datasets_app.services.versioning.refs import get_branch, get_dataset
from goldenproject.kit.audit import acting
from goldenproject.kit.commands import Outcome, UsageError

STDIN = "-"


class Command(DatasetCommand):
    help = (
        "Import a file into the working copy of a dataset, all of it or nothing. A row whose id is there already "
        "updates that example; an equal row changes nothing. Commit with golden_commit afterwards."
    )

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        self.add_dataset(parser, branch=True)
        parser.add_argument("file", metavar="FILE", help="the file, or - for stdin (then say --format)")
        parser.add_argument(
            "--type", metavar="TYPE", help="example type of the rows (default: the dataset's)"
        )
        parser.add_argument(
            "--format",
            metavar="FORMAT",
            help="jsonl, json, csv, tsv or parquet (default: by the file's ending)",
        )
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="COLUMN=FIELD",
            help="where a column goes: id, input.NAME, output.NAME, labels.NAME, metadata.NAME, or - to leave it out (repeatable)",
        )
        parser.add_argument(
            "--create", action="store_true", help="make the dataset if there is none of this name"
        )
        parser.add_argument(
            "--on-error",
            choices=("stop", "skip", "report"),
            default="stop",
            help="at a row that cannot be taken: stop and import nothing (default), skip it, or skip and report it",
        )
        parser.add_argument(
            "--report", metavar="PATH", help="file for the refused rows (default: FILE.refused.jsonl)"
        )

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        import_options = _import_options(options)
        # one transaction: a dataset made for a file that is refused is not left behind
        with (
            acting(actor, f"import {options['file']}"),
            self.progress(f"Importing {options['file']}") as report,
        ):
            branch, created = self._target(actor, options)
            result = import_file(
                branch=branch,
                source=sys.stdin.buffer if options["file"] == STDIN else options["file"],
                actor=actor,
                options=import_options,
                progress=report,
            )
        return Outcome(_document(branch, created, result), _text(branch, created, result))

    def _target(self, actor: Any, options: dict[str, Any]) -> tuple[Branch, bool]:
        try:
            dataset = get_dataset(options["dataset"])
        except UnknownDataset as error:
            if not options["create"]:
                error.hint = f"{error.hint} Say --create to make it.".strip()
                raise
            allow(actor, Action.EDIT, None)
            return self._created(actor, options).main, True
        allow(actor, Action.IMPORT, dataset)
        return get_branch(dataset, options["branch"]), False

    def _created(self, actor: Any, options: dict[str, Any]) -> Dataset:
        if options["branch"]:
            raise UsageError("A new dataset has only its branch main.", hint="Leave --branch out.")
        own_type = get_type(options["type"]) if options["type"] else None
        return create_dataset(name=options["dataset"], actor=actor, default_type=own_type)


def _import_options(options: dict[str, Any]) -> ImportOptions:
    if options["file"] == STDIN and not options["format"]:
        raise UsageError(
            "Standard input has no name to tell its format by.", hint="Say --format jsonl, csv, …"
        )
    if options["report"] and options["on_error"] != "report":
        raise UsageError("--report goes with --on-error report.")
    report = None
    if options["on_error"] == "report":
        name = "stdin" if options["file"] == STDIN else Path(options["file"]).name
        report = options["report"] or f"{name}.refused.jsonl"
    return ImportOptions(
        type_name=options["type"],
        format=options["format"],
        mapping=dict(_pair(text) for text in options["map"]),
        on_error=options["on_error"],
        report_path=report,
    )


def _pair(text: str) -> tuple[str, str]:
    column, equals, field = text.rpartition("=")
    if not equals or not column or not field:
        raise UsageError(f"--map {text}: expected COLUMN=FIELD, such as text=input.text.")
    return column, field


def _document(branch: Branch, created: bool, result: ImportResult) -> dict[str, Any]:
    return {
        "dataset": branch.dataset.name,
        "branch": branch.name,
        "created": created,
        "read": result.read,
        "added": result.added,
        "changed": result.changed,
        "unchanged": result.unchanged,
        "refused": result.refused,
        "report": result.report_path,
        "first_refusals": list(result.first_refusals),
    }


def _text(branch: Branch, created: bool, result: ImportResult) -> Text:
    rows = [line(f"Made dataset “{branch.dataset}”.")] if created else []
    rows.append(
        line(
            f"Read {result.read:,} rows into {branch}: {result.added:,} added, {result.changed:,} changed, "
            f"{result.unchanged:,} unchanged, {result.refused:,} refused."
        )
    )
    rows += [line((f"  refused: {sentence}", "yellow")) for sentence in result.first_refusals]
    if result.refused > len(result.first_refusals):
        rows.append(line(f"  … and {result.refused - len(result.first_refusals):,} more"))
    if result.report_path:
        rows.append(line(f"The refused rows are in {result.report_path}."))
    return lines(rows)
