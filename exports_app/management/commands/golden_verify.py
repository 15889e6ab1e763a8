"""golden_verify: prove that a backup, or the database, holds what it says."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from datasets_app.services.corpus.corpora import get_corpus
from datasets_app.services.corpus.source_checks import SourceCheckReport, check_sources
from exports_app.services.archives import opened_source
from exports_app.services.verification import verify_directory, verify_installation
from goldenproject.kit.commands import EXIT_FAILED, GoldenCommand, Outcome, UsageError


class Command(GoldenCommand):
    help = (
        "Verify the backup in a folder, for which no database is needed, or without a folder the database itself. "
        "Ends with one line that says passed or failed: the gate before a deployment."
    )

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "source",
            nargs="?",
            metavar="SOURCE",
            help="a folder that golden_backup wrote, an archive, or a folder or URL of archives (the newest is taken)",
        )
        parser.add_argument(
            "--at",
            default="",
            metavar="WHEN",
            help="of several archives: the newest at this time, or its name",
        )
        parser.add_argument(
            "--deep", action="store_true", help="read everything, not only what changed since the last run"
        )
        parser.add_argument("--strict", action="store_true", help="warnings fail too")
        sources = parser.add_argument_group("sources of the corpus")
        sources.add_argument(
            "--check-sources",
            action="store_true",
            help="also fetch the URLs of completed analyses again and tell which have changed, moved or gone",
        )
        sources.add_argument("--corpus", metavar="NAME", help="with --check-sources: of this corpus alone")
        sources.add_argument(
            "--limit",
            type=int,
            metavar="N",
            help="with --check-sources: so many at most, those looked at longest ago",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self._options = options
        if options["source"]:  # find no actor: a file is verified without any database
            outcome = self.run(actor=None, options=options)
            self._show(outcome)
            self._exit_code = outcome.exit_code
        else:
            super().handle(*args, **options)

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        if options["source"] and options["check_sources"]:
            raise UsageError("--check-sources looks at the database's sources, not at those of a backup.")
        if options["at"] and not options["source"]:
            raise UsageError("--at chooses among archives: name the folder or URL that holds them.")
        with self.progress("Verifying") as report:
            if options["source"]:
                with opened_source(options["source"], options["at"]) as source:
                    result = verify_directory(source.folder, deep=options["deep"], progress=report)
                    result.errors = [source.named(text) for text in result.errors]
            else:
                result = verify_installation(deep=options["deep"], actor=actor)
        sources = self._sources(actor, options) if options["check_sources"] else None
        warned = bool(result.warnings) or (sources is not None and bool(sources.notable))
        failed = not result.valid or (options["strict"] and warned)
        document, text = result.as_dict(), result.as_text()
        if sources is not None:
            document["sources"], text = sources.as_dict(), f"{sources.as_text()}\n{text}"
        return Outcome(document, text, exit_code=EXIT_FAILED if failed else 0)

    def _sources(self, actor: Any, options: dict[str, Any]) -> SourceCheckReport:
        corpus = get_corpus(options["corpus"]) if options["corpus"] else None
        with self.progress("Fetching sources") as report:
            return check_sources(corpus=corpus, actor=actor, limit=options["limit"], progress=report)
