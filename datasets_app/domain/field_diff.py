"""What changed between two JSON documents, field by field, and in a text word by word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final, Literal

from datasets_app.domain.canonical import canonical_text, same_json
from datasets_app.domain.json_path import MISSING, format_path, get_path, parse_path, set_path

MAX_ALIGNED_ITEMS: Final = 200
MAX_COMPARED_WORDS: Final = 1000

_WORD: Final = re.compile(r"\w+|\s+|[^\w\s]")

_Span = tuple[Literal["equal", "delete", "insert"], list[str]]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One changed field; `old` is MISSING where it was added, `new` where it was removed."""

    path: str
    kind: Literal["added", "removed", "changed"]
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A run of words that both texts have, or only the old (delete) or the new one (insert)."""

    kind: Literal["equal", "delete", "insert"]
    text: str


def diff_fields(old: Any, new: Any) -> list[FieldChange]:
    """The changes that make `new` out of `old`, in the order in which apply_fields applies them.

    Objects are compared key by key; arrays of equal length item by item; others by their longest common items if
    both have at most 200 items, else as a whole. In an aligned array the removals come first, from the last on,
    with the indices of `old`; what follows has the indices of `new`.
    """
    return list(_diff(old, new, ()))


def apply_fields(old: Any, changes: Iterable[FieldChange]) -> Any:
    """The document that the changes of diff_fields make out of `old`, which stays as it is."""
    document = old
    for change in changes:
        path = parse_path(change.path)
        if change.kind == "added" and path and isinstance(path[-1], int):
            items = get_path(document, path[:-1])
            document = set_path(document, path[:-1], [*items[: path[-1]], change.new, *items[path[-1] :]])
        else:
            document = set_path(document, path, change.new)
    return document


def text_spans(old: str, new: str) -> list[TextSpan]:
    """The two texts as runs of equal, deleted and inserted words, for display.

    The equal and deleted runs together are `old`, the equal and inserted ones `new`. Where more than 1,000 words
    lie between the common beginning and the common end, these are one deletion and one insertion.
    """
    olds, news = _WORD.findall(old), _WORD.findall(new)
    start = _common_prefix(olds, news)
    end = _common_prefix(olds[start:][::-1], news[start:][::-1])
    spans: list[_Span] = [("equal", olds[:start])]
    spans += _middle_spans(olds[start : len(olds) - end], news[start : len(news) - end])
    spans.append(("equal", olds[len(olds) - end :]))
    return [TextSpan(kind, "".join(words)) for kind, words in spans if words]


def _diff(old: Any, new: Any, path: tuple[str | int, ...]) -> Iterator[FieldChange]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _diff(old.get(key, MISSING), new.get(key, MISSING), (*path, key))
    elif old is MISSING:
        yield FieldChange(format_path(path), "added", MISSING, new)
    elif new is MISSING:
        yield FieldChange(format_path(path), "removed", old, MISSING)
    elif same_json(old, new):
        return
    elif isinstance(old, list) and isinstance(new, list) and _is_compared_by_item(old, new):
        yield from _diff_arrays(old, new, path)
    else:
        yield FieldChange(format_path(path), "changed", old, new)


def _is_compared_by_item(old: list[Any], new: list[Any]) -> bool:
    return len(old) == len(new) or max(len(old), len(new)) <= MAX_ALIGNED_ITEMS


def _diff_arrays(old: list[Any], new: list[Any], path: tuple[str | int, ...]) -> Iterator[FieldChange]:
    if len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _diff(before, after, (*path, index))
        return
    removed: list[int] = []
    added: list[int] = []
    paired: list[tuple[int, int]] = []
    texts = [canonical_text(item) for item in old], [canonical_text(item) for item in new]
    for kind, old_from, old_to, new_from, new_to in SequenceMatcher(
        None, *texts, autojunk=False
    ).get_opcodes():
        if kind == "equal":
            continue
        pairs = min(old_to - old_from, new_to - new_from)
        paired += zip(range(old_from, old_from + pairs), range(new_from, new_from + pairs), strict=True)
        removed += range(old_from + pairs, old_to)
        added += range(new_from + pairs, new_to)
    for index in reversed(removed):
        yield FieldChange(format_path((*path, index)), "removed", old[index], MISSING)
    for index in added:
        yield FieldChange(format_path((*path, index)), "added", MISSING, new[index])
    for before, after in paired:
        yield from _diff(old[before], new[after], (*path, after))


def _middle_spans(olds: list[str], news: list[str]) -> list[_Span]:
    if max(len(olds), len(news)) > MAX_COMPARED_WORDS:
        return [("delete", olds), ("insert", news)]
    spans: list[_Span] = []
    matcher = SequenceMatcher(None, olds, news, autojunk=False)
    for kind, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if kind == "equal":
            spans.append(("equal", olds[old_from:old_to]))
        else:
            spans += [("delete", olds[old_from:old_to]), ("insert", news[new_from:new_to])]
    return spans


def _common_prefix(left: list[str], right: list[str]) -> int:
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return index
    return min(len(left), len(right))
