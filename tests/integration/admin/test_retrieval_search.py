"""The search page: why a chunk came up, marked words, options, and a test query made of a question."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from datasets_app.models import AuditEvent, Chunk, Corpus, EmbeddingModel, TestQuery
from datasets_app.services.corpus.analyses import save_analysis
from datasets_app.services.corpus.corpora import get_corpus
from datasets_app.services.corpus.drafts import AnalysisDraft, ChunkDraft
from tests.integration.admin.corpus_pages import EVIL, chunks_of, make_query, make_source, nobody, page_of
from tests.integration.admin.retrieval_pages import SEARCH
from tests.integration.retrieval.retrieval_data import ToyEmbedder, embed, make_model


@pytest.fixture
def lexical(db: None) -> None:
    EmbeddingModel.objects.update(is_current=False)  # no model is loaded


@pytest.fixture
def toy(db: None, monkeypatch: pytest.MonkeyPatch) -> EmbeddingModel:
    """A current model whose vectors are known."""
    monkeypatch.setattr("datasets_app.services.retrieval.searching.embedder_for", lambda model: ToyEmbedder())
    return make_model()


def test_search__without_a_question__shows_how_to_begin(
    client_of: Callable[..., Client], lexical: None
) -> None:
    client = client_of("viewer")
    assert "There is no corpus yet" in client.get(SEARCH).content.decode()
    assert not Corpus.objects.exists()  # looking makes none
    make_query(make_source("json"), "How is json told?")
    body = client.get(SEARCH).content.decode()
    assert 'href="?q=How%20is%20json%20told%3F"' in body


def test_search__by_both_legs__says_rank_and_score_of_each(
    client_of: Callable[..., Client], toy: EmbeddingModel
) -> None:
    source = make_source("json")
    embed(toy, chunks_of(source))
    response = client_of("viewer").get(SEARCH, {"q": "json 1\nText 1 about json.", "k": "2"})
    rows = response.context["rows"]
    assert [row.rank for row in rows] == [1, 2]
    first = rows[0]
    assert first.chunk == chunks_of(source)[1]
    # the question is the chunk's text, so its vector too is the nearest there can be
    assert [(leg.title, leg.rank) for leg in first.legs] == [("BM25", 1), ("vector", 1)]
    assert first.legs[1].score == pytest.approx(1.0)
    assert first.hit.score == pytest.approx(2 / 61)
    assert [(leg.start, leg.share) for leg in first.legs] == [("0.00%", "50.00%"), ("50.00%", "50.00%")]
    body = response.content.decode()
    assert "<b>rank 1</b>" in body
    assert response.context["answer"].warnings == []


def test_search__without_a_model__warns_and_finds_by_words(
    client_of: Callable[..., Client], lexical: None
) -> None:
    make_source("json")
    response = client_of("viewer").get(SEARCH, {"q": "json"})
    assert len(response.context["rows"]) == 3
    assert "No embedding model is the current one." in response.content.decode()


def test_search__of_text_with_markup__escapes_it_and_marks_words(
    client_of: Callable[..., Client], lexical: None
) -> None:
    chunks = [ChunkDraft(content=f"Parsing {EVIL} strings", section_title=f"<b>Parsed</b> {EVIL}")]
    draft = AnalysisDraft(url="https://docs.python.org/3/library/re.html", content_type="docs", chunks=chunks)
    save_analysis(corpus=get_corpus(), draft=draft, actor=None)
    body = client_of("viewer").get(SEARCH, {"q": f"parsing <script> {EVIL}"}).content.decode()
    assert "<script>alert" not in body
    assert "<img src=x" not in body
    assert "<b>Parsed" not in body
    assert '<mark class="c-mark">Parsing</mark>' in body
    assert '<mark class="c-mark">Parsed</mark>' in body


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"k": "ten"}, "k: found “ten”, expected a whole number from 1 to 1,000."),
        ({"k": "101"}, "k: found 101, expected at most 100 hits on a page."),
        ({"lexical": "heavy"}, "Lexical weight: found “heavy”, expected a number."),
        ({"lexical": "nan"}, "expected a number from 0 to 1,000,000"),
        ({"legs": "third"}, "expected lexical, vector or both"),
        ({"fusion": "sum"}, "fusion is &#x27;sum&#x27;; expected rrf or convex"),
        ({"types": "docs"}, "Types: found “docs”, expected TYPE=FACTOR."),
        ({"model": "gone"}, "There is no embedding model “gone”."),
    ],
)
def test_search__with_options_that_cannot_be__tells_and_keeps_the_form(
    client_of: Callable[..., Client], lexical: None, typed: dict[str, str], said: str
) -> None:
    make_source("json")
    response = client_of("viewer").get(SEARCH, {"q": "json", **typed})
    body = response.content.decode()
    assert (response.status_code, said in body) == (200, True)
    assert 'value="json"' in body


def test_search__with_boosts__shows_them(client_of: Callable[..., Client], lexical: None) -> None:
    make_source("json")
    sent = {"q": "json", "legs": "lexical", "title": "0,5", "types": "docs=1.5"}
    response = client_of("viewer").get(SEARCH, sent)
    assert {tuple(row.boosts) for row in response.context["rows"]} == {(("title", 1.5),)}
    assert response.context["form"].changed == {"legs": "lexical", "title": "0,5", "types": "docs=1.5"}


def test_search__legs_side_by_side__ranks_each_alone(
    client_of: Callable[..., Client], toy: EmbeddingModel
) -> None:
    source = make_source("json")
    embed(toy, chunks_of(source))
    response = client_of("viewer").get(SEARCH, {"q": "json", "show": "legs", "k": "2"})
    columns = response.context["columns"]
    assert [(column.name, len(column.rows)) for column in columns] == [
        ("Lexical alone", 2),
        ("Fused", 2),
        ("Vector alone", 2),
    ]
    assert [rank for rank, _, _, _ in columns[1].rows] == [1, 2]
    assert columns[0].rows[0][2] in ("fused 1", "fused 2", "not among the fused")
    hit = response.context["answer"].hits[0]
    assert columns[1].rows[0][2] == f"lexical {hit.lexical_rank} · vector {hit.vector_rank}"


def test_search__by_a_curator__makes_a_test_query_of_ticked_chunks(
    client_of: Callable[..., Client], lexical: None
) -> None:
    first, _, third = chunks_of(make_source("json"))
    client = client_of("curator", name="corpus-curator")
    page = client.get(SEARCH, {"q": "json"}).content.decode()
    assert "Make this a test query" in page
    response = client.post(
        SEARCH, {"q": "json", "corpus": "default", "expected": [str(third.pk), str(first.pk)]}
    )
    query = TestQuery.objects.get()
    assert response["Location"] == page_of(query)
    assert (query.text, set(query.expectations.values_list("chunk_id", "relevance"))) == (
        "json",
        {(first.pk, 1), (third.pk, 1)},
    )
    assert AuditEvent.objects.filter(action="corpus.query.add", actor__username="corpus-curator").exists()
    again = client.get(SEARCH, {"q": "json"})
    assert [row.relevance for row in again.context["rows"]].count(1) == 2
    assert "Make this a test query" not in again.content.decode()


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"q": "json"}, "No chunk is ticked"),
        ({"q": "", "expected": "x"}, "There is no question to save."),
        ({"q": "json", "expected": str(nobody())}, "chunks of corpus"),
        ({"q": "taken", "expected": "FIRST"}, "This question is a test query already."),
    ],
)
def test_search__making_a_query_that_cannot_be__tells_and_writes_nothing(
    client_of: Callable[..., Client], lexical: None, sent: dict[str, str], said: str
) -> None:
    source = make_source("json")
    make_query(source, "taken")
    if sent.get("expected") == "FIRST":
        sent = {**sent, "expected": str(chunks_of(source)[0].pk)}
    response = client_of("curator").post(SEARCH, sent)
    assert said in response.content.decode()
    assert list(TestQuery.objects.values_list("text", flat=True)) == ["taken"]


def test_search__by_a_viewer__offers_no_query_and_refuses_to_make_one(
    client_of: Callable[..., Client], lexical: None
) -> None:
    first = chunks_of(make_source("json"))[0]
    client = client_of("viewer")
    assert "Make this a test query" not in client.get(SEARCH, {"q": "json"}).content.decode()
    assert client.post(SEARCH, {"q": "json", "expected": str(first.pk)}).status_code == 403
    assert not TestQuery.objects.exists()


def test_search__of_more_hits__asks_no_more_statements(
    client_of: Callable[..., Client],
    lexical: None,
    django_assert_max_num_queries: Callable[..., object],
) -> None:
    make_source("json", chunks=40)
    client = client_of("curator")
    client.get(SEARCH, {"q": "json"})  # brings the index up to date
    with django_assert_max_num_queries(24):  # type: ignore[attr-defined]
        response = client.get(SEARCH, {"q": "json", "k": "40"})
    assert len(response.context["rows"]) == 40
    assert Chunk.objects.count() == 40
