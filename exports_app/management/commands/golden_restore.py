"""golden_restore: bring a backup back, all of it or nothing."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets_app.services.evaluation.gates import parse_floors
from exports_app.backup.dumping import is_dump
from exports_app.backup.layout import MAIN
from exports_app.services.archives import opened_source
from exports_app.services.dumps import restore_dump
from exports_app.services.evaluations import evaluate_all
from exports_app.services.restores import (
    ON_CONFLICT,
    RestoreOptions,
    RestoreResult,
    as_text,
    restore_backup,
)
from exports_app.services.scratch import DrillOptions, run_drill
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
            help="a dataset, type, analysis or test query that is there already by id: refuse (default), leave it, "
            "or take the backup's",
        )
        parser.add_argument("--dry-run", action="store_true", help="tell what would happen; change nothing")
        parser.add_argument(
            "--strict", action="store_true", help="refuse a backup whose content has findings"
        )
        parser.add_argument(
            "--format", choices=("json", "dump"), help="which one, when the folder holds both"
        )
        parser.add_argument(
            "--no-embeddings",
            action="store_true",
            help="leave the vectors that are missing to golden_embed; verify misses them until then",
        )
        parser.add_argument("--safety-dir", metavar="DIR", help="where safety backups go")
        parser.add_argument(
            "--evaluate", action="store_true", help="then ask all test queries, and tell how many passed"
        )
        parser.add_argument(
            "--fail-under",
            action="append",
            default=[],
            metavar="METRIC=FLOOR",
            help="with --evaluate: fail when a corpus stays below, such as pass_rate=0.9",
        )
        parser.add_argument(
            "--into-scratch",
            action="store_true",
            help="the drill: restore into a throw-away database, verify and evaluate there, drop it; "
            "this database is left alone",
        )

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        floors = parse_floors(options["fail_under"])
        if floors and not (options["evaluate"] or options["into_scratch"]):
            raise UsageError("--fail-under says something with --evaluate or --into-scratch only.")
        if options["into_scratch"]:
            return self._drill(actor, options)
        chosen = RestoreOptions(
            replace=options["replace"],
            on_conflict=options["on_conflict"],
            dry_run=options["dry_run"],
            strict=options["strict"],
            safety_dir=Path(options["safety_dir"]).absolute() if options["safety_dir"] else None,
            embeddings=not options["no_embeddings"],
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
            if not verification.valid:
                code = EXIT_FINDINGS if verification.sound else EXIT_FAILED
        if options["evaluate"] and not result.dry_run:
            with self.progress("Evaluating") as report:
                evaluations = evaluate_all(actor=actor, floors=floors, progress=report)
            document["evaluations"] = [found.document() for found in evaluations]
            text = "\n".join([text, *(found.as_text() for found in evaluations)])
            code = EXIT_FAILED if any(found.failures for found in evaluations) else code
        return Outcome(document, text, exit_code=code)

    def _drill(self, actor: Any, options: dict[str, Any]) -> Outcome:
        wrong = [name for name in ("replace", "dry_run", "safety_dir") if options[name]]
        if wrong or options["on_conflict"] != "error":
            raise UsageError(
                "--into-scratch restores into an empty database: nothing there can be replaced or kept."
            )
        arguments = [f"--fail-under={floor}" for floor in options["fail_under"]]
        arguments += ["--strict"] if options["strict"] else []
        arguments += ["--no-embeddings"] if options["no_embeddings"] else []
        arguments += [f"--format={options['format']}"] if options["format"] else []
        with self.progress("Restore drill"):
            result = run_drill(
                place=options["source"], actor=actor, options=DrillOptions(options["at"], tuple(arguments))
            )
        return Outcome(result.report(), result.as_text(), exit_code=result.exit_code)

    def _restore(
        self, directory: Path, actor: Any, chosen: RestoreOptions, wanted: str | None
    ) -> RestoreResult:
        if wanted == "dump" or (wanted is None and is_dump(directory) and not (directory / MAIN).exists()):
            return restore_dump(directory=directory, actor=actor, options=chosen)
        with self.progress("Restoring") as report:
            return restore_backup(directory=directory, actor=actor, options=chosen, progress=report)
