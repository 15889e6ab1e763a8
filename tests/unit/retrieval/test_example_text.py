"""What an embedding model reads of an example."""

from __future__ import annotations

from typing import Any

import pytest

from datasets_app.domain.retrieval.example_text import example_text, text_hash


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"text": "Where is my card?"}, "Where is my card?"),
        (
            {"title": "Head of sales", "company_size": 250.0, "active": True, "note": None},
            "250\nHead of sales",
        ),
        ({"b": ["two", {"y": 2, "x": "one"}], "a": " first "}, "first\ntwo\none\n2"),
        ({"a": "", "b": "  ", "c": [], "d": {}}, ""),
        ("alone", "alone"),
    ],
)
def test_example_text__documents__strings_and_numbers_in_canonical_order(document: Any, text: str) -> None:
    assert example_text(document) == text


def test_example_text__keys_in_another_order__is_the_same() -> None:
    assert example_text({"z": "1", "a": "2"}) == example_text({"a": "2", "z": "1"}) == "2\n1"


def test_example_text__keys_beyond_the_basic_plane__are_ordered_by_utf_16_units() -> None:
    assert example_text({"\ufb33": "second", "\U0001f600": "first"}) == "first\nsecond"


def test_text_hash__known_text__is_its_sha_256() -> None:
    assert text_hash("abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
