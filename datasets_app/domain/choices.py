"""Choices that a schema lists under `enum`: which are there twice, and which people would take for one another."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from datasets_app.domain.canonical import canonical_text

_OF_NAMES: Final = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")
_LISTS: Final = ("prefixItems", "anyOf", "oneOf", "allOf")
_SINGLE: Final = ("items", "additionalProperties", "contains", "not", "if", "then", "else")
_WORDS: Final = {None: "none", True: "yes", False: "no"}


class ChoiceTroubles(NamedTuple):
    """`refused`: choices that nobody can tell apart. `told`: choices that are easily mistaken for one another."""

    refused: list[str]
    told: list[str]


def choice_troubles(schema: Any, where: str = "The output schema") -> ChoiceTroubles:
    """Return what is wrong with the choices of a schema, each as a sentence that names the place.

    The same JSON twice (1 and 1.0 are the same), and texts that are drawn alike (1 and "1", "a" and "a ", composed and
    decomposed accents, invisible characters) are refused. What differs by case, width or typographic form is told.
    """
    found = ChoiceTroubles([], [])
    for place, values in enums(schema):
        at = f"{where} lists at “{place}”" if place else f"{where} lists"
        exact: set[str] = set()
        drawn: dict[str, Any] = {}
        folded: dict[str, Any] = {}
        for value in values:
            text = canonical_text(value)
            if text in exact:
                found.refused.append(f"{at} the choice {text} twice: leave one out.")
                continue
            exact.add(text)
            if isinstance(value, dict | list):
                continue
            looks = as_drawn(value)
            alike = unicodedata.normalize("NFKC", looks).casefold()
            if looks in drawn:
                other = canonical_text(drawn[looks])
                found.refused.append(f"{at} {other} and {text}, which look the same on their buttons.")
            elif alike in folded:
                found.told.append(
                    f"{at} {canonical_text(folded[alike])} and {text}, which are easily mistaken for one another."
                )
            drawn.setdefault(looks, value)
            folded.setdefault(alike, value)
    return ChoiceTroubles(list(dict.fromkeys(found.refused)), list(dict.fromkeys(found.told)))


def as_drawn(value: Any) -> str:
    """Return what is seen of a choice: composed, without invisible characters, white space made one space."""
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    text = value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
    visible = "".join(one for one in unicodedata.normalize("NFC", text) if unicodedata.category(one) != "Cf")
    return " ".join(visible.split())


def enums(schema: Any, place: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Yield every list of choices in a schema with its dotted place; of entries of lists with [] behind it."""
    if not isinstance(schema, Mapping):
        return
    if isinstance(schema.get("enum"), list):
        yield place, schema["enum"]
    for word in _OF_NAMES:
        inner = schema.get(word)
        if isinstance(inner, Mapping):
            for name, one in inner.items():
                step = name if word == "properties" else f"{word}.{name}"
                yield from enums(one, f"{place}.{step}" if place else step)
    for word in _LISTS:
        inner = schema.get(word)
        for one in inner if isinstance(inner, list) else ():
            yield from enums(one, place)
    for word in _SINGLE:
        yield from enums(schema.get(word), f"{place}[]" if word == "items" else place)
