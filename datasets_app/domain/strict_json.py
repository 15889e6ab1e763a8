"""JSON from outside: what golden data may hold, and where a document breaks it.

Refused, each with its JSON path: NaN and infinities, integers beyond ±(2^53-1), numbers that overflow a double, NUL
and lone surrogates in strings and keys, duplicate keys, nesting deeper than 100, invalid UTF-8, and syntax errors.
A fast path accepts what is evidently good; the exact parser decides on all else and finds the path.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from json import decoder
from typing import Any, Final, NoReturn

import orjson

from datasets_app.domain.canonical import MAX_SAFE_INTEGER
from datasets_app.domain.json_path import format_path
from datasets_app.errors import InvalidJson

MAX_DEPTH: Final = 100

# Long digit runs (huge integers), long exponents and a written-out NUL are all that orjson lets through, beside
# duplicate keys and depth, which _is_evidently_good counts.
_SUSPICIOUS: Final = re.compile(rb"[0-9]{16}|\\u0000")
_KEY_END: Final = re.compile(rb'"[ \t\r\n]*:')

_scan_string: Final[Callable[[str, int, bool], tuple[str, int]]] = vars(decoder)["scanstring"]
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_WORDS: Final = {"true": True, "false": False, "null": None}
_NOT_NUMBERS: Final = ("NaN", "Infinity", "-Infinity")


def loads_strict(data: bytes | str) -> Any:
    """The value of one JSON document. Raises InvalidJson, which names path, found and expected.

    A byte order mark is not tolerated: whoever reads a file takes it off its start.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _parse_exactly(data)
    if _SUSPICIOUS.search(raw) is None and _is_evidently_good(raw, value):
        return value
    return _parse_exactly(data)


def check_value(value: Any) -> None:
    """Raise InvalidJson unless a Python value is JSON that golden data may hold.

    Only None, bool, int, float, str, list and dict themselves pass (not tuples, dates or subclasses): nothing is
    converted silently.
    """
    if not _is_good_value(value, MAX_DEPTH):
        _find_bad_value(value, [])


def _is_evidently_good(raw: bytes, value: Any) -> bool:
    # No more brackets than levels allowed, so no deeper nesting. As many keys in the value as key ends in the text
    # (never fewer than keys written), so no key written twice.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
        return False
    return len(_KEY_END.findall(raw)) == _count_keys(value)


def _count_keys(value: Any) -> int:
    kind = type(value)
    if kind is dict:
        count = len(value)
        for item in value.values():
            if type(item) is dict or type(item) is list:
                count += _count_keys(item)
        return count
    if kind is list:
        return sum(_count_keys(item) for item in value if type(item) is dict or type(item) is list)
    return 0


def _is_good_value(value: Any, levels: int) -> bool:
    kind = type(value)
    if kind is str:
        return _is_good_text(value)
    if kind is int:
        return bool(-MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER)
    if kind is float:
        return math.isfinite(value)
    if kind is dict:
        if levels == 0:
            return False
        for key, item in value.items():
            if type(key) is not str or not _is_good_text(key) or not _is_good_value(item, levels - 1):
                return False
        return True
    if kind is list:
        return levels > 0 and all(_is_good_value(item, levels - 1) for item in value)
    return value is None or kind is bool


def _is_good_text(text: str) -> bool:
    return "\x00" not in text and (text.isascii() or _SURROGATE.search(text) is None)


def _find_bad_value(value: Any, path: list[str | int]) -> None:
    kind = type(value)
    if kind in (dict, list):
        if len(path) >= MAX_DEPTH:
            _refuse_depth(path)
        for key, item in value.items() if kind is dict else enumerate(value):
            if kind is dict and type(key) is not str:
                _refuse(path, f"a key of type {type(key).__name__}", "string keys only")
            if isinstance(key, str):
                _check_text(key, path, "a key")
            path.append(key)
            _find_bad_value(item, path)
            path.pop()
    elif kind is str:
        _check_text(value, path, "a string")
    elif kind is int:
        _check_integer(value, path)
    elif kind is float:
        if not math.isfinite(value):
            _refuse(
                path, "NaN" if math.isnan(value) else str(value).replace("inf", "Infinity"), "a finite number"
            )
    elif value is not None and kind is not bool:
        _refuse(
            path, f"a value of type {kind.__name__}", "an object, array, string, number, true, false or null"
        )


def _parse_exactly(data: bytes | str) -> Any:
    # Bytes that are not UTF-8 become U+DC80…U+DCFF, so that the parser meets them at their path.
    text = data.decode("utf-8", "surrogateescape") if isinstance(data, bytes) else data
    return _ExactParser(text, from_bytes=isinstance(data, bytes)).parse()


