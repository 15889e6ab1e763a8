"""English text as search terms, the way of Lucene's EnglishAnalyzer.

Words are found by the rules of Unicode's UAX #29 as far as European scripts need them; possessives lose their 's;
everything is lower case; the 33 stop words go; the rest is stemmed by Porter's algorithm (Porter 1980).
"""

from __future__ import annotations

import re
import threading
from typing import Any

_STOP_WORDS = """
a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to was
will with
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
MAX_TOKEN = 255
"""Longer runs of letters are cut into pieces of this length, as Lucene does."""

_CACHED_TOKENS = 500_000

# A run of letters, digits, marks and underscores. A full stop, apostrophe or colon joins two letters, a full stop,
# apostrophe, comma or semicolon two digits: "U.S.A", "o'neil", "3.14" and "1,000" are a word each. Ideographs and
# hiragana are words by themselves.
_IDEOGRAPH = "\u3040-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_RUN = rf"(?:[^\W{_IDEOGRAPH}]|[\u0300-\u036f\u0900-\u0903\u093a-\u094f])+"
_LETTER = rf"[^\W\d_{_IDEOGRAPH}]"
_UNICODE = re.compile(
    rf"[{_IDEOGRAPH}]|{_RUN}(?:(?:(?<={_LETTER})[.'’:·](?={_LETTER})|(?<=\d)[.,;'’](?=\d)){_RUN})*"
)
_ASCII = re.compile(
    r"[a-z0-9_]+(?:(?:(?<=[a-z])[.':](?=[a-z])|(?<=[0-9])[.,;'](?=[0-9]))[a-z0-9_]+)*", re.ASCII
)


class _Terms(dict[str, str]):
    """Maps a token to its term, "" for a stop word; what was not seen yet is worked out, by one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stemmer: Any = None

    def __missing__(self, token: str) -> str:
        with self._lock:
            if self._stemmer is None:
                import Stemmer

                self._stemmer = Stemmer.Stemmer("porter", 0)
            term = self._term(token)
            if len(self) >= _CACHED_TOKENS:
                self.clear()
            self[token] = term
        return term

    def _term(self, token: str) -> str:
        word = token[:-2] if token.endswith(("'s", "’s")) else token
        if word in STOP_WORDS or not word.strip("_"):
            return ""
        return str(self._stemmer.stemWord(word))


_term_of = _Terms()


def terms(text: str) -> list[str]:
    """Return the terms of `text` in their order, repeated as often as they occur; [] when it has none."""
    lowered = text.lower()
    tokens = (_ASCII if lowered.isascii() else _UNICODE).findall(lowered)
    if len(lowered) > MAX_TOKEN and any(len(token) > MAX_TOKEN for token in tokens):
        tokens = [piece for token in tokens for piece in _pieces(token)]
    return [term for term in map(_term_of.__getitem__, tokens) if term]


def _pieces(token: str) -> list[str]:
    return [token[start : start + MAX_TOKEN] for start in range(0, len(token), MAX_TOKEN)]
