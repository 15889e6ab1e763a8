"""golden_labels: labels of Label Studio, Argilla, doccano and Prodigy into a queue, and out of it."""

from __future__ import annotations

import os
import tempfile
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

from rich.text import Text

from datasets_app.domain.roles import Action
from datasets_app.management.dataset_command import allow, count, line, lines
from datasets_app.services.versioning.refs import get_dataset
from exports_app.integrations.tools import TOOLS
from exports_app.services.label_export import LabelExport, LabelExportOptions, export_label_file, export_name
from exports_app.services.label_files import LabelImport, LabelImportOptions, import_label_file
from goldenproject.kit.commands import FileTrouble, GoldenCommand, Outcome, UsageError
from labeling_app.models import LabelingQueue
from labeling_app.services.queues import get_queue


class Command(GoldenCommand):
    help = (
        "Bring labels of another annotation tool into a queue (import), or write those of a queue as that tool exports "
        "them (export). Every annotator is kept. An import is all or nothing; the same file twice adds nothing."
    )

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        kinds = parser.add_subparsers(dest="way", required=True, metavar="import|export")
        for way, told in (("import", "bring a file in"), ("export", "write a file")):
            made = kinds.add_parser(way, help=told)
            made.add_argument("queue", metavar="QUEUE", help="name or id of the labeling queue")
            made.add_argument(
                "file", metavar="FILE", help="the file" if way == "import" else "file or folder to write"
            )
            made.add_argument("--tool", required=True, choices=tuple(TOOLS), help="whose file it is")
            made.add_argument(
                "--dataset", metavar="DATASET", help="of which dataset, where queues share a name"
            )
            made.add_argument("--no-suggestions", action="store_true", help="leave predictions out")
            # after the word, too; not said there, what was said before it holds
            made.add_argument("--json", action="store_true", default=SUPPRESS, help="print one JSON document")
            made.add_argument("--user", metavar="NAME", default=SUPPRESS, help="act as this user")
            _add_import(made) if way == "import" else _add_export(made)

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        dataset = get_dataset(options["dataset"]) if options["dataset"] else None
        queue = get_queue(options["queue"], dataset)
        if options["way"] == "export":
            return self._export(queue, actor, options)
        allow(actor, Action.IMPORT, queue.dataset)
        return self._import(queue, actor, options)

    def _import(self, queue: LabelingQueue, actor: Any, options: dict[str, Any]) -> Outcome:
        path = Path(options["file"])
        asked = LabelImportOptions(
            annotator=options["annotator"],
            people=not options["no_people"],
            add_examples=options["add_examples"],
            on_error=options["on_error"],
            report_path=options["report"],
            fields=dict(map(_field, options["field"])),
            suggestions=not options["no_suggestions"],
            dry_run=options["dry_run"],
        )
        try:
            file = path.open("rb")
        except OSError as error:
            raise FileTrouble(f"{path} cannot be read: {error.strerror}.") from error
        with file, self.progress(f"Reading {path.name}") as report:
            result = import_label_file(
                queue=queue,
                source=file,
                tool=options["tool"],
                actor=actor,
                file_name=path.name,
                options=asked,
                progress=_two(report),
            )
        return Outcome({"queue": str(queue.pk), **result.document()}, _imported(result, queue))

    def _export(self, queue: LabelingQueue, actor: Any, options: dict[str, Any]) -> Outcome:
        target = Path(options["file"])
        if target.is_dir():
            target = target / export_name(queue, options["tool"])
        if target.exists() and not options["force"]:
            raise FileTrouble(f"{target} is there already.", hint="Give another name, or say --force.")
        asked = LabelExportOptions(
            unlabeled=options["all"], suggestions=not options["no_suggestions"], emails=options["emails"]
        )
        try:
            with tempfile.NamedTemporaryFile(
                "w+b", dir=target.parent, prefix=".labels-", delete=False
            ) as file:
                temporary = Path(file.name)
                try:
                    result = export_label_file(
                        queue=queue,
                        tool=options["tool"],
                        file=cast(BinaryIO, file),
                        actor=actor,
                        options=asked,
                    )
                    file.flush()
                    os.fsync(file.fileno())
                    temporary.chmod(0o644)
                    temporary.replace(target)
                except BaseException:
                    temporary.unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise FileTrouble(f"{target} cannot be written: {error.strerror}.") from error
        return Outcome(
            {"queue": str(queue.pk), "path": str(target), **result.document()}, _exported(result, target)
        )


def _add_import(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--annotator",
        default="",
        metavar="NAME",
        help="who gave the answers that name nobody (default: the tool)",
    )
    parser.add_argument(
        "--no-people", action="store_true", help="an annotator called like a user here is not that user"
    )
    parser.add_argument(
        "--add-examples", action="store_true", help="tasks that no example fits become new examples, pending"
    )
    parser.add_argument(
        "--on-error",
        choices=("stop", "skip"),
        default="stop",
        help="bad rows: change nothing (default), or leave them out",
    )
    parser.add_argument("--report", metavar="PATH", help="write bad rows there, with place and message")
    parser.add_argument(
        "--field",
        action="append",
        default=[],
        metavar="CONTROL=FIELD",
        help="which field of the answer a control is, where its name does not tell (repeatable)",
    )
    parser.add_argument("--dry-run", action="store_true", help="tell what would happen; change nothing")


def _add_export(parser: ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="examples without labels too")
    parser.add_argument(
        "--emails",
        action="store_true",
        help="name people by their e-mail address, as Label Studio knows them",
    )
    parser.add_argument("--force", action="store_true", help="replace the file that is there")


def _field(text: str) -> tuple[str, str]:
    control, sign, name = text.partition("=")
    if not sign or not control.strip() or not name.strip():
        raise UsageError(f"--field {text}: expected CONTROL=FIELD, such as sentiment=label.")
    return control.strip(), name.strip()


def _two(report: Callable[..., None]) -> Callable[..., None]:
    """The bar of a command knows counts alone, and these begin anew with each step."""
    return lambda done, total=None, words="": report(done, total) if total or done else None


def _imported(result: LabelImport, queue: LabelingQueue) -> Text:
    would = "Would bring" if result.dry_run else "Brought"
    rows = [
        line(
            f"{would} in {count(result.added, 'label')} by {count(result.annotators, 'annotator')} into {queue.name}: "
            f"{count(result.tasks, 'task')} read, {result.changed:,} labels changed, {result.same:,} here already."
        )
    ]
    if result.examples_added:
        rows.append(line(f"{count(result.examples_added, 'example')} added, pending."))
    if result.suggestions:
        rows.append(line(f"{count(result.suggestions, 'suggestion')} from predictions."))
    rows += [line(f"{number:,} left out: {reason}.") for reason, number in result.left_out.items()]
    if result.superseded:
        rows.append(line(f"{result.superseded:,} left out: the same annotator answered again later."))
    if result.other_input:
        rows.append(
            line(
                (
                    f"{count(result.other_input, 'task')} with another input than here: to be reviewed.",
                    "yellow",
                )
            )
        )
    if result.refused:
        rows.append(line((f"{count(result.refused, 'row')} refused.", "yellow")))
        rows += [line(f"  {problem}") for problem in result.problems]
    if result.report_path:
        rows.append(line(f"All of them: {result.report_path}"))
    return lines(rows)


def _exported(result: LabelExport, target: Path) -> Text:
    rows = [line(f"Wrote {count(result.labels, 'label')} of {count(result.tasks, 'example')} to {target}.")]
    if result.left_out:
        rows.append(
            line((f"{result.left_out:,} left out: their examples are not in the working copy.", "yellow"))
        )
    return lines(rows)
