"""Where a text says what a query asks: one line of it, with the words marked that the lexical leg would match."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass

from datasets_app.domain.retrieval.english import terms

LOOKED_AT = 20_000  # characters of a text; who has more is shown from its beginning
_WORD = re.compile(r"\w+(?:[.'’]\w+)*")


@dataclass(frozen=True)
class Piece:
    """A part of a text as it stands, not escaped; `is_match`: it has a term of the query."""

    text: str
    is_match: bool = False


def query_terms(text: str) -> frozenset[str]:
    """Return the terms to look for: stems, without stop words."""
    return frozenset(terms(text))


def highlighted(text: str, wanted: Set[str], length: int = 300) -> list[Piece]:
    """Return about `length` characters of `text` where most of the `wanted` terms stand, cut into pieces."""
    line = " ".join(text[:LOOKED_AT].split())
    places = [
        (match.start(), match.end(), matched)
        for match in _WORD.finditer(line)
        if (matched := wanted & frozenset(terms(match[0])))
    ]
    start = _word_start(line, _best_start(places, len(line), length))
    end = min(len(line), start + length)
    if end < len(line):
        end = max(line.rfind(" ", start + length // 2, end), start + length // 2)
    pieces = [Piece("…")] if start else []
    at = start
    for left, right, _ in places:
        if left < at or right > end:
            continue
        if left > at:
            pieces.append(Piece(line[at:left]))
        pieces.append(Piece(line[left:right], is_match=True))
        at = right
    pieces.append(Piece(line[at:end] + ("…" if end < len(line) or len(text) > LOOKED_AT else "")))
    return [piece for piece in pieces if piece.text]


def _best_start(places: list[tuple[int, int, Set[str]]], total: int, length: int) -> int:
    """Return where the window begins that has the most different terms, the first of equals."""
    if total <= length or not places:
        return 0
    best, best_count = 0, 0
    for number, (left, _, _) in enumerate(places):
        found: set[str] = set()
        for _, end, matched in places[number : number + 40]:
            if end > left + length * 4 // 5:
                break
            found |= matched
        if len(found) > best_count:
            best, best_count = left, len(found)
    return max(0, min(best - length // 6, total - length))


def _word_start(line: str, start: int) -> int:
    """Move a start that is amid a word to the next word, if there is one nearby."""
    if start == 0 or line[start - 1] == " ":
        return start
    following = line.find(" ", start, start + 30)
    return following + 1 if following >= 0 else start
