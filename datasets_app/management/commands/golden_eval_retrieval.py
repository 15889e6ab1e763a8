"""golden_eval_retrieval: ask the test queries, keep the run, and hold the gates of CI."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from datasets_app.domain.retrieval.boosts import Boosts
from datasets_app.domain.retrieval.metrics import SHARE_PASSED
from datasets_app.management.dataset_command import line, lines
from datasets_app.management.evaluation_text import comparison_lines, failing_lines, figures, last_line
from datasets_app.models import Corpus, RetrievalRun
from datasets_app.services.corpus.corpora import get_corpus
from datasets_app.services.evaluation.comparing import compare_runs
from datasets_app.services.evaluation.failing import failing_queries
from datasets_app.services.evaluation.gates import check_gates, parse_floors
from datasets_app.services.evaluation.options import DEFAULT_K, EvaluationOptions, QueryFilter
from datasets_app.services.evaluation.running import evaluate
from datasets_app.services.evaluation.stored_runs import LAST, get_run, last_like, run_document
from datasets_app.services.retrieval.searching import FUSIONS, LEGS, SearchOptions
from goldenproject.kit.commands import EXIT_FAILED, GoldenCommand, Outcome, UsageError

_FILTERS = ("tag", "difficulty", "category")


class Command(GoldenCommand):
    help = "Ask the test queries of a corpus, judge what is found, and keep the run. Exit code 0: passed, 1: a gate failed."

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--corpus", metavar="NAME", help="the corpus (default: the default corpus)")
        parser.add_argument(
            "--queries",
            metavar="FILTER|FILE",
            help="tag=…,difficulty=…,category=… (a tag may come twice: both are needed), or a file with one id a line",
        )
        parser.add_argument("--name", default="", help="what to call the run")
        parser.add_argument(
            "--k", type=int, default=DEFAULT_K, help=f"how many hits count (default {DEFAULT_K})"
        )
        how = parser.add_argument_group("how to search")
        how.add_argument("--model", metavar="NAME", help="embedding model (default: the current one)")
        how.add_argument("--legs", default=",".join(LEGS), help="lexical, vector or both (default both)")
        how.add_argument("--fusion", choices=FUSIONS, default=FUSIONS[0])
        how.add_argument(
            "--weights", metavar="LEG=W,…", default="", help="for example lexical=0.3,vector=0.7"
        )
        how.add_argument("--boosts", metavar="WHAT=W,…", default="", help="for example title=0.3,path=0.1")
        how.add_argument("--candidates", type=int, default=100, help="hits of each leg (default 100)")
        how.add_argument(
            "--exact", action="store_true", help="compare with every vector, without the HNSW index"
        )
        gates = parser.add_argument_group("gates and what to show")
        gates.add_argument(
            "--fail-under",
            action="append",
            default=[],
            metavar="METRIC=FLOOR,…",
            help="pass_rate=0.9,ndcg@10=0.7",
        )
        gates.add_argument(
            "--not-worse-than",
            metavar="RUN",
            help="fail when significantly worse than this run; “last”: the newest over the same choice of queries",
        )
        gates.add_argument(
            "--compare", metavar="RUN", help="show what differs from this run, or from the last"
        )
        gates.add_argument("--failing", type=int, default=0, metavar="N", help="show N failing queries")

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        corpus = get_corpus(options["corpus"])
        floors = parse_floors(options["fail_under"])
        wanted = _evaluation_options(options, floors)
        gate_run = _earlier(options["not_worse_than"], corpus, wanted)
        base = _earlier(options["compare"], corpus, wanted)
        with self.progress("Evaluating") as report:
            run = evaluate(corpus=corpus, options=wanted, actor=actor, progress=report)
        failures = check_gates(run, floors, gate_run)
        comparison = compare_runs(base=base, other=run) if base else None
        failing = failing_queries(run, limit=options["failing"]) if options["failing"] > 0 else []
        document = {
            **run_document(run),
            "valid": not failures,
            "gates": [failure.document() for failure in failures],
            "comparison": comparison.document() if comparison else None,
            "failing": [query.document() for query in failing],
        }
        rows = figures(run) if self.on_terminal else []
        rows += comparison_lines(comparison) if comparison else []
        rows += failing_lines(failing)
        rows += [line((f"Warning: {warning}", "yellow")) for warning in run.warnings]
        if (options["not_worse_than"] and gate_run is None) or (options["compare"] and base is None):
            text = "Warning: there is no earlier run over the same choice of queries and k to compare with."
            rows.append(line((text, "yellow")))
        rows += [line((f"Gate: {failure.message}", "red")) for failure in failures]
        rows.append(last_line(run, failures, gated=bool(floors) or gate_run is not None))
        return Outcome(document, lines(rows), EXIT_FAILED if failures else 0)


def _earlier(key: str | None, corpus: Corpus, options: EvaluationOptions) -> RetrievalRun | None:
    if key is None:
        return None
    return last_like(corpus, options) if key.lower() == LAST else get_run(key, corpus)


def _evaluation_options(options: dict[str, Any], floors: dict[str, float]) -> EvaluationOptions:
    legs = tuple(part.strip() for part in options["legs"].split(",") if part.strip())
    boosts = _numbers("--boosts", options["boosts"], ("title", "path"))
    search = SearchOptions(
        candidates=options["candidates"],
        legs=legs,
        fusion=options["fusion"],
        weights={**dict.fromkeys(LEGS, 1.0), **_numbers("--weights", options["weights"], LEGS)},
        boosts=Boosts(title=boosts.get("title", 0.0), path=boosts.get("path", 0.0)),
        model=options["model"],
        exact=options["exact"],
    )
    return EvaluationOptions(
        search=search,
        k=options["k"],
        query_filter=_query_filter(options["queries"]),
        name=options["name"],
        metrics=tuple(name for name in floors if name != SHARE_PASSED),
    )


def _numbers(option: str, text: str, names: tuple[str, ...]) -> dict[str, float]:
    """Read "name=number,…"."""
    found = {}
    for part in (part.strip() for part in text.split(",") if part.strip()):
        name, _, number = part.partition("=")
        try:
            found[name] = float(number)
        except ValueError:
            found = {"": 0.0}
        if not found.keys() <= set(names):
            raise UsageError(
                f"{option}: found {part!r}, expected NAME=NUMBER with a name of {', '.join(names)}."
            )
    return found


def _query_filter(text: str | None) -> QueryFilter:
    """Read --queries: a filter such as "tag=json,difficulty=hard", or the path of a file of ids."""
    if not text:
        return QueryFilter()
    pairs = [tuple(piece.strip() for piece in part.partition("=")[::2]) for part in text.split(",")]
    if not all(name in _FILTERS and value for name, value in pairs):
        return _ids_from(Path(text))
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    twice = [name for name in ("difficulty", "category") if len(given.get(name, ())) > 1]
    if twice:
        raise UsageError(
            f"--queries: found {twice[0]} more than once, expected it once; only tag may be repeated."
        )
    return QueryFilter(
        tags=tuple(given.get("tag", ())),
        difficulty=given.get("difficulty", [""])[0],
        category=given.get("category", [""])[0],
    )


def _ids_from(path: Path) -> QueryFilter:
    if not path.is_file():
        raise UsageError(
            f"--queries: found {str(path)!r}, which is neither a file nor a filter.",
            hint="A filter is made of tag=…, difficulty=… and category=…, with commas between.",
        )
    try:
        ids = [row.strip() for row in path.read_text(encoding="utf-8-sig").splitlines() if row.strip()]
    except UnicodeDecodeError as error:
        raise UsageError(
            f"--queries: {path} is not UTF-8 text with one id a line: {error.reason}."
        ) from error
    if not ids:
        raise UsageError(f"--queries: {path} holds no id; expected one a line.")
    return QueryFilter(ids=tuple(ids))
