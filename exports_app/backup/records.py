"""A record of a backup: one line of JSON that ends with the CRC-32 of the rest of it."""

from __future__ import annotations

from binascii import crc32
from typing import Any

import orjson

from exports_app.errors import DamagedBackup, InvalidBackup

_TAIL = b',"crc32":"'
_TAIL_BYTES = len(_TAIL) + 8 + 2  # eight hex digits, quote, brace


def seal(record: bytes) -> bytes:
    """Return a record (a JSON object in one line, without line feed) with its checksum as last field."""
    return b'%s%s%08x"}' % (record[:-1], _TAIL, crc32(record))


def unsealed(line: bytes) -> bytes | None:
    """Return the record of a sealed line; None when the line is not sealed or the checksum does not match."""
    if line[-_TAIL_BYTES : -_TAIL_BYTES + len(_TAIL)] != _TAIL or line[-2:] != b'"}':
        return None
    record = line[:-_TAIL_BYTES] + b"}"
    return record if b"%08x" % crc32(record) == line[-10:-2] else None


def checked(line: bytes, place: str, required: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of a sealed line. Raises DamagedBackup, InvalidBackup (fields missing)."""
    if unsealed(line) is None:
        raise DamagedBackup(
            f"{place}: the record does not match its checksum.",
            hint="The file was truncated or changed. Use another copy of the backup.",
        )
    return parsed(line, place, required)


def parsed(line: bytes, place: str, required: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of a line, whose checksum is somebody else's concern. Raises InvalidBackup."""
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InvalidBackup(f"{place}: found a line that is no JSON ({error}).") from error
    if not isinstance(fields, dict):
        raise InvalidBackup(f"{place}: found {type(fields).__name__}, expected an object.")
    missing = [key for key in required if key not in fields]
    if missing:
        raise InvalidBackup(f"{place}: the field “{missing[0]}” is missing.")
    return fields
