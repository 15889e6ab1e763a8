"""Marked words in a snippet."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datasets_app.admin.retrieval.highlighting import highlighted, query_terms


def marked(text: str, query: str, length: int = 300) -> list[str]:
    return [piece.text for piece in highlighted(text, query_terms(query), length) if piece.is_match]


def test_highlighted__words_with_the_same_stem__are_marked_but_no_stop_words() -> None:
    assert marked("Parsing the files: a file is parsed.", "parse the file") == [
        "Parsing",
        "files",
        "file",
        "parsed",
    ]


def test_highlighted__compound_names__are_marked_whole() -> None:
    assert marked("See os.path and pathlib.", "path") == ["os.path"]


def test_highlighted__long_text__shows_where_most_terms_are() -> None:
    text = "word " * 200 + "alpha lies here " + "word " * 200 + "alpha beside beta " + "word " * 200
    pieces = highlighted(text, query_terms("alpha beta"), 120)
    assert [piece.text for piece in pieces if piece.is_match] == ["alpha", "beta"]
    assert pieces[0].text == "…"
    assert pieces[-1].text.endswith("…")
    assert sum(len(piece.text) for piece in pieces) <= 125


def test_highlighted__text_without_a_term__is_its_beginning() -> None:
    assert [(piece.text, piece.is_match) for piece in highlighted("one two", frozenset())] == [
        ("one two", False)
    ]
    assert highlighted("", query_terms("x")) == []


@given(st.text(max_size=600), st.text(max_size=40), st.integers(20, 400))
def test_highlighted__any_text__is_cut_out_of_it_in_order(text: str, query: str, length: int) -> None:
    pieces = highlighted(text, query_terms(query), length)
    shown = "".join(piece.text for piece in pieces)
    line = " ".join(text.split())
    assert shown.removeprefix("…").removesuffix("…") in line or shown in line
    assert len(shown) <= length + 2
