"""golden_search: ask a corpus, and see why each chunk came up."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from rich.text import Text

from datasets_app.domain.retrieval.boosts import Boosts
from datasets_app.domain.retrieval.fusion import RRF_K
from datasets_app.domain.roles import Action
from datasets_app.management.dataset_command import allow, line, lines
from datasets_app.models import Corpus
from datasets_app.services.corpus.corpora import get_corpus
from datasets_app.services.retrieval.searching import (
    FUSIONS,
    LEGS,
    SearchAnswer,
    SearchOptions,
    ShownHit,
    search,
    with_chunks,
)
from goldenproject.kit.commands import GoldenCommand, Outcome, UsageError

_EXCERPT = 100
_CONTENT_TYPE = "content_type:"


class Command(GoldenCommand):
    help = "Search the chunks of a corpus by words and by meaning, and show why each came up."

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("query", metavar="QUERY", help="what to look for")
        parser.add_argument("--corpus", metavar="NAME", help="the corpus (default: the default corpus)")
        parser.add_argument("--k", type=int, default=10, metavar="N", help="how many hits (default 10)")
        parser.add_argument("--legs", default=",".join(LEGS), help="lexical, vector or both (default both)")
        parser.add_argument(
            "--fusion", choices=FUSIONS, default=FUSIONS[0], help="how the legs become one ranking"
        )
        parser.add_argument(
            "--rrf-k", type=int, default=RRF_K, metavar="N", help=f"constant of RRF (default {RRF_K})"
        )
        parser.add_argument(
            "--weights", metavar="LEG=W,…", default="", help="for example lexical=0.3,vector=0.7"
        )
        parser.add_argument(
            "--boosts",
            metavar="WHAT=W,…",
            default="",
            help=f"title=0.3, path=0.1, {_CONTENT_TYPE}NAME=1.2 (a factor); none by default",
        )
        parser.add_argument("--candidates", type=int, default=100, metavar="N", help="hits of each leg (100)")
        parser.add_argument("--model", metavar="NAME", help="embedding model (default: the current one)")
        parser.add_argument(
            "--exact", action="store_true", help="compare with every vector, without the HNSW index"
        )
        parser.add_argument("--explain", action="store_true", help="show boosts, text and times too")

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        allow(actor, Action.VIEW, None)
        corpus = get_corpus(options["corpus"])
        how = _search_options(options)
        answer = search(corpus=corpus, text=options["query"], options=how)
        hits = with_chunks(answer.hits)
        text = lines(_rows(corpus, answer, hits, explain=options["explain"]))
        return Outcome(_document(corpus, options["query"], how, answer, hits), text)


def _search_options(options: dict[str, Any]) -> SearchOptions:
    boosts = _numbers("--boosts", options["boosts"], ("title", "path"), _CONTENT_TYPE)
    return SearchOptions(
        limit=options["k"],
        candidates=options["candidates"],
        legs=tuple(part.strip() for part in options["legs"].split(",") if part.strip()),
        fusion=options["fusion"],
        rrf_k=options["rrf_k"],
        weights={**dict.fromkeys(LEGS, 1.0), **_numbers("--weights", options["weights"], LEGS)},
        boosts=Boosts(
            title=boosts.get("title", 0.0),
            path=boosts.get("path", 0.0),
            content_types={
                name.removeprefix(_CONTENT_TYPE): factor
                for name, factor in boosts.items()
                if name.startswith(_CONTENT_TYPE)
            },
        ),
        model=options["model"],
        exact=options["exact"],
    )


def _numbers(option: str, text: str, names: tuple[str, ...], prefix: str = "\0") -> dict[str, float]:
    """Read "name=number,…", the names of `names` or with `prefix`. Raises UsageError."""
    found: dict[str, float] = {}
    for part in (part.strip() for part in text.split(",") if part.strip()):
        name, _, number = part.rpartition("=")
        try:
            known = name in names or name.startswith(prefix)
            found[name] = float(number) if known else float("nan")
        except ValueError:
            known = False
        if not known:
            wanted = ", ".join([*names, f"{prefix}NAME"] if prefix.isprintable() else names)
            raise UsageError(f"{option}: found {part!r}, expected NAME=NUMBER with a name of {wanted}.")
    return found


def _document(
    corpus: Corpus, query: str, how: SearchOptions, answer: SearchAnswer, hits: list[ShownHit]
) -> dict[str, Any]:
    return {
        "corpus": corpus.name,
        "query": query,
        "options": how.document(),
        "hits": [_hit_document(rank, shown) for rank, shown in enumerate(hits, start=1)],
        "warnings": answer.warnings,
        "timings_ms": answer.timings,
    }


def _hit_document(rank: int, shown: ShownHit) -> dict[str, Any]:
    hit, chunk = shown.hit, shown.chunk
    return {
        "rank": rank,
        "chunk": hit.chunk_id,
        "score": hit.score,
        "lexical": {"rank": hit.lexical_rank, "score": hit.lexical_score},
        "vector": {"rank": hit.vector_rank, "score": hit.vector_score},
        "boosts": dict(hit.boosts),
        "url": chunk.analysis.url,
        "section_title": chunk.section_title,
        "section_path": chunk.section_path,
        "content_type": chunk.content_type,
        "content": chunk.content,
    }


def _rows(corpus: Corpus, answer: SearchAnswer, hits: list[ShownHit], *, explain: bool) -> list[Text]:
    rows = [line((warning, "yellow")) for warning in answer.warnings]
    if not hits:
        return [*rows, line(f"Nothing found in the corpus “{corpus.name}”.")]
    rows.append(line(("  #    score  lexical        vector         chunk", "bold")))
    for rank, shown in enumerate(hits, start=1):
        rows += _hit_rows(rank, shown, explain=explain)
    if explain:
        rows.append(line(("ms: " + ", ".join(f"{n} {ms:.1f}" for n, ms in answer.timings.items()), "dim")))
    return rows


def _hit_rows(rank: int, shown: ShownHit, *, explain: bool) -> list[Text]:
    hit, chunk = shown.hit, shown.chunk
    lexical, vector = _leg(hit.lexical_rank, hit.lexical_score), _leg(hit.vector_rank, hit.vector_score)
    title = chunk.section_title or _excerpt(chunk.content)
    rows = [line(f"{rank:>3}  {hit.score:>7.4f}  {lexical:<13}  {vector:<13}  ", (title, "bold"))]
    if explain:
        boosts = ", ".join(f"{name} × {factor:.3g}" for name, factor in hit.boosts.items()) or "none"
        rows += [
            line(" " * 14, (f"{hit.chunk_id}  {chunk.section_path}  boosts: {boosts}", "dim")),
            line(" " * 14, (chunk.analysis.url, "cyan")),
            line(" " * 14, _excerpt(chunk.content)),
        ]
    return rows


def _leg(rank: int | None, score: float | None) -> str:
    return "—" if rank is None else f"#{rank} {score:.3f}"


def _excerpt(text: str) -> str:
    one_line = " ".join(text[: 4 * _EXCERPT].split())
    return one_line if len(one_line) <= _EXCERPT else one_line[: _EXCERPT - 1] + "…"
