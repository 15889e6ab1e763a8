"""The measured pieces of work on a corpus; each runs in a process of its own, as those of `steps`."""

from __future__ import annotations

import itertools
import random
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

_VOCABULARY = 30_000
_CHUNKS_PER_ANALYSIS = 10
_WORDS_PER_CHUNK = 60
_NAMES = uuid.UUID("6f1d2a9e-3f0a-4c56-8f7b-2f9f5f0f7b11")
_DIMENSION = 384
_STORED_AT_ONCE = 2000
_WARM_UP = 20


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


def make_corpus(name: str, chunks: str, seed: str = "7") -> dict[str, Any]:
    """Save `chunks` generated chunks through the service, with history and marks for the lexical index.

    Two corpora of one database need different seeds: their chunks have ids that depend on it.
    """
    from datasets_app.services.corpus.analyses import save_analyses
    from datasets_app.services.corpus.corpora import create_corpus

    corpus = create_corpus(name=name, actor=None)
    made = drafts(int(chunks), int(seed))
    return {"seconds": _timed(lambda: save_analyses(corpus=corpus, drafts=made, actor=None))}


def make_queries(name: str, count: str) -> dict[str, Any]:
    """Queries made of six words of a chunk, which they expect."""
    from datasets_app.models import Chunk
    from datasets_app.services.corpus.drafts import QueryDraft
    from datasets_app.services.corpus.queries import save_queries

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


