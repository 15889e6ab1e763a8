"""Hybrid search through the services: what was just edited is found, legs are fused, hits are explained."""

from __future__ import annotations

import math
from typing import Any

import psycopg
import pytest

from datasets_app.domain.retrieval.boosts import Boosts
from datasets_app.errors import EmbeddingTrouble, InvalidSearch, UnknownEmbeddingModel
from datasets_app.models import Chunk, Corpus, EmbeddingModel
from datasets_app.services.retrieval import lexical_index, searching, vector_search
from datasets_app.services.retrieval.searching import SearchOptions, search, search_many, with_chunks
from datasets_app.services.retrieval.vector_index import ensure_index
from tests.integration.retrieval.retrieval_data import (
    ToyEmbedder,
    add_chunks,
    chunk_id,
    embed,
    make_analysis,
    make_corpus,
    make_model,
    unit_vector,
)

pytestmark = pytest.mark.django_db

LEXICAL = SearchOptions(legs=("lexical",))
TEXTS = ["the cat sat", "a dog barked", "cat and dog", "nothing of the kind"]


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> EmbeddingModel:
    monkeypatch.setattr(searching, "embedder_for", lambda model: ToyEmbedder())
    return make_model()


def ids(answer: searching.SearchAnswer) -> list[int]:
    return [hit.chunk_id.int for hit in answer.hits]


def test_search__two_legs__score_is_the_sum_of_reciprocal_ranks(toy: EmbeddingModel) -> None:
    corpus = make_corpus()
    chunks = add_chunks(make_analysis(corpus), TEXTS)
    embed(toy, chunks)
    answer = search(corpus=corpus, text="cat")
    assert answer.warnings == []
    assert sorted(ids(answer)) == [1, 2, 3, 4]
    for hit in answer.hits:
        ranks = [rank for rank in (hit.lexical_rank, hit.vector_rank) if rank is not None]
        assert math.isclose(hit.score, sum(1 / (60 + rank) for rank in ranks))
        assert math.isclose(
            hit.vector_score,
            float(unit_vector("cat") @ unit_vector(TEXTS[hit.chunk_id.int - 1])),
            abs_tol=1e-6,
        )
    # the same length, so equal BM25 scores: the smaller id comes first
    assert {hit.chunk_id.int: hit.lexical_rank for hit in answer.hits} == {1: 1, 3: 2, 2: None, 4: None}
    assert set(answer.timings) == {"lexical", "embed", "vector", "fuse", "total"}


def test_search__chunk_edited_a_moment_ago__new_text_is_found_and_old_is_not() -> None:
    corpus = make_corpus()
    add_chunks(make_analysis(corpus), TEXTS)
    assert ids(search(corpus=corpus, text="dog", options=LEXICAL)) == [2, 3]
    Chunk.objects.filter(pk=chunk_id(2)).update(content="a cow mooed")
    assert ids(search(corpus=corpus, text="dog", options=LEXICAL)) == [3]
    assert ids(search(corpus=corpus, text="cow", options=LEXICAL)) == [2]


def test_search__analysis_no_longer_completed__its_chunks_are_not_found(toy: EmbeddingModel) -> None:
    corpus = make_corpus()
    analysis = make_analysis(corpus)
    embed(toy, add_chunks(analysis, TEXTS))
    assert len(search(corpus=corpus, text="dog").hits) == 4
    analysis.status = "failed"
    analysis.save()
    assert search(corpus=corpus, text="dog").hits == []


def test_search__other_corpus_with_the_same_text__only_own_chunks(toy: EmbeddingModel) -> None:
    mine, other = make_corpus("mine"), make_corpus("other")
    embed(toy, add_chunks(make_analysis(mine), TEXTS))
    add_chunks(make_analysis(other), TEXTS, first=100)
    assert sorted(ids(search(corpus=mine, text="cat dog"))) == [1, 2, 3, 4]
    assert sorted(ids(search(corpus=other, text="cat dog"))) == [100, 101, 102, 103]


def test_search__chunks_with_equal_text__all_are_found_in_the_order_of_ids(toy: EmbeddingModel) -> None:
    corpus = make_corpus()
    embed(toy, add_chunks(make_analysis(corpus), ["the same words"] * 5))
    answer = search(corpus=corpus, text="words", options=SearchOptions(limit=3))
    assert ids(answer) == [1, 2, 3]
    assert [(hit.lexical_rank, hit.vector_rank) for hit in answer.hits] == [(1, 1), (2, 2), (3, 3)]


def test_search__no_current_model__lexical_leg_alone_and_a_warning() -> None:
    EmbeddingModel.objects.update(is_current=False)
    corpus = make_corpus()
    add_chunks(make_analysis(corpus), TEXTS)
    answer = search(corpus=corpus, text="cat")
    assert ids(answer) == [1, 3]
    assert answer.warnings == ["No embedding model is the current one. The lexical leg answers alone."]


