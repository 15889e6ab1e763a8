"""Paths into JSON documents, in the manner of RFC 9535's normalised paths: `$.input["a b"][3]`.

A path is a tuple of keys (str) and indices (int, from 0); its text is what people, errors and stored diffs show.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterable
from typing import Any, Final

from datasets_app.errors import InvalidJson

Path = tuple[str | int, ...]


class Missing(enum.Enum):
    """The one value that says "nothing is there", which null does not."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing.MISSING

_SHORT_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_STEP: Final = re.compile(
    r"""\.(?P<name>[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_\u0080-\U0010ffff]*)
      | \[(?P<index>0|[1-9][0-9]*)\]
      | \[(?P<quoted>"(?:[^"\\]|\\.)*")\]""",
    re.VERBOSE | re.DOTALL,
)


def format_path(path: Iterable[str | int]) -> str:
    """The text of a path; `$` is the whole document."""
    return "$" + "".join(_format_part(part) for part in path)


def parse_path(text: str) -> Path:
    """The path that a text names. Raises InvalidJson where the text is not such a path."""
    if not text.startswith("$"):
        raise _bad_path(text, 0, '"$"')
    parts: list[str | int] = []
    position = 1
    while position < len(text):
        step = _STEP.match(text, position)
        if step is None:
            raise _bad_path(text, position, '.name, ["name"] or [index]')
        parts.append(_step_part(text, position, step))
        position = step.end()
    return tuple(parts)


def get_path(document: Any, path: str | Iterable[str | int], default: Any = MISSING) -> Any:
    """The value at a path, `default` if nothing is there."""
    value = document
    for part in _parts(path):
        if isinstance(part, str):
            if not isinstance(value, dict) or part not in value:
                return default
        elif not isinstance(value, list) or not 0 <= part < len(value):
            return default
        value = value[part]
    return value


def set_path(document: Any, path: str | Iterable[str | int], value: Any) -> Any:
    """A copy of the document with `value` at a path; the given document stays as it is.

    Objects that are missing on the way are made; an index may be the array's length, which appends. The value
    MISSING takes away what is there. Raises InvalidJson where the path does not fit the document.
    """
    parts = _parts(path)
    return _set(document, parts, 0, value)


def _format_part(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    if _SHORT_NAME.fullmatch(part):
        return f".{part}"
    return f"[{json.dumps(part, ensure_ascii=_SURROGATE.search(part) is not None)}]"


def _step_part(text: str, position: int, step: re.Match[str]) -> str | int:
    if step["name"] is not None:
        return step["name"]
    if step["index"] is not None:
        return int(step["index"])
    try:
        return str(json.loads(step["quoted"]))
    except json.JSONDecodeError as error:
        raise _bad_path(text, position, "a name written as a JSON string") from error


def _parts(path: str | Iterable[str | int]) -> Path:
    return parse_path(path) if isinstance(path, str) else tuple(path)


def _set(node: Any, parts: Path, depth: int, value: Any) -> Any:
    if depth == len(parts):
        return value
    part = parts[depth]
    if isinstance(part, str):
        if node is MISSING:
            node = {}
        if isinstance(node, dict):
            return _set_key(node, parts, depth, value)
    elif isinstance(node, list) and 0 <= part <= len(node):
        return _set_index(node, parts, depth, value)
    found = f"an array of {len(node)}" if isinstance(node, list) else _kind(node)
    raise InvalidJson(
        f"{format_path(parts)} cannot be set: at {format_path(parts[:depth])} found {found}, "
        f"expected {'an object' if isinstance(part, str) else f'an array of at least {part}'}.",
        path=format_path(parts),
    )


def _set_key(node: dict[str, Any], parts: Path, depth: int, value: Any) -> dict[str, Any]:
    key = parts[depth]
    assert isinstance(key, str)
    new = _set(node.get(key, MISSING), parts, depth + 1, value)
    copy = dict(node)
    if new is MISSING:
        copy.pop(key, None)
    else:
        copy[key] = new
    return copy


def _set_index(node: list[Any], parts: Path, depth: int, value: Any) -> list[Any]:
    index = parts[depth]
    assert isinstance(index, int)
    new = _set(node[index] if index < len(node) else MISSING, parts, depth + 1, value)
    return [*node[:index], *([] if new is MISSING else [new]), *node[index + 1 :]]


def _kind(value: Any) -> str:
    if value is MISSING:
        return "nothing"
    if isinstance(value, dict):
        return "an object"
    return "null" if value is None else f"a {type(value).__name__}"


def _bad_path(text: str, position: int, expected: str) -> InvalidJson:
    found = repr(text[position : position + 20]) if position < len(text) else "the end"
    return InvalidJson(
        f"{text[:80]!r} is not a JSON path: at character {position + 1} found {found}, expected {expected}.",
        path=text,
    )