class _ExactParser:
    """A JSON parser that knows at each moment at which path it is."""

    def __init__(self, text: str, *, from_bytes: bool) -> None:
        self.text = text
        self.from_bytes = from_bytes
        self.position = 0
        self.path: list[str | int] = []

    def parse(self) -> Any:
        self._skip_space()
        value = self._value()
        self._skip_space()
        if self.position < len(self.text):
            self._refuse_here("the end of the document")
        return value

    def _value(self) -> Any:
        first = self.text[self.position : self.position + 1]
        if first == '"':
            return self._string("a string")
        if first == "{":
            return self._object()
        if first == "[":
            return self._array()
        number = _NUMBER.match(self.text, self.position)
        if number is not None:
            return self._number(number)
        for word, value in _WORDS.items():
            if self.text.startswith(word, self.position):
                self.position += len(word)
                return value
        for word in _NOT_NUMBERS:
            if self.text.startswith(word, self.position):
                _refuse(self.path, word, "a finite number")
        self._refuse_here("a JSON value")

    def _object(self) -> dict[str, Any]:
        self._enter()
        result: dict[str, Any] = {}
        if self._take("}"):
            return result
        while True:
            if not self.text.startswith('"', self.position):
                self._refuse_here("a key in double quotes")
            key = self._string("a key")
            if key in result:
                _refuse([*self.path, key], "this key a second time", "each key once")
            self._skip_space()
            self.path.append(key)
            if not self._take(":"):
                self._refuse_here('":"')
            result[key] = self._value()
            self.path.pop()
            self._skip_space()
            if self._take("}", skip=False):
                return result
            if not self._take(","):
                self._refuse_here('"," or "}"')

    def _array(self) -> list[Any]:
        self._enter()
        result: list[Any] = []
        if self._take("]"):
            return result
        while True:
            self.path.append(len(result))
            result.append(self._value())
            self.path.pop()
            self._skip_space()
            if self._take("]", skip=False):
                return result
            if not self._take(","):
                self._refuse_here('"," or "]"')

    def _enter(self) -> None:
        if len(self.path) >= MAX_DEPTH:
            _refuse_depth(self.path)
        self.position += 1
        self._skip_space()

    def _string(self, what: str) -> str:
        start = self.position
        try:
            value, self.position = _scan_string(self.text, start + 1, True)
        except ValueError as error:
            self._refuse_string(error)
        if not _is_good_text(value):
            self._check_bytes(start, self.position)
            _check_text(value, self.path, what)
        return value

    def _refuse_string(self, error: ValueError) -> NoReturn:
        self.position = getattr(error, "pos", self.position)
        reason = str(getattr(error, "msg", error))
        if reason.startswith("Unterminated"):
            _refuse(self.path, f"a string from character {self.position + 1} without end", 'a closing "')
        if reason.startswith("Invalid control character"):
            self._refuse_here("control characters escaped")
        self._refuse_here(r"an escape of JSON (\" \\ \/ \b \f \n \r \t \uXXXX)")

    def _check_bytes(self, start: int, end: int) -> None:
        if not self.from_bytes:
            return
        bad = _SURROGATE.search(self.text, start, end)
        if bad is not None:
            self.position = bad.start()
            self._refuse_here("UTF-8")

    def _number(self, match: re.Match[str]) -> int | float:
        self.position = match.end()
        literal = match[0]
        if match[1] is None and match[2] is None:
            if len(literal) > 17:
                _refuse_integer(literal, self.path)
            number = int(literal)
            _check_integer(number, self.path)
            return number
        value = float(literal)
        if math.isinf(value):
            _refuse(self.path, _short(literal), "a number within the range of a double (±1.8e308)")
        return value

    def _take(self, character: str, *, skip: bool = True) -> bool:
        if not self.text.startswith(character, self.position):
            return False
        self.position += 1
        if skip and character in ",:":
            self._skip_space()
        return True

    def _skip_space(self) -> None:
        space = _SPACE.match(self.text, self.position)
        assert space is not None
        self.position = space.end()

    def _refuse_here(self, expected: str) -> NoReturn:
        character = self.text[self.position : self.position + 1]
        if not character:
            found = "the end of the text"
        elif self.from_bytes and "\udc80" <= character <= "\udcff":
            found = f"the byte 0x{ord(character) - 0xDC00:02x}, which is not UTF-8,"
        elif character.isprintable():
            found = character
        else:
            found = f"U+{ord(character):04X}"
        _refuse(self.path, f"{found} at character {self.position + 1}", expected)


def _check_text(text: str, path: list[str | int], what: str) -> None:
    if "\x00" in text:
        _refuse(path, f"{what} with NUL (U+0000)", "text without NUL")
    bad = _SURROGATE.search(text)
    if bad is not None:
        _refuse(path, f"{what} with the lone surrogate U+{ord(bad[0]):04X}", "whole Unicode characters")


def _check_integer(number: int, path: list[str | int]) -> None:
    if not -MAX_SAFE_INTEGER <= number <= MAX_SAFE_INTEGER:
        # Above a few thousand digits Python refuses to write an integer out.
        literal = str(number) if number.bit_length() < 4000 else f"an integer of {number.bit_length()} bits"
        _refuse_integer(literal, path)


def _refuse_integer(literal: str, path: list[str | int]) -> NoReturn:
    _refuse(path, _short(literal), "an integer within ±(2^53-1), or a string")


def _refuse_depth(path: list[str | int]) -> NoReturn:
    _refuse(path, f"nesting deeper than {MAX_DEPTH} levels", f"at most {MAX_DEPTH} levels")


def _refuse(path: list[str | int], found: str, expected: str) -> NoReturn:
    where = format_path(path)
    raise InvalidJson(
        f"{where}: found {found}, expected {expected}.", path=where, found=found, expected=expected
    )


def _short(literal: str) -> str:
    return literal if len(literal) <= 80 else f"{literal[:79]}…"
