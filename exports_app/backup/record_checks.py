"""What each record of a section must be: sealed, complete, and there once."""

from __future__ import annotations

from typing import Any

from exports_app.backup.analyses import DETAIL_KEYS, DETAILS
from exports_app.backup.records import checked
from exports_app.backup.tables import BY_NAME
from exports_app.errors import InvalidBackup

_FILE_KEYS = ("path", "section", "count", "bytes", "sha256")


class RecordChecker:
    """Checks the records of one section: checksum, required fields, no key twice."""

    def __init__(self, section: str) -> None:
        known = BY_NAME.get(section)
        keys = {"people": ("name",), "files": ("path",), DETAILS: ("id",)}
        self._key = known.key if known else keys.get(section, ())
        extra = {"people": ("name",), "files": _FILE_KEYS, DETAILS: DETAIL_KEYS}.get(section, ())
        self._required = known.required_keys() if known else extra
        self._seen: set[tuple[Any, ...]] = set()
        self._last: bytes | int | None = None

    def check(self, line: bytes, place: str) -> dict[str, Any]:
        fields = checked(line, place, self._required)
        if self._key:
            key = tuple(fields[name] for name in self._key)
            if key in self._seen:
                raise _duplicate(place, self._key, key)
            self._seen.add(key)
        return fields

    def check_sorted(self, line: bytes, place: str) -> dict[str, Any]:
        """As `check`, for records in the order of their leading field: only those of one value are remembered."""
        fields = checked(line, place, self._required)
        if self._key:
            leading = _ordered(fields[self._key[0]])
            if leading != self._last:
                if self._last is not None and _behind(leading, self._last):
                    raise InvalidBackup(f"{place}: found {_told(leading)} behind {_told(self._last)}.")
                self._seen.clear()
                self._last = leading
            key = tuple(fields[name] for name in self._key)
            if key in self._seen:
                raise _duplicate(place, self._key, key)
            self._seen.add(key)
        return fields


def _ordered(value: Any) -> bytes | int:
    return value if type(value) is int else str(value).encode()


def _behind(leading: bytes | int, last: bytes | int) -> bool:
    if isinstance(leading, int) and isinstance(last, int):
        return leading < last
    return _told(leading).encode() < _told(last).encode()


def _told(value: bytes | int) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _duplicate(place: str, names: tuple[str, ...], key: tuple[Any, ...]) -> InvalidBackup:
    told = ", ".join(f"{name} {value}" for name, value in zip(names, key, strict=True))
    return InvalidBackup(f"{place}: duplicate record: {told} occurs twice.")
