"""BM25 against the published figures of Anserini (BM25, k1 = 0.9, b = 0.4, title and text in one field).

SciFact: nDCG@10 .6789, recall@100 .9253 (anserini, beir-v1.0.0-scifact.flat). CACM: MAP .3123 over the 52 judged topics
(anserini, cacm.yaml).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import pytest
from ir_measures import AP, R, calc_aggregate, nDCG

from datasets_app.domain.retrieval import bm25
from datasets_app.domain.retrieval.english import terms
from datasets_app.domain.retrieval.postings import SegmentBuilder, unpack
from datasets_app.models import Analysis, Chunk, Corpus
from datasets_app.models.corpus import searched_text
from datasets_app.services.retrieval.searching import SearchOptions, search_many

Qrels = dict[str, dict[str, int]]
Run = dict[str, dict[str, float]]
NAMESPACE = UUID(int=0)


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def judgments(folder: Path) -> Qrels:
    found: Qrels = {}
    for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, score = line.split("\t")
        found.setdefault(query, {})[document] = int(score)
    return found


def queries(folder: Path, judged: Qrels) -> dict[str, str]:
    return {row["_id"]: row["text"] for row in rows(folder / "queries.jsonl") if row["_id"] in judged}


def bm25_run(folder: Path, judged: Qrels, depth: int) -> Run:
    """Rank by the analyser and BM25 alone, without a database."""
    names = {uuid5(NAMESPACE, row["_id"]).bytes: row for row in rows(folder / "corpus.jsonl")}
    builder = SegmentBuilder()
    for key in sorted(names):
        builder.add(key, terms(searched_text(names[key]["title"], names[key]["text"])))
    packed = builder.build()
    segment = bm25.Segment(
        np.frombuffer(packed.chunk_ids, "S16"), np.frombuffer(packed.lengths, "<u4").astype(np.float64)
    )
    postings = {found.term: unpack(found.document_frequency, found.packed) for found in packed.terms}
    known = bm25.statistics([segment])
    return {
        query: {
            names[hit.chunk_id]["_id"]: hit.score
            for hit in bm25.top(terms(text), [segment], [postings], known, depth)
        }
        for query, text in queries(folder, judged).items()
    }


def test_bm25__scifact__as_published(shared_data: Path) -> None:
    folder = shared_data / "scifact"
    judged = judgments(folder)
    measured = calc_aggregate([nDCG @ 10, R @ 100], judged, bm25_run(folder, judged, 100))
    assert len(judged) == 300
    assert measured[nDCG @ 10] >= 0.675
    assert measured[R @ 100] >= 0.92


def test_bm25__cacm__as_published(shared_data: Path) -> None:
    folder = shared_data / "cacm"
    judged = judgments(folder)
    measured = calc_aggregate([AP], judged, bm25_run(folder, judged, 1000))
    assert len(judged) == 52
    assert measured[AP] >= 0.30


@pytest.mark.django_db
def test_lexical_leg__cacm_through_the_database__same_ranking_as_the_formula(shared_data: Path) -> None:
    folder = shared_data / "cacm"
    judged = judgments(folder)
    corpus = Corpus.objects.create(name="cacm")
    url = "https://dl.acm.org/magazine/cacm"
    analysis = Analysis.objects.create(
        corpus=corpus, url=url, canonical_url=url, content_type="abstracts", status="completed"
    )
    documents = list(rows(folder / "corpus.jsonl"))
    Chunk.objects.bulk_create(
        Chunk(
            id=uuid5(NAMESPACE, row["_id"]),
            analysis=analysis,
            content=row["text"],
            section_title=row["title"],
            section_path=row["_id"],
            chunk_index=place,
        )
        for place, row in enumerate(documents)
    )
    names = {uuid5(NAMESPACE, row["_id"]): row["_id"] for row in documents}
    asked = queries(folder, judged)
    options = SearchOptions(legs=("lexical",), limit=1000, candidates=1000)
    answers = search_many(corpus=corpus, texts=list(asked.values()), options=options)
    run = {
        query: {names[hit.chunk_id]: hit.score for hit in answer.hits}
        for query, answer in zip(asked, answers, strict=True)
    }
    assert run == bm25_run(folder, judged, 1000)
