"""golden_restore: bring a backup back, all of it or nothing."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

from exports_app.backup.dumping import is_dump
from exports_app.backup.layout import MAIN
from exports_app.services.archives import opened_source
from exports_app.services.dumps import restore_dump
from exports_app.services.restores import (
    ON_CONFLICT,
    RestoreOptions,
    RestoreResult,
    as_text,
    restore_backup,
)
from exports_app.services.verification import verify_installation
from goldenproject.kit.commands import EXIT_FAILED, GoldenCommand, Outcome, UsageError

EXIT_FINDINGS = 2


class Command(GoldenCommand):
    help = (
        "Restore a backup in one transaction and verify it. What cannot be trusted (checksum, structure, newer format, "
        "duplicate ids) is refused; what is wrong with the content is restored and reported with exit code 2."
    )

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "source",
            metavar="SOURCE",
            help="the folder that golden_backup wrote, an archive, or a folder or URL of archives (the newest is taken)",
        )
        parser.add_argument(
            "--at",
            default="",
            metavar="WHEN",
            help="of several archives: the newest at this time, or its name",
        )
        parser.add_argument(
            "--replace",
            action="store_true",
            help="delete what the database holds first; a safety backup of it is taken and named",
        )
        parser.add_argument(
            "--on-conflict",
            choices=ON_CONFLICT,
            default="error",
            help="a dataset or type that is there already by id: refuse (default), leave it, or take the backup's",
        )
        parser.add_argument("--dry-run", action="store_true", help="tell what would happen; change nothing")
        parser.add_argument(
            "--strict", action="store_true", help="refuse a backup whose content has findings"
        )
        parser.add_argument(
            "--format", choices=("json", "dump"), help="which one, when the folder holds both"
        )
        parser.add_argument("--safety-dir", metavar="DIR", help="where safety backups go")

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        chosen = RestoreOptions(
            replace=options["replace"],
            on_conflict=options["on_conflict"],
            dry_run=options["dry_run"],
            strict=options["strict"],
            safety_dir=Path(options["safety_dir"]).absolute() if options["safety_dir"] else None,
        )
        if chosen.replace and chosen.on_conflict != "error":
            raise UsageError("--replace leaves nothing that --on-conflict could be about.")
        with opened_source(options["source"], options["at"]) as source:
            chosen = replace(chosen, source=source.shown)
            found = self._restore(source.folder, actor, chosen, options["format"])
        result = replace(found, directory=source.shown)
        document, text, code = result.document(), as_text(result), EXIT_FINDINGS if result.findings else 0
        if not result.dry_run:
            verification = verify_installation(check_backup=False)
            document["verification"] = verification.as_dict()
            text += "\n" + verification.as_text()
            code = code if verification.valid else EXIT_FAILED
        return Outcome(document, text, exit_code=code)

    def _restore(
        self, directory: Path, actor: Any, chosen: RestoreOptions, wanted: str | None
    ) -> RestoreResult:
        if wanted == "dump" or (wanted is None and is_dump(directory) and not (directory / MAIN).exists()):
            return restore_dump(directory=directory, actor=actor, options=chosen)
        with self.progress("Restoring") as report:
            return restore_backup(directory=directory, actor=actor, options=chosen, progress=report)
