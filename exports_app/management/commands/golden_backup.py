"""golden_backup: write everything golden that the database holds into a folder, or as one file to any destination."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from exports_app.backup.destinations import is_url
from exports_app.backup.encryption import fresh_key
from exports_app.backup.packing import COMPRESSIONS
from exports_app.backup.retention import parse_retention
from exports_app.backup.writing import INLINE_EXAMPLES
from exports_app.services.archives import ArchiveOptions, create_archive
from exports_app.services.backups import BackupOptions, as_text, create_backup
from exports_app.services.dumps import create_dump
from exports_app.services.git_commits import commit_backup
from goldenproject.kit.commands import GoldenCommand, Outcome, UsageError


class Command(GoldenCommand):
    help = (
        "Back up all golden data, with versions, working copies and history. Into a folder: files made for git, which are "
        "not touched where nothing changed. As one file (--archive, or a URL): packed, compressed, encrypted if wanted."
    )

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--output",
            metavar="DEST",
            help="a folder, made if need be, or a URL such as s3://bucket/golden (archives only)",
        )
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
        parser.add_argument(
            "--git-commit",
            action="store_true",
            help="commit the files in the git repository that holds the folder; nothing when nothing changed",
        )
        archives = parser.add_argument_group("archives: one file a backup")
        archives.add_argument(
            "--archive", action="store_true", help="one file into the folder, as into a URL"
        )
        archives.add_argument("--compress", choices=tuple(COMPRESSIONS), help="default: zstd")
        archives.add_argument(
            "--encrypt",
            action="store_true",
            help="AES-256-GCM with GOLDEN_BACKUP_KEY or GOLDEN_BACKUP_PASSPHRASE of the environment",
        )
        archives.add_argument(
            "--keep",
            default="",
            metavar="RULES",
            help="then delete older archives but the newest of each of the last hours, days …: "
            "hourly=24,daily=7,weekly=4,monthly=12,yearly=3, any of them",
        )
        archives.add_argument("--keep-last", type=int, metavar="N", help="keep the N newest, too")
        archives.add_argument(
            "--keep-dry-run", action="store_true", help="tell what would be deleted; delete nothing"
        )
        archives.add_argument("--make-key", action="store_true", help="only print a fresh key for --encrypt")

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        if not options["output"]:
            raise UsageError("Say where to: --output DIR, or a URL.")
        if _wants_archive(options):
            return self._archive(actor, options)
        directory = Path(options["output"]).absolute()
        if options["format"] == "dump":
            if options["git_commit"]:
                raise UsageError("A native dump is not for git: --git-commit goes with --format json.")
            result = create_dump(directory=directory, actor=actor)
            return Outcome(result.document(), f"Dumped the database to {directory}.")
        with self.progress("Backing up") as report:
            result = create_backup(
                directory=directory, actor=actor, options=_backup_options(options), progress=report
            )
        document, text = result.document(), as_text(result)
        if options["git_commit"]:
            made = commit_backup(result)
            document["git_commit"] = made.hash or None
            text += f"\nCommitted {made.hash[:12]}." if made.hash else "\nNothing to commit."
        return Outcome(document, text)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["make_key"]:  # for which no database is needed
            self._options = options
            key = fresh_key()
            self._show(Outcome({"key": key}, key))
        else:
            super().handle(*args, **options)

    def _archive(self, actor: Any, options: dict[str, Any]) -> Outcome:
        if options["git_commit"]:
            raise UsageError("Archives are not for git: --git-commit goes with a folder.")
        chosen = ArchiveOptions(
            backup=_backup_options(options),
            format=options["format"],
            compression=options["compress"] or "zstd",
            encrypt=options["encrypt"],
            retention=parse_retention(options["keep"], options["keep_last"]),
            keep_dry_run=options["keep_dry_run"],
        )
        with self.progress("Backing up") as report:
            result = create_archive(place=options["output"], actor=actor, options=chosen, progress=report)
        return Outcome(result.document(), result.as_text())


def _wants_archive(options: dict[str, Any]) -> bool:
    asked = ("archive", "compress", "encrypt", "keep", "keep_dry_run")
    return is_url(options["output"]) or options["keep_last"] is not None or any(options[n] for n in asked)


def _backup_options(options: dict[str, Any]) -> BackupOptions:
    return BackupOptions(options["description"], options["single_file_limit"])
