"""golden_search on the command line."""

from __future__ import annotations

import pytest

from datasets_app.models import EmbeddingModel
from tests.integration.commands.conftest import Run
from tests.integration.retrieval.retrieval_data import add_chunks, make_analysis, make_corpus


@pytest.fixture
def books(run: Run) -> str:
    """A corpus of three chunks, without vectors."""
    EmbeddingModel.objects.update(is_current=False)
    corpus = make_corpus()
    add_chunks(
        make_analysis(corpus),
        ["the cat sat", "a dog barked", "cat and dog"],
        section_title="Pets",
        content_type="prose",
    )
    return corpus.name


def test_golden_search__lexical__table_with_rank_and_score_of_the_leg(run: Run, books: str) -> None:
    ran = run(
        "golden_search", "cat", "--corpus", books, "--legs", "lexical", "--boosts", "content_type:prose=2"
    )
    assert (ran.code, ran.err) == (0, "")
    # N 3, df 2, tf 1, lengths 3, 3 and 3 with the title: ln 1.6 / 1.9 = .24737, doubled by the boost
    assert ran.out.splitlines() == [
        "  #    score  lexical        vector         chunk",
        "  1   0.4947  #1 0.247       —              Pets",
        "  2   0.4947  #2 0.247       —              Pets",
    ]


def test_golden_search__explain__shows_boosts_source_and_text(run: Run, books: str) -> None:
    out = run("golden_search", "dog", "--corpus", books, "--explain", "--k", "1", "--boosts", "title=1").out
    assert "No embedding model is the current one. The lexical leg answers alone." in out
    assert "boosts: none" in out
    assert "https://docs.python.org/3/books/one.html" in out
    assert "a dog barked" in out


def test_golden_search__json__options_hits_warnings_and_times(run: Run, books: str) -> None:
    document = run("golden_search", "dog barked", "--corpus", books, "--json", "--fusion", "convex").document
    assert [(hit["rank"], hit["content"]) for hit in document["hits"]] == [
        (1, "a dog barked"),
        (2, "cat and dog"),
    ]
    assert document["options"]["fusion"] == "convex"
    assert document["hits"][0]["vector"] == {"rank": None, "score": None}
    assert len(document["warnings"]) == 1
    assert set(document["timings_ms"]) == {"lexical", "fuse", "total"}


def test_golden_search__nothing_found__says_so(run: Run, books: str) -> None:
    ran = run("golden_search", "zebra", "--corpus", books, "--legs", "lexical")
    assert (ran.code, ran.out) == (0, "Nothing found in the corpus “books”.\n")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("--boosts", "colour=1"),
            2,
            "--boosts: found 'colour=1', expected NAME=NUMBER with a name of title, path, content_type:NAME.",
        ),
        (
            ("--weights", "lexical=x"),
            2,
            "--weights: found 'lexical=x', expected NAME=NUMBER with a name of lexical, vector.",
        ),
        (("--k", "0"), 1, "The search cannot be done: limit is 0; expected a whole number from 1 to 1,000."),
        (("--corpus", "nosuch"), 1, "There is no corpus “nosuch”."),
        (("--model", "nosuch"), 1, "There is no embedding model “nosuch”."),
    ],
)
def test_golden_search__wrong_arguments__told(
    run: Run, books: str, arguments: tuple[str, ...], code: int, message: str
) -> None:
    ran = run("golden_search", "cat", *arguments)
    assert (ran.code, ran.err.splitlines()[0]) == (code, message)
