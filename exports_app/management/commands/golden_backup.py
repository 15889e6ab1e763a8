"""golden_backup: write everything golden that the database holds into a folder."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from exports_app.backup.writing import INLINE_EXAMPLES
from exports_app.services.backups import BackupOptions, as_text, create_backup
from exports_app.services.dumps import create_dump
from goldenproject.kit.commands import GoldenCommand, Outcome


class Command(GoldenCommand):
    help = (
        "Back up all datasets with their versions, working copies and history into a folder. "
        "Where nothing changed since the last backup there, no file is touched."
    )

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--output", required=True, metavar="DIR", help="the folder; made if need be")
        parser.add_argument(
            "--format",
            choices=("json", "dump"),
            default="json",
            help="json: format 1.0, for version control (default); dump: PostgreSQL's own, exact and fast",
        )
        parser.add_argument(
            "--description", default="", metavar="TEXT", help="what changed, in your words, for the metadata"
        )
        parser.add_argument(
            "--single-file-limit",
            type=int,
            default=INLINE_EXAMPLES,
            metavar="N",
            help=f"up to N examples all is in one file (default {INLINE_EXAMPLES})",
        )

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        directory = Path(options["output"]).absolute()
        if options["format"] == "dump":
            result = create_dump(directory=directory, actor=actor)
            return Outcome(result.document(), f"Dumped the database to {directory}.")
        with self.progress("Backing up") as report:
            result = create_backup(
                directory=directory,
                actor=actor,
                options=BackupOptions(options["description"], options["single_file_limit"]),
                progress=report,
            )
        return Outcome(result.document(), as_text(result))
