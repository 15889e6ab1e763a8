"""How good search is on published collections: each leg alone, and both fused, through the real services.

    python -m tests.bench.retrieval_quality --data DIR [--set scifact|cacm|codebase|python311_docs] [--lexical-only]

DIR holds a folder for each set: BEIR-shaped (corpus.jsonl, queries.jsonl, qrels/test.tsv), or for codebase the files
codebase_chunks.json and evaluation_set.jsonl of the guide to contextual retrieval. Works in a database that is dropped at
the end. pass@20 is the share of a query's expected chunks among the first 20, averaged (recall@20). MAP looks at 100 hits.
Embedding takes its time: minutes for the 5,183 abstracts of scifact.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django

METRICS = ("ndcg@10", "recall@100", "map", "recall@20")
HEADINGS = ("nDCG@10", "recall@100", "MAP", "pass@20")
SOURCES = {
    "scifact": "https://github.com/allenai/scifact",
    "cacm": "https://ir.dcs.gla.ac.uk/resources/test_collections/cacm/",
    "codebase": "https://github.com/anthropics/claude-cookbooks/blob/main/skills/contextual-embeddings/data/codebase_chunks.json",
    "python311_docs": "",
}


@dataclass(frozen=True)
class Line:
    """The mean metrics of one way to search, and how many queries it answered a second, embedding not counted."""

    way: str
    means: dict[str, float]
    queries_per_second: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--set", action="append", choices=list(SOURCES), help="default: all")
    parser.add_argument("--lexical-only", action="store_true", help="embed nothing")
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "goldenproject.settings.test")
    django.setup()
    for name in arguments.set or list(SOURCES):
        measure(name, arguments.data, lexical_only=arguments.lexical_only)


def measure(name: str, data: Path, *, lexical_only: bool) -> None:
    """Import a set into a database of its own, embed it, print a line for each way to search."""
    from tests.template_database import cloned, connected_to

    with cloned() as database, connected_to(database), beir_folder(name, data) as folder:
        corpus, judgments, texts = load(name, folder)
        print(f"\n{name}: {len(texts):,} judged queries", flush=True)
        if not lexical_only:
            started = time.perf_counter()
            report = embed()
            print(f"embedded in {time.perf_counter() - started:.0f} s: {report}", flush=True)
        print(f"{'':<28}{''.join(f'{heading:>12}' for heading in HEADINGS)}{'queries/s':>12}")
        for way, options in ways(lexical_only=lexical_only):
            line = evaluate(way, corpus, judgments, texts, options)
            figures = "".join(f"{line.means[metric]:>12.4f}" for metric in METRICS)
            print(f"{line.way:<28}{figures}{line.queries_per_second:>12.0f}", flush=True)


def ways(*, lexical_only: bool) -> Iterator[tuple[str, Any]]:
    """Yield what is measured: a name and SearchOptions."""
    from datasets_app.services.retrieval.searching import SearchOptions

    yield "lexical", SearchOptions(limit=100, legs=("lexical",))
    if lexical_only:
        return
    yield "vector", SearchOptions(limit=100, legs=("vector",))
    yield "rrf", SearchOptions(limit=100)
    yield "convex", SearchOptions(limit=100, fusion="convex")
    for lexical in (0.3, 0.4, 0.6, 0.7):
        weights = {"lexical": lexical, "vector": round(1 - lexical, 1)}
        name = f"{lexical}/{weights['vector']}"
        yield f"rrf, weights {name}", SearchOptions(limit=100, weights=weights)
        yield f"convex, weights {name}", SearchOptions(limit=100, fusion="convex", weights=weights)


def load(name: str, folder: Path) -> tuple[Any, dict[Any, dict[Any, int]], dict[Any, str]]:
    """Import the folder; return the corpus, the judgments and the texts of the judged queries, by id."""
    from datasets_app.models import ExpectedChunk, TestQuery
    from datasets_app.services.corpus.beir import BeirOptions, import_beir
    from datasets_app.services.corpus.corpora import create_corpus

    corpus = create_corpus(name=name, actor=None)
    options = BeirOptions(source_url=SOURCES[name], judged_only=True)
    import_beir(corpus=corpus, folder=folder, actor=None, options=options)
    texts = dict(TestQuery.objects.filter(corpus=corpus).values_list("id", "text"))
    judgments: dict[Any, dict[Any, int]] = {}
    for query, chunk, relevance in ExpectedChunk.objects.values_list("query_id", "chunk_id", "relevance"):
        judgments.setdefault(query, {})[chunk] = relevance
    return corpus, judgments, {query: text for query, text in texts.items() if query in judgments}


def embed() -> Any:
    from datasets_app.services.retrieval.embedding import embed_missing
    from datasets_app.services.retrieval.embedding_models import get_model

    return embed_missing(model=get_model(), actor=None)


def evaluate(
    way: str, corpus: Any, judgments: dict[Any, dict[Any, int]], texts: dict[Any, str], options: Any
) -> Line:
    from datasets_app.domain.retrieval.metrics import means, score_queries
    from datasets_app.services.retrieval.searching import search_many

    started = time.perf_counter()
    answers = list(search_many(corpus=corpus, texts=list(texts.values()), options=options))
    seconds = time.perf_counter() - started
    embedding = sum(answer.timings.get("embed", 0.0) for answer in answers) / 1000
    found = {
        query: [hit.chunk_id for hit in answer.hits] for query, answer in zip(texts, answers, strict=True)
    }
    scores = score_queries(judgments, found, METRICS)
    return Line(way, means(scores.by_query.values()), len(texts) / (seconds - embedding))


@contextmanager
def beir_folder(name: str, data: Path) -> Iterator[Path]:
    """Yield a BEIR-shaped folder of the set; that of codebase is written for the occasion."""
    if name != "codebase":
        yield data / name
        return
    source = data / "anthropic_codebase_rag"
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "qrels").mkdir()
        documents = json.loads((source / "codebase_chunks.json").read_text())
        write_lines(
            folder / "corpus.jsonl",
            [
                {
                    "_id": f"{document['original_uuid']}-{chunk['original_index']}",
                    "title": "",
                    "text": chunk["content"],
                }
                for document in documents
                for chunk in document["chunks"]
            ],
        )
        asked = [json.loads(line) for line in (source / "evaluation_set.jsonl").read_text().splitlines()]
        write_lines(
            folder / "queries.jsonl",
            [{"_id": str(number), "text": query["query"]} for number, query in enumerate(asked)],
        )
        rows = [
            f"{number}\t{document}-{index}\t1"
            for number, query in enumerate(asked)
            for document, index in query["golden_chunk_uuids"]
        ]
        (folder / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *rows, ""]))
        yield folder


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
