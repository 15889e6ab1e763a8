"""English text as terms. Expected values follow Lucene's EnglishAnalyzer; parts of names follow its word delimiter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.domain.retrieval.english import MAX_TOKEN, STOP_WORDS, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("   ... ___ !?", []),
        ("The quick brown foxes", ["quick", "brown", "fox"]),
        ("relational conditional", ["relat", "condit"]),  # Porter 1980, step 2
        ("to be or not to be", []),
        ("Python's PYTHON’S", ["python", "python"]),
        ("o'neil", ["o'neil"]),
        ("don't can't", ["don't", "can't"]),
        ("3.14 and 1,000", ["3.14", "3", "14", "1,000"]),
        ("end. Next", ["end", "next"]),
        ("well-known", ["well", "known"]),
        ("e.g. this", ["e.g", "e", "g"]),
        ("os.path.join", ["os.path.join", "o", "path", "join"]),
        ("__init__", ["__init__", "init"]),
        ("ref_count", ["ref_count", "ref", "count"]),
        ("DiffExecutor", ["diffexecutor", "diff", "executor"]),
        ("parseHTTPRequest", ["parsehttprequest", "pars", "http", "request"]),
        ("NASA", ["nasa"]),
        ("naïve Über", ["naïv", "über"]),
        ("日本語", ["日", "本", "語"]),
        ("cafe\u0301", ["cafe\u0301"]),
    ],
)
def test_terms__text__as_lucene(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


def test_stop_words__lucene__thirty_three() -> None:
    assert len(STOP_WORDS) == 33


def test_terms__very_long_run__cut_into_pieces() -> None:
    assert [len(term) for term in terms("x" * 600)] == [MAX_TOKEN, MAX_TOKEN, 90]


@given(st.text())
def test_terms__any_text__lower_case_without_stop_words_or_blanks(text: str) -> None:
    for term in terms(text):
        assert term
        assert term not in STOP_WORDS or len(term) < 3  # a stem may be one: "ass" → "as"
        assert not any(character.isspace() or character == "\x00" for character in term)


@given(st.text(), st.text())
def test_terms__two_texts_on_two_lines__terms_of_both(first: str, second: str) -> None:
    assert terms(f"{first}\n{second}") == terms(first) + terms(second)
