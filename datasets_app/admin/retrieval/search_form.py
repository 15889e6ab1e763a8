"""How to search, as a form: the same fields on the page of searches and on the one that starts an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from datasets_app.admin.corpus.base import text_of
from datasets_app.domain.retrieval.boosts import Boosts
from datasets_app.errors import InvalidSearch
from datasets_app.services.retrieval.searching import LEGS, MAX_CANDIDATES, SearchOptions

BOTH = "both"
DEFAULTS = {
    "k": "10",
    "candidates": "100",
    "legs": BOTH,
    "fusion": "rrf",
    "rrf_k": "60",
    "lexical": "1",
    "vector": "1",
    "title": "0",
    "path": "0",
    "types": "",
    "model": "",
    "exact": "",
}
LEG_CHOICES = ((BOTH, "Both legs, fused"), ("lexical", "Lexical leg alone"), ("vector", "Vector leg alone"))
FUSION_CHOICES = (("rrf", "Reciprocal ranks (RRF)"), ("convex", "Weighted scores (convex)"))
_MOST = {"k": MAX_CANDIDATES, "candidates": MAX_CANDIDATES, "rrf_k": 1_000_000}
_SHOWN = {
    "candidates": "candidates",
    "legs": "leg",
    "fusion": "fusion",
    "rrf_k": "RRF k",
    "lexical": "lexical weight",
    "vector": "vector weight",
    "title": "title boost",
    "path": "path boost",
    "types": "types",
    "model": "model",
    "exact": "exact",
}


class SearchForm:
    """The cells as they are typed; `options` reads them, and `problems` are told by cell."""

    def __init__(self, cells: Mapping[str, str]) -> None:
        self.cells = {**DEFAULTS, **cells}
        self.problems: dict[str, str] = {}

    @classmethod
    def typed(cls, query: Mapping[str, Any]) -> Self:
        """Read what an address or a form has; an empty cell is as by default."""
        return cls({name: value for name in DEFAULTS if (value := text_of(query, name))})

    @classmethod
    def of(cls, options: SearchOptions, k: int | None = None) -> Self:
        """Return the form that says what `options` say."""
        legs = BOTH if set(options.legs) == set(LEGS) else options.legs[0]
        types = ", ".join(f"{name}={factor:g}" for name, factor in options.boosts.content_types.items())
        return cls(
            {
                "k": str(k or options.limit),
                "candidates": str(options.candidates),
                "legs": legs,
                "fusion": options.fusion,
                "rrf_k": str(options.rrf_k),
                "lexical": f"{options.weights.get('lexical', 1.0):g}",
                "vector": f"{options.weights.get('vector', 1.0):g}",
                "title": f"{options.boosts.title:g}",
                "path": f"{options.boosts.path:g}",
                "types": types,
                "model": options.model or "",
                "exact": "1" if options.exact else "",
            }
        )

    @property
    def changed(self) -> dict[str, str]:
        """The cells that are not as by default: what an address must say."""
        return {name: value for name, value in self.cells.items() if value != DEFAULTS[name]}

    @property
    def said(self) -> list[str]:
        """What is not as by default, in words, without k."""
        words = {**self.changed, **({"exact": "yes"} if self.cells["exact"] else {})}
        return [f"{_SHOWN[name]} {value}" for name, value in words.items() if name in _SHOWN]

    def options(self) -> SearchOptions:
        """Return what is typed as options. Raises InvalidSearch with all that is wrong, which `problems` has by cell."""
        cells = self.cells
        legs = LEGS if cells["legs"] == BOTH else (cells["legs"],)
        values: dict[str, Any] = {
            "limit": self._whole("k"),
            "candidates": self._whole("candidates"),
            "rrf_k": self._whole("rrf_k"),
            "weights": {name: self._number(name) for name in LEGS},
        }
        boosts = Boosts(title=self._number("title"), path=self._number("path"), content_types=self._types())
        if self.problems:
            raise InvalidSearch("The search cannot be done: " + " ".join(self.problems.values()))
        return SearchOptions(
            **values,
            legs=tuple(legs),
            fusion=cells["fusion"],
            boosts=boosts,
            model=cells["model"] or None,
            exact=bool(cells["exact"]),
        )

    # --- reading cells
    def _whole(self, name: str) -> int:
        text = self.cells[name]
        if text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= _MOST[name]:
            return int(text)
        self.problems[name] = (
            f"{_named(name)}: found “{text[:40]}”, expected a whole number from 1 to {_MOST[name]:,}."
        )
        return 1

    def _number(self, name: str) -> float:
        return self._float(name, self.cells[name])

    def _float(self, name: str, text: str) -> float:
        try:
            return float(text.replace(",", "."))
        except ValueError:
            self.problems[name] = f"{_named(name)}: found “{text[:40]}”, expected a number."
            return 1.0

    def _types(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for part in filter(None, (part.strip() for part in self.cells["types"].split(","))):
            name, sign, factor = (piece.strip() for piece in part.rpartition("="))
            if sign and name:
                found[name] = self._float("types", factor)
            else:
                self.problems["types"] = f"Types: found “{part[:40]}”, expected TYPE=FACTOR."
        return found


def _named(name: str) -> str:
    shown = _SHOWN.get(name, name)
    return shown[0].upper() + shown[1:] if len(shown) > 1 else shown
