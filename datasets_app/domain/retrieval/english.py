"""English text, with names of code in it, as search terms: Lucene's EnglishAnalyzer and its word delimiter.

Words are found by the rules of Unicode's UAX #29 as far as European scripts need them; possessives lose their 's;
everything is lower case; the 33 stop words go; the rest is stemmed by Porter's algorithm (Porter 1980). A compound name
(os.path, ref_count, DiffExecutor) is a term, and so is each of its parts, as with Lucene's WordDelimiterGraphFilter
that keeps the original: who asks for "path" finds "os.path".
"""

from __future__ import annotations

import re
import threading
from itertools import chain
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
    r"[A-Za-z0-9_]+(?:(?:(?<=[A-Za-z])[.':](?=[A-Za-z])|(?<=[0-9])[.,;'](?=[0-9]))[A-Za-z0-9_]+)*", re.ASCII
)
_POSSESSIVES = ("'s", "’s", "'S", "’S")
_DELIMITER = re.compile(r"[._:·]+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


class _Terms(dict[str, tuple[str, ...]]):
    """Maps a token to its terms; what was not seen yet is worked out, by one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stemmer: Any = None

    def __missing__(self, token: str) -> tuple[str, ...]:
        with self._lock:
            if self._stemmer is None:
                import Stemmer

                self._stemmer = Stemmer.Stemmer("porter", 0)
            found = self._terms(token)
            if len(self) >= _CACHED_TOKENS:
                self.clear()
            self[token] = found
        return found

    def _terms(self, token: str) -> tuple[str, ...]:
        if len(token) > MAX_TOKEN:
            pieces = (token[start : start + MAX_TOKEN] for start in range(0, len(token), MAX_TOKEN))
            return tuple(chain.from_iterable(map(self._terms, pieces)))
        word = token[:-2] if token.endswith(_POSSESSIVES) else token
        return tuple(term for term in map(self._stem, (word, *_parts(word))) if term)

    def _stem(self, word: str) -> str:
        lowered = word.lower()
        if lowered in STOP_WORDS or not lowered.strip("_"):
            return ""
        return str(self._stemmer.stemWord(lowered))


_terms_of = _Terms()


def terms(text: str) -> list[str]:
    """Return the terms of `text` in their order, repeated as often as they occur; [] when it has none."""
    tokens = (_ASCII if text.isascii() else _UNICODE).findall(text)
    return list(chain.from_iterable(map(_terms_of.__getitem__, tokens)))


def _parts(word: str) -> list[str]:
    """Return the parts of a compound name; [] when the word is none."""
    if not word.isascii():
        parts = [part for part in _DELIMITER.split(word) if part]
    elif "_" in word or "." in word or any(map(str.isupper, word[1:])):
        parts = _PART.findall(word)
    else:
        return []
    return [] if parts == [word] else parts