class SeededEmbedder:
    """Gives random unit vectors, the same ones each time, in place of a model's."""

    dimension = _DIMENSION

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def embed_passages(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        vectors: npt.NDArray[np.float32] = self._rng.standard_normal((len(texts), _DIMENSION), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    embed_queries = embed_passages

    def close(self) -> None:
        pass


def bench_model() -> Any:
    """Return the current model; it is this one from now on, whose vectors no model made."""
    from datasets_app.models import EmbeddingModel

    EmbeddingModel.objects.exclude(name="bench").update(is_current=False)
    return EmbeddingModel.objects.get_or_create(
        name="bench", provider="minilm", dimension=_DIMENSION, is_current=True
    )[0]


def store_vectors(name: str) -> dict[str, Any]:
    """Seeded unit vectors in place of embeddings, and the index over them."""
    from datasets_app.models import Chunk
    from datasets_app.services.retrieval import stored_vectors
    from datasets_app.services.retrieval.embedding import build_index

    model, embedder = bench_model(), SeededEmbedder(5)
    hashes = Chunk.objects.filter(analysis__corpus=corpus_of(name)).values_list("content_hash", flat=True)
    distinct = sorted({bytes(found) for found in hashes.iterator()})

    def write() -> None:
        for start in range(0, len(distinct), _STORED_AT_ONCE):
            page = distinct[start : start + _STORED_AT_ONCE]
            stored_vectors.store_vectors(model, page, embedder.embed_passages([""] * len(page)))

    return {
        "seconds": _timed(write),
        "index_seconds": _timed(lambda: build_index(model)),
        "vectors": len(distinct),
    }


# What pgvector has to do alone for as many candidates: no chunks, no corpus, and the smallest ef_search that gives them.
_HNSW_ALONE = """
SELECT content_hash, vector::vector({dimension}) <=> %s::vector({dimension})
  FROM datasets_app_embedding WHERE model_id = {model}
 ORDER BY vector::vector({dimension}) <=> %s::vector({dimension}) LIMIT 100
"""


def search_times(name: str, queries: str = "200") -> dict[str, Any]:
    """Milliseconds of hybrid queries and of their parts, one after the other for each query; no query is embedded.

    Kinds: hnsw (the statement alone), vector (that leg), lexical (that leg), hybrid. `cpu` is what the process and its
    session of the database worked together, which other work on the machine lengthens less than the time that passed.
    """
    from django.db import connection

    from datasets_app.services.retrieval import searching
    from datasets_app.services.retrieval.lexical_search import lexical_top
    from datasets_app.services.retrieval.vector_search import nearest

    corpus, model, writer = corpus_of(name), bench_model(), Writer(13)
    embedder = SeededEmbedder(17)
    patch.object(searching, "embedder_for", lambda _: embedder).start()  # this process ends with the step
    alone = _HNSW_ALONE.format(dimension=_DIMENSION, model=model.pk)
    cursor = connection.cursor()
    cursor.execute("SELECT set_config('hnsw.ef_search', '100', false), pg_backend_pid()")
    session = Path(f"/proc/{cursor.fetchone()[1]}/schedstat")

    def worked() -> float:
        return time.process_time() + (int(session.read_text().split()[0]) / 1e9 if session.exists() else 0.0)

    def hnsw(text: str, vector: npt.NDArray[np.float32]) -> int:
        literal = str(vector.tolist())
        cursor.execute(alone, [literal, literal])
        return len(cursor.fetchall())

    kinds: dict[str, Callable[[str, npt.NDArray[np.float32]], int]] = {
        "hnsw": hnsw,
        "vector": lambda text, vector: len(nearest(corpus, model, vector, 100)),
        "lexical": lambda text, vector: len(lexical_top(corpus, text, 100)),
        "hybrid": lambda text, vector: len(searching.search(corpus=corpus, text=text).hits),
    }
    least = {"lexical": 1, "hybrid": 10}
    passed: dict[str, list[float]] = {kind: [] for kind in kinds}
    cpu: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(int(queries) + _WARM_UP):
        text, vector = writer.text(6), embedder.embed_queries([""])[0]
        for kind, ask in kinds.items():
            work, begun = worked(), time.perf_counter()
            found = ask(text, vector)
            passed[kind].append(1000 * (time.perf_counter() - begun))
            cpu[kind].append(1000 * (worked() - work))
            assert found >= least.get(kind, 100), (kind, text, found)
    result = {f"{kind}_{which}_ms": value for kind in kinds for which, value in _quantiles(passed[kind])}
    result |= {f"{kind}_cpu_{which}_ms": value for kind in kinds for which, value in _quantiles(cpu[kind])}
    for which in ("p10", "median"):
        result[f"ratio_{which}"] = result[f"hybrid_{which}_ms"] / result[f"hnsw_{which}_ms"]
        result[f"ratio_cpu_{which}"] = result[f"hybrid_cpu_{which}_ms"] / result[f"hnsw_cpu_{which}_ms"]
    return result


def _quantiles(times: list[float]) -> Iterator[tuple[str, float]]:
    warm = times[_WARM_UP:]
    cuts = statistics.quantiles(warm, n=20)
    yield from (("p10", cuts[1]), ("median", statistics.median(warm)), ("p95", cuts[18]))


def search_rate(name: str, queries: str = "1000") -> dict[str, Any]:
    """Hybrid answers to many queries at once, as evaluations ask for them; no query is embedded."""
    from datasets_app.services.retrieval import searching

    corpus, writer = corpus_of(name), Writer(13)
    bench_model()
    embedder = SeededEmbedder(17)
    patch.object(searching, "embedder_for", lambda _: embedder).start()  # this process ends with the step
    options = searching.SearchOptions(limit=100)
    texts = [writer.text(6) for _ in range(int(queries))]
    next(searching.search_many(corpus=corpus, texts=texts[:1], options=options))
    answers: list[Any] = []
    begun = time.process_time()
    seconds = _timed(
        lambda: answers.extend(searching.search_many(corpus=corpus, texts=texts, options=options))
    )
    assert all(len(answer.hits) == 100 and not answer.warnings for answer in answers)
    return {
        "seconds": seconds,
        "client_cpu_seconds": time.process_time() - begun,
        "queries_per_second": len(texts) / seconds,
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
    return {"seconds": statistics.median(again), "errors": len(first.errors)}


def evaluate(name: str) -> dict[str, Any]:
    """Evaluate the lexical leg over all queries of a corpus."""
    from datasets_app.services.evaluation.running import EvaluationOptions
    from datasets_app.services.evaluation.running import evaluate as run_evaluation
    from datasets_app.services.retrieval.searching import SearchOptions

    options = EvaluationOptions(search=SearchOptions(legs=("lexical",)))
    runs: list[Any] = []
    seconds = _timed(lambda: runs.append(run_evaluation(corpus=corpus_of(name), options=options, actor=None)))
    return {"seconds": seconds, "queries_per_second": runs[0].query_count / seconds}


def without_vectors() -> dict[str, Any]:
    """Let no embedding model be the current one, so that nothing misses vectors."""
    from datasets_app.models import EmbeddingModel

    return {"models": EmbeddingModel.objects.update(is_current=False)}


if __name__ == "__main__":
    from tests.bench.steps import main

    main(globals())