def test_search__unknown_model_named__error() -> None:
    with pytest.raises(UnknownEmbeddingModel):
        search(corpus=make_corpus(), text="cat", options=SearchOptions(model="nosuch"))


def test_search__endpoint_down__lexical_leg_alone_and_a_warning(
    toy: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Down(ToyEmbedder):
        def embed_queries(self, texts):
            raise EmbeddingTrouble("The endpoint does not answer.")

    monkeypatch.setattr(searching, "embedder_for", lambda model: Down())
    corpus = make_corpus()
    embed(toy, add_chunks(make_analysis(corpus), TEXTS))
    answer = search(corpus=corpus, text="cat")
    assert ids(answer) == [1, 3]
    assert answer.warnings == [
        "The model “toy” could not embed the query: The endpoint does not answer. The lexical leg answers alone."
    ]


def test_search__vectors_missing__warning_counts_them_until_they_are_there(toy: EmbeddingModel) -> None:
    corpus = make_corpus()
    chunks = add_chunks(make_analysis(corpus), TEXTS)
    embed(toy, chunks[:3])
    assert search(corpus=corpus, text="cat").warnings == [
        "1 of the chunks have no vector of the model “toy” yet, so the vector leg does not see them. "
        "Run: golden_embed --model toy"
    ]
    embed(toy, chunks[3:])
    assert search(corpus=corpus, text="cat").warnings == []


def test_search__vectors_missing__looked_for_among_all_chunks_once(
    toy: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    missing_vectors = vector_search.missing_vectors

    def counted(corpus: Corpus, model: EmbeddingModel) -> list[bytes]:
        looked.append(model.name)
        return missing_vectors(corpus, model)

    monkeypatch.setattr(searching, "missing_vectors", counted)
    corpus = make_corpus()
    analysis = make_analysis(corpus)
    chunks = add_chunks(analysis, [*TEXTS, "a dog barked"])
    embed(toy, chunks[:1])

    def warned(text: str) -> list[str]:
        return [warning.split(" of the chunks")[0] for warning in search(corpus=corpus, text=text).warnings]

    assert [warned("cat"), warned("dog"), warned("sat")] == [["4"], ["4"], ["4"]]
    assert len(looked) == 1
    embed(toy, chunks[1:2])  # the text of two
    assert [warned("cat"), warned("dog")] == [["2"], ["2"]]
    assert len(looked) == 2
    embed(toy, chunks[2:4])
    assert [warned("cat"), warned("dog")] == [[], []]
    assert len(looked) == 3
    add_chunks(analysis, ["one more"], first=10)
    assert [warned("cat"), warned("dog")] == [["1"], ["1"]]
    assert len(looked) == 4


def test_search__empty_text__nothing_found(toy: EmbeddingModel) -> None:
    corpus = make_corpus()
    embed(toy, add_chunks(make_analysis(corpus), TEXTS))
    assert search(corpus=corpus, text="  ").hits == []
    assert search(corpus=corpus, text="\ud800\x00").hits == []


def test_search__empty_corpus__nothing_found(toy: EmbeddingModel) -> None:
    answer = search(corpus=make_corpus(), text="cat")
    assert (answer.hits, answer.warnings) == ([], [])


def test_search__title_boost__factor_is_told_and_changes_the_order() -> None:
    corpus = make_corpus()
    analysis = make_analysis(corpus)
    add_chunks(analysis, ["lexer of words and words"], section_title="Other")
    add_chunks(analysis, ["lexer of more different words here"], first=2, section_title="Lexer")
    options = SearchOptions(legs=("lexical",), boosts=Boosts(title=1.0, content_types={"code": 3.0}))
    plain = search(corpus=corpus, text="words", options=options)
    assert [dict(hit.boosts) for hit in plain.hits] == [{}, {}]
    boosted = search(corpus=corpus, text="lexer words", options=options)
    assert {hit.chunk_id.int: dict(hit.boosts) for hit in boosted.hits} == {1: {}, 2: {"title": 1.5}}
    unboosted = search(corpus=corpus, text="lexer words", options=LEXICAL)
    before = {hit.chunk_id: hit.score for hit in unboosted.hits}
    assert {hit.chunk_id: hit.score for hit in boosted.hits} == {
        chunk_id(1): before[chunk_id(1)],
        chunk_id(2): before[chunk_id(2)] * 1.5,
    }


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that goes to the server from now on."""
    sent: list[str] = []
    execute = psycopg.Cursor.execute

    def kept(cursor: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        sent.append(str(query))
        return execute(cursor, query, *arguments, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", kept)
    return sent


@pytest.mark.parametrize("exact_chunks", [100, 1])
def test_search__nothing_changed__two_round_trips(
    toy: EmbeddingModel, statements: list[str], monkeypatch: pytest.MonkeyPatch, exact_chunks: int
) -> None:
    monkeypatch.setattr(vector_search, "EXACT_CHUNKS", exact_chunks)
    corpus = make_corpus()
    embed(toy, add_chunks(make_analysis(corpus), TEXTS))
    ensure_index(toy)
    search(corpus=corpus, text="cat")
    statements.clear()
    answer = search(corpus=corpus, text="cat dog")
    assert [hit.vector_rank is None for hit in answer.hits] == [False] * 4
    assert len(statements) == 2
    assert ("hnsw.ef_search" in statements[1]) == (exact_chunks == 1)


def test_search__model_changed_between_searches__the_new_one_is_asked(
    toy: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, dict[str, str]]] = []

    def embedder(model: EmbeddingModel) -> ToyEmbedder:
        asked.append((model.name, model.options))
        return ToyEmbedder()

    monkeypatch.setattr(searching, "embedder_for", embedder)
    corpus = make_corpus()
    embed(toy, add_chunks(make_analysis(corpus), TEXTS))
    search(corpus=corpus, text="cat")
    EmbeddingModel.objects.filter(pk=toy.pk).update(options={"url": "one"})
    search(corpus=corpus, text="cat")
    EmbeddingModel.objects.filter(pk=toy.pk).update(options={"url": "two"})
    search(corpus=corpus, text="cat")
    make_model("other")
    search(corpus=corpus, text="cat")
    search(corpus=corpus, text="cat", options=SearchOptions(model="toy"))
    assert asked == [
        ("toy", {}),
        ("toy", {"url": "one"}),
        ("toy", {"url": "two"}),
        ("other", {}),
        ("toy", {"url": "two"}),
    ]


def test_search_many__more_than_a_batch__one_answer_each_by_one_model(
    toy: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "_SMALL_BATCH", 2)
    monkeypatch.setattr(searching, "_BATCH", 3)
    corpus = make_corpus()
    embed(toy, add_chunks(make_analysis(corpus), TEXTS))
    answers = search_many(corpus=corpus, texts=["cat"] * 9)
    first = [next(answers) for _ in range(2)]
    make_model("other")  # has no vectors
    rest = list(answers)
    assert [answer.hits for answer in first + rest] == [first[0].hits] * 9
    assert all(answer.warnings == [] for answer in first + rest)


def test_search_many__several_texts__as_search_answers_each(toy: EmbeddingModel) -> None:
    corpus = make_corpus()
    embed(toy, add_chunks(make_analysis(corpus), TEXTS))
    asked = ["cat", "", "dog barked", "kind of the"]
    for fusion in ("rrf", "convex"):
        options = SearchOptions(fusion=fusion)
        many = list(search_many(corpus=corpus, texts=asked, options=options))
        assert [answer.hits for answer in many] == [
            search(corpus=corpus, text=text, options=options).hits for text in asked
        ]


def test_search__too_many_changes_to_index_now__warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexical_index, "INLINE_MARKS", 3)
    corpus = make_corpus()
    add_chunks(make_analysis(corpus), TEXTS)
    answer = search(corpus=corpus, text="cat", options=LEXICAL)
    assert answer.hits == []
    assert answer.warnings == [
        "More than 3 changed chunks wait to be indexed; the lexical search does not see them yet. "
        "The job “embed” indexes them (golden_embed does so at once)."
    ]


def test_search_options__several_wrong__all_are_named() -> None:
    with pytest.raises(InvalidSearch) as caught:
        SearchOptions(limit=0, legs=("lexical", "psychic"), fusion="cold", weights={"vector": -1})
    assert caught.value.message == (
        "The search cannot be done: limit is 0; expected a whole number from 1 to 1,000; "
        "legs are ['lexical', 'psychic']; expected lexical, vector or both; "
        "fusion is 'cold'; expected rrf or convex; the weight of vector is -1; expected a number from 0 to 1,000,000."
    )


def test_search_options__document__makes_the_same_options() -> None:
    options = SearchOptions(limit=3, fusion="convex", boosts=Boosts(path=0.5, content_types={"code": 1.2}))
    assert SearchOptions.from_document(options.document()) == options


def test_with_chunks__a_chunk_gone__left_out() -> None:
    corpus = make_corpus()
    add_chunks(make_analysis(corpus), TEXTS)
    hits = search(corpus=corpus, text="cat", options=LEXICAL).hits
    Chunk.objects.filter(pk=chunk_id(1)).delete()
    shown = with_chunks(hits)
    assert [one.chunk.content for one in shown] == ["cat and dog"]
    assert shown[0].chunk.analysis.corpus == corpus
