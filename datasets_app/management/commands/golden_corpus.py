"""golden_corpus: the corpora, what is in them, and files into them."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Count, Q
from rich.text import Text

from datasets_app.domain.roles import Action
from datasets_app.errors import UnknownCorpus
from datasets_app.management.dataset_command import DatasetCommand, allow, line, lines
from datasets_app.models import Analysis, Artifact, Chunk, Corpus, TestQuery
from datasets_app.services.corpus.analyses import delete_analysis, get_analysis
from datasets_app.services.corpus.beir import BeirOptions, BeirReport, import_beir
from datasets_app.services.corpus.corpora import create_corpus, default_corpus, get_corpus
from datasets_app.services.corpus.importing import CorpusImportOptions, CorpusImportReport, import_corpus
from goldenproject.kit.audit import acting
from goldenproject.kit.commands import Outcome, UsageError


class Command(DatasetCommand):
    help = (
        "List the corpora, make one, show what is in one, delete an analysis, or import: analyses in format 1.0, test "
        "queries, or a retrieval benchmark in the shape of BEIR."
    )

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        actions.add_parser("list", help="every corpus with its counts")
        create = actions.add_parser("create", help="make an empty corpus")
        create.add_argument("name", metavar="NAME")
        create.add_argument("--description", default="", help="what it is for")
        show = actions.add_parser("show", help="the counts of a corpus")
        _corpus_argument(show)
        _add_import(actions.add_parser("import", help="analyses (.json, .jsonl) or test queries (.jsonl)"))
        _add_import_beir(actions.add_parser("import-beir", help="a folder in the shape of BEIR"))
        delete = actions.add_parser("delete-analysis", help="delete an analysis with its chunks")
        delete.add_argument("id", metavar="ID", help="the UUID of the analysis")
        delete.add_argument("--yes", action="store_true", help="do not ask")
        for sub in actions.choices.values():
            # after the action, too; not said there, what was said before it holds
            sub.add_argument("--json", action="store_true", default=SUPPRESS, help="print one JSON document")
            sub.add_argument("--user", metavar="NAME", default=SUPPRESS, help="act as this user")

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        run = {
            "list": self._list,
            "create": self._create,
            "show": self._show_corpus,
            "import": self._import,
            "import-beir": self._import_beir,
            "delete-analysis": self._delete,
        }[options["action"]]
        return run(actor, options)

    def _list(self, actor: Any, options: dict[str, Any]) -> Outcome:
        allow(actor, Action.VIEW, None)
        corpora = [_counts(corpus) for corpus in Corpus.objects.order_by("name")]
        rows = [
            line(
                (row["name"], "bold"),
                f"  {row['analyses']:,} analyses, {row['chunks']:,} chunks, {row['queries']:,} test queries",
            )
            for row in corpora
        ]
        return Outcome({"corpora": corpora}, lines(rows) if rows else "There is no corpus yet.")

    def _create(self, actor: Any, options: dict[str, Any]) -> Outcome:
        corpus = create_corpus(name=options["name"], description=options["description"], actor=actor)
        return Outcome({"id": str(corpus.pk), "name": corpus.name}, f"Made corpus “{corpus}”.")

    def _show_corpus(self, actor: Any, options: dict[str, Any]) -> Outcome:
        allow(actor, Action.VIEW, None)
        counts = _counts(get_corpus(options["corpus"]))
        rows = [line((counts["name"], "bold"))]
        if counts["description"]:
            rows.append(line(counts["description"]))
        pending, failed = counts["pending"], counts["failed"]
        rows += [
            line(f"Analyses:      {counts['analyses']:,} completed, {pending:,} pending, {failed:,} failed"),
            line(f"Chunks:        {counts['chunks']:,}"),
            line(f"Findings:      {counts['findings']:,}"),
            line(f"Artifacts:     {counts['artifacts']:,}"),
            line(
                f"Test queries:  {counts['queries']:,}, of which {counts['queries_without_expected']:,} expect nothing"
            ),
        ]
        if counts["breaking_contract"]:
            rows.append(line((f"{counts['breaking_contract']:,} URLs break the contract", "red")))
        return Outcome(counts, lines(rows))

    def _import(self, actor: Any, options: dict[str, Any]) -> Outcome:
        if not options["file"] and not options["queries"]:
            raise UsageError("Say which file to import, or --queries FILE.")
        reports = []
        # one transaction: queries that are refused take the analyses before them back out
        with acting(actor, "import into corpus"), self.progress("Importing") as report:
            corpus = _corpus_to_fill(options, actor)
            for file, kind in ((options["file"], ""), (options["queries"], "queries")):
                if file:
                    how = CorpusImportOptions(kind, options["on_existing"])
                    reports.append(
                        import_corpus(
                            corpus=corpus, source=Path(file), actor=actor, options=how, progress=report
                        )
                    )
            if options["dry_run"]:  # at the end, since the queries expect chunks of the analyses
                transaction.set_rollback(True)
                reports = [replace(one, dry_run=True) for one in reports]
        document = {"corpus": corpus.name, "imports": [one.document() for one in reports]}
        return Outcome(document, lines([row for one in reports for row in _import_lines(corpus, one)]))

    def _import_beir(self, actor: Any, options: dict[str, Any]) -> Outcome:
        with acting(actor, "import into corpus"), self.progress("Importing") as report:
            corpus = _corpus_to_fill(options, actor)
            how = BeirOptions(
                source_url=options["source_url"],
                split=options["split"],
                content_type=options["content_type"],
                tags=tuple(options["tag"]),
                judged_only=options["judged_only"],
                dry_run=options["dry_run"],
            )
            told = import_beir(
                corpus=corpus, folder=Path(options["folder"]), actor=actor, options=how, progress=report
            )
            if options["dry_run"]:  # a corpus made for it goes, too
                transaction.set_rollback(True)
        return Outcome({"corpus": corpus.name, **told.document()}, lines(_beir_lines(corpus, told)))

    def _delete(self, actor: Any, options: dict[str, Any]) -> Outcome:
        analysis = get_analysis(options["id"])
        self.confirm(f"Delete {analysis.url} with its chunks?", yes=options["yes"])
        delete_analysis(analysis=analysis, actor=actor)
        return Outcome({"deleted": options["id"], "url": analysis.url}, f"Deleted {analysis.url}.")


def _corpus_argument(parser: ArgumentParser) -> None:
    parser.add_argument("--corpus", metavar="NAME", help="the corpus (default: the one called default)")


def _add_import(parser: ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="FILE", help="a .json or .jsonl file")
    _corpus_argument(parser)
    parser.add_argument("--create", action="store_true", help="make the corpus if there is none of this name")
    parser.add_argument("--queries", metavar="FILE", help="test queries (.jsonl) to import after it")
    parser.add_argument(
        "--on-existing",
        choices=("update", "skip", "refuse"),
        default="update",
        help="what is there already by id or URL: update it (default), skip it, or refuse the whole",
    )
    parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")


def _add_import_beir(parser: ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="with corpus.jsonl, queries.jsonl and qrels/*.tsv")
    _corpus_argument(parser)
    parser.add_argument("--create", action="store_true", help="make the corpus if there is none of this name")
    parser.add_argument(
        "--split", default="", metavar="NAME", help="qrels/NAME.tsv (default: the only one, else test)"
    )
    parser.add_argument(
        "--source-url",
        default="",
        metavar="URL",
        help="address of documents without metadata.url: of the collection, or with {id} of each document",
    )
    parser.add_argument("--content-type", default="document", metavar="TYPE", help="of new analyses")
    parser.add_argument(
        "--tag", action="append", default=[], metavar="TAG", help="for new queries (repeatable)"
    )
    parser.add_argument(
        "--judged-only", action="store_true", help="leave out queries that this split does not judge"
    )
    parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")


def _corpus_to_fill(options: dict[str, Any], actor: Any) -> Corpus:
    if options["corpus"] is None:
        return default_corpus()  # not the demo, though it may be the only one
    try:
        return get_corpus(options["corpus"])
    except UnknownCorpus as error:
        if not options["create"]:
            error.hint = f"{error.hint} Say --create to make it.".strip()
            raise
        return create_corpus(name=options["corpus"], actor=actor)


def _counts(corpus: Corpus) -> dict[str, Any]:
    """Count what is in a corpus: chunks, findings and artifacts of completed analyses."""
    statuses = dict(corpus.analyses.order_by().values_list("status").annotate(Count("id")))
    completed = Analysis.objects.filter(corpus=corpus, status=Analysis.Status.COMPLETED)
    queries = TestQuery.objects.filter(corpus=corpus)
    judged = queries.filter(Q(expectations__relevance__gt=0)).distinct().count()
    total = queries.count()
    return {
        "id": str(corpus.pk),
        "name": corpus.name,
        "description": corpus.description,
        "analyses": statuses.get("completed", 0),
        "pending": statuses.get("pending", 0),
        "failed": statuses.get("failed", 0),
        "chunks": Chunk.objects.filter(analysis__in=completed).count(),
        "findings": completed.aggregate(n=Count("findings"))["n"],
        "artifacts": Artifact.objects.filter(analysis__in=completed).count(),
        "queries": total,
        "queries_without_expected": total - judged,
        "breaking_contract": corpus.analyses.exclude(url_violation="").count(),
    }


def _import_lines(corpus: Corpus, report: CorpusImportReport) -> list[Text]:
    verb = "Would import" if report.dry_run else "Imported"
    what = "analyses" if report.kind == "analyses" else "test queries"
    more = (
        f"{report.chunks_added:,} chunks added, {report.chunks_updated:,} updated, {report.chunks_removed:,} removed"
        if report.kind == "analyses"
        else f"{report.judgments:,} judgments"
    )
    text = (
        f"{verb} {report.read:,} {what} into “{corpus}”: {report.added:,} added, {report.updated:,} updated, "
        f"{report.unchanged:,} unchanged, {report.skipped:,} skipped; {more}."
    )
    return [line(text), *(line((warning, "yellow")) for warning in report.warnings)]


def _beir_lines(corpus: Corpus, report: BeirReport) -> list[Text]:
    verb = "Would import" if report.dry_run else "Imported"
    return [
        line(
            f"{verb} {report.documents:,} documents into “{corpus}”: {report.chunks_added:,} chunks added, "
            f"{report.chunks_updated:,} updated, of {report.analyses_added:,} new sources."
        ),
        line(
            f"{report.queries:,} queries: {report.queries_added:,} added, {report.queries_updated:,} updated, "
            f"{report.queries_unchanged:,} unchanged; {report.judgments:,} judgments of the split {report.split}, "
            f"of which {report.judged_not_relevant:,} not relevant."
        ),
        *(line((warning, "yellow")) for warning in report.warnings),
    ]
