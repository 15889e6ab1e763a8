"""The measured pieces of work on a corpus; each runs in a process of its own, as those of `steps`."""

from __future__ import annotations

import itertools
import random
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

_VOCABULARY = 30_000
_CHUNKS_PER_ANALYSIS = 10
_WORDS_PER_CHUNK = 60
_NAMES = uuid.UUID("6f1d2a9e-3f0a-4c56-8f7b-2f9f5f0f7b11")
_DIMENSION = 384


def word(number: int) -> str:
    """Return the word with this number: pronounceable, always the same, unlike its neighbours."""
    syllables = [
        "ba",
        "ce",
        "di",
        "fo",
        "gu",
        "ha",
        "je",
        "ki",
        "lo",
        "mu",
        "na",
        "pe",
        "qui",
        "ro",
        "su",
        "ta",
        "ve",
        "wi",
        "xo",
        "zu",
    ]
    text = ""
    number += 400  # at least three syllables, so that no stemmer takes two words for one
    while number:
        number, digit = divmod(number, len(syllables))
        text += syllables[digit]
    return text


class Writer:
    """Makes texts whose words are as unevenly frequent as those of a language (Zipf), the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._words = [word(number) for number in range(_VOCABULARY)]
        self._weights = list(itertools.accumulate(1 / (rank + 10) for rank in range(_VOCABULARY)))

    def text(self, words: int) -> str:
        return " ".join(self._rng.choices(self._words, cum_weights=self._weights, k=words))


def drafts(chunks: int, seed: int) -> Iterator[Any]:
    from datasets_app.services.corpus.drafts import AnalysisDraft, ArtifactDraft, ChunkDraft, FindingDraft

    writer = Writer(seed)
    for number in range(chunks // _CHUNKS_PER_ANALYSIS):
        yield AnalysisDraft(
            url=f"https://docs.python.org/bench/{seed}/{number}",
            content_type="documentation",
            findings=[FindingDraft("reader", "summary", writer.text(20), 0.5)],
            chunks=[
                ChunkDraft(
                    content=writer.text(_WORDS_PER_CHUNK),
                    section_title=writer.text(4),
                    section_path=f"page/{number}#{index}",
                    content_type="prose",
                    chunk_index=index,
                    id=uuid.uuid5(_NAMES, f"{seed} {number} {index}"),
                )
                for index in range(_CHUNKS_PER_ANALYSIS)
            ],
            artifact=ArtifactDraft(writer.text(15), [writer.text(6)], {"number": number}),
            id=uuid.uuid5(_NAMES, f"{seed} {number}"),
        )


def _timed(work: Any) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def corpus_of(name: str) -> Any:
    from datasets_app.models import Corpus

    return Corpus.objects.get(name=name)


def make_corpus(name: str, chunks: str) -> dict[str, Any]:
    """Save `chunks` generated chunks through the service, with history and marks for the lexical index."""
    from datasets_app.services.corpus.analyses import save_analyses

    from datasets_app.services.corpus.corpora import create_corpus

    corpus = create_corpus(name=name, actor=None)
    made = drafts(int(chunks), 7)
    return {"seconds": _timed(lambda: save_analyses(corpus=corpus, drafts=made, actor=None))}


def make_queries(name: str, count: str) -> dict[str, Any]:
    """Queries made of six words of a chunk, which they expect."""
    from datasets_app.services.corpus.queries import save_queries

    from datasets_app.models import Chunk
    from datasets_app.services.corpus.drafts import QueryDraft

    corpus, rng = corpus_of(name), random.Random(11)
    rows = Chunk.objects.filter(analysis__corpus=corpus).order_by("id").values_list("id", "content")
    queries = [
        QueryDraft(" ".join(rng.sample(content.split(), 6)), {chunk: 1}, tags=("bench",))
        for chunk, content in rows[: int(count)]
    ]
    return {"seconds": _timed(lambda: save_queries(corpus=corpus, drafts=queries, actor=None))}


def index_lexically(name: str) -> dict[str, Any]:
    from datasets_app.services.retrieval.lexical_index import refresh

    return {"seconds": _timed(lambda: refresh(corpus_of(name)))}


def store_vectors(name: str) -> dict[str, Any]:
    """Seeded unit vectors in place of embeddings, and the index over them."""
    from datasets_app.services.retrieval.embedding import build_index
    from datasets_app.services.retrieval.embedding_models import get_model
    from django.db import connection

    from datasets_app.models import Chunk

    model, rng = get_model(), np.random.default_rng(5)
    hashes = Chunk.objects.filter(analysis__corpus=corpus_of(name)).values_list("content_hash", flat=True)
    distinct = sorted({bytes(found) for found in hashes.iterator()})

    def write() -> None:
        with (
            connection.cursor() as cursor,
            cursor.copy("COPY datasets_app_embedding (model_id, content_hash, vector) FROM STDIN") as copy,
        ):
            for found in distinct:
                vector = rng.standard_normal(_DIMENSION).astype("float32")
                vector /= np.linalg.norm(vector)
                copy.write_row((model.pk, b"\\x" + found.hex().encode(), str(vector.tolist())))

    return {
        "seconds": _timed(write),
        "index_seconds": _timed(lambda: build_index(model)),
        "vectors": len(distinct),
    }


def search_times(name: str) -> dict[str, Any]:
    """Milliseconds of hybrid queries less the embedding of the query, and of the HNSW query alone."""
    from datasets_app.services.retrieval.embedding_models import get_model
    from datasets_app.services.retrieval.vector_search import nearest

    from datasets_app.services.retrieval.searching import SearchOptions, search

    corpus, model, writer = corpus_of(name), get_model(), Writer(13)
    rng = np.random.default_rng(17)
    texts = [writer.text(6) for _ in range(220)]
    hybrid, lexical, embedding, alone = [], [], [], []
    for text in texts:
        timings = search(corpus=corpus, text=text, options=SearchOptions()).timings
        hybrid.append(timings["total"] - timings["embed"])
        lexical.append(timings["lexical"])
        embedding.append(timings["embed"])
        vector = rng.standard_normal(_DIMENSION).astype("float32")
        vector /= np.linalg.norm(vector)
        alone.append(1000 * _timed(lambda: nearest(corpus, model, vector, 100)))  # noqa: B023 - called at once
    warm = slice(20, None)
    kinds = {"hybrid": hybrid, "lexical": lexical, "embed": embedding, "hnsw": alone}
    return {
        f"{kind}_{which}_ms": value
        for kind, times in kinds.items()
        for which, value in (
            ("median", statistics.median(times[warm])),
            ("p95", statistics.quantiles(times[warm], n=20)[18]),
        )
    }


def manage(*arguments: str) -> dict[str, Any]:
    """Run a command; its exit code must be 0 or 2 (restored with findings)."""

    def work() -> None:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments], stdout=subprocess.DEVNULL, check=False
        )
        assert done.returncode in (0, 2), done.returncode

    return {"seconds": _timed(work), "child": True}


def check_unchanged(name: str) -> dict[str, Any]:
    """The corpus' part of verify when nothing changed since the last good run."""
    from datasets_app.services.corpus.verifying import verify_corpus

    first = verify_corpus(deep=True, since=None)
    again = [_timed(lambda: verify_corpus(deep=False, since=first.covered)) for _ in range(5)]
    return {"deep_seconds": None, "seconds": statistics.median(again), "errors": len(first.errors)}


def evaluate(name: str) -> dict[str, Any]:
    """Evaluate the lexical leg over all queries of a corpus."""
    from datasets_app.services.evaluation.running import EvaluationOptions
    from datasets_app.services.evaluation.running import evaluate as run_evaluation

    from datasets_app.services.retrieval.searching import SearchOptions

    options = EvaluationOptions(search=SearchOptions(legs=("lexical",)))
    runs: list[Any] = []
    seconds = _timed(lambda: runs.append(run_evaluation(corpus=corpus_of(name), options=options, actor=None)))
    return {"seconds": seconds, "queries_per_second": runs[0].query_count / seconds}


def file_size(path: str) -> dict[str, Any]:
    return {"bytes": sum(f.stat().st_size for f in Path(path).rglob("*") if f.is_file())}


def without_vectors() -> dict[str, Any]:
    """Let no embedding model be the current one, so that nothing misses vectors."""
    from datasets_app.models import EmbeddingModel

    return {"models": EmbeddingModel.objects.update(is_current=False)}


if __name__ == "__main__":
    from tests.bench.steps import main

    main(globals())
