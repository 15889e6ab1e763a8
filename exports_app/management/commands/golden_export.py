"""golden_export: write a version to a file, or to a file for each part of a split."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from rich.text import Text

from datasets_app.domain.roles import Action
from datasets_app.domain.splits import parse_split
from datasets_app.management.dataset_command import DatasetCommand, allow, count, line, lines
from datasets_app.services.versioning.refs import parse_dataset_ref
from exports_app.services.exporting import STDOUT, ExportOptions, ExportResult, export_version
from goldenproject.kit.commands import Outcome, UsageError


class Command(DatasetCommand):
    help = (
        "Write a version to a file, in the order of import: committed examples only, those of the default branch unless "
        "@REF says otherwise. With --split, or into a directory, it comes with SHA256SUMS and a dataset card."
    )

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "dataset",
            metavar="DATASET[@REF]",
            help="the dataset, and the version: branch, tag, commit, HEAD~n",
        )
        parser.add_argument(
            "--format", default="jsonl", choices=("jsonl",), help="format of the files (default jsonl)"
        )
        parser.add_argument(
            "--output", required=True, metavar="PATH", help="file or directory to write; - is stdout"
        )
        parser.add_argument(
            "--type",
            action="append",
            default=[],
            metavar="TYPE",
            help="only examples of this type (repeatable)",
        )
        parser.add_argument(
            "--status",
            action="append",
            default=[],
            metavar="STATUS",
            help="only pending, validated or rejected examples (repeatable)",
        )
        parser.add_argument(
            "--split", metavar="NAME=SHARE,…", help="parts and shares, such as train=.8,val=.1,test=.1"
        )
        parser.add_argument(
            "--seed", type=int, default=0, metavar="N", help="another seed gives another split (default 0)"
        )
        parser.add_argument(
            "--stratify", action="store_true", help="give each part the same share of every class"
        )
        parser.add_argument("--force", action="store_true", help="replace what is there")

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        wanted = parse_dataset_ref(options["dataset"])
        allow(actor, Action.VIEW, wanted.dataset)
        export_options = ExportOptions(
            format=options["format"],
            types=tuple(options["type"]),
            statuses=tuple(options["status"]),
            split=parse_split(options["split"], options["seed"]) if options["split"] else None,
            stratify=options["stratify"],
            replace=options["force"],
            as_directory=options["output"].endswith("/"),
        )
        output = Path(options["output"])
        to_stdout = output == STDOUT
        if to_stdout and options["json"]:
            raise UsageError("With --output - the examples themselves go to stdout, so --json has no place.")
        with self.progress(f"Exporting {options['dataset']}") as report:
            result = export_version(
                dataset=wanted.dataset,
                ref=wanted.ref,
                output=output,
                actor=actor,
                options=export_options,
                stdout=_binary_stdout(self.stdout) if to_stdout else None,
                progress=report,
            )
        return Outcome(_document(result), "" if to_stdout else _text(result))


def _binary_stdout(wrapper: Any) -> Any:
    stream = getattr(wrapper, "_out", sys.stdout)
    return getattr(stream, "buffer", stream)


def _document(result: ExportResult) -> dict[str, Any]:
    return {
        "dataset": result.dataset.name,
        "commit": result.commit.commit_hash,
        "path": result.path,
        "rows": result.rows,
        "files": [
            {"name": f.name, "rows": f.rows, "bytes": f.size_bytes, "sha256": f.sha256, "classes": f.classes}
            for f in result.files
        ],
        "redacted": result.redacted,
        "redacted_examples": list(result.redacted_names),
        "filtered": result.filtered,
        "in_no_part": result.in_no_part,
    }


def _text(result: ExportResult) -> Text:
    rows = [
        line(
            f"Wrote {count(result.rows, 'example')} of {result.dataset}@",
            (result.commit.short_hash, "yellow"),
            f" to {result.path}",
        )
    ]
    if len(result.files) > 1:
        rows += [line(f"  {f.name}  {f.rows:,}") for f in result.files]
    if result.filtered:
        rows.append(line(f"{result.filtered:,} left out by --type or --status."))
    if result.in_no_part:
        rows.append(line(f"{result.in_no_part:,} in no part: the shares are less than 1 together."))
    if result.redacted:
        names = ", ".join(result.redacted_names) + (
            ", …" if result.redacted > len(result.redacted_names) else ""
        )
        rows.append(line((f"{result.redacted:,} redacted, so left out: {names}", "yellow")))
    return lines(rows)
