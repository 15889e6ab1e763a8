"""What counts as the text of a page, whatever its markup."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.domain.visible_text import decoded, visible_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("plain  text\n here", "plain text here"),
        ("<head><title>T &amp; t</title><style>p{}</style><body><p>Hello</p><p>you", "T & t Hello you"),
        ("a<script nonce='1'>if (1 < 2) '<b>'</script >b", "a b"),
        ("a<!-- <p>no</p> -->b<!DOCTYPE html>c<?xml ?>d", "a b c d"),
        ("a<nav>m<nav>n</nav>o</nav>b<noscript>js</noscript>", "a b"),
        ("a<nav>m<p>b", "a m b"),
        ("a<svg/>b<svg><text>x</text></svg>c", "a b c"),
        ("<a href='x>y' title=\"<b>\">link</a>", "link"),
        ("1 < 2 > 1 &lt;b&gt;", "1 < 2 > 1 <b>"),
        ("<a b='unclosed>text</a><p>more</p>", "text more"),
        ("<!-- never closed", ""),
        ("<script>never closed", ""),
        ("&#" + "9" * 5000 + ";", "&#" + "9" * 5000 + ";"),
        ("", ""),
    ],
)
def test_visible_text__markup__text(html: str, text: str) -> None:
    assert visible_text(html) == text


_MARKS = st.sampled_from([*"<>/!-\"'&;= ab", "script", "</script>", "<nav>", "-->", "<!--", "</", "<svg"])


@given(st.lists(_MARKS, max_size=30).map("".join))
def test_visible_text__any_markup__no_exception(html: str) -> None:
    assert visible_text(html) == " ".join(visible_text(html).split())


@pytest.mark.parametrize(
    "mark", ["<!--", "<a ", "</", "<!", "<?", "<", "<title", "<script>", "<nav>", "<a b='", "<a b=\"'>", "&#"]
)
def test_visible_text__hostile_page__linear(mark: str) -> None:
    visible_text(mark * 50_000)  # the square of it would take minutes


@pytest.mark.parametrize(
    ("body", "charset", "text"),
    [
        ("é".encode(), "", "é"),
        (b"\xe9", "iso-8859-1", "é"),
        (b"\xe9", "", "\ufffd"),
        (b"<meta charset='iso-8859-1'>\xe9", "", "<meta charset='iso-8859-1'>é"),
        (
            b'<META http-equiv=a content="text/html; charset=latin1">\xe9',
            "",
            '<META http-equiv=a content="text/html; charset=latin1">é',
        ),
        ("é".encode(), "no-such-charset", "é"),
        (b"abc", "idna", "abc"),
        (b"abc", "zlib", "abc"),
        (b"abc", "undefined", "abc"),
    ],
)
def test_decoded__charset__text(body: bytes, charset: str, text: str) -> None:
    assert decoded(body, charset) == text
