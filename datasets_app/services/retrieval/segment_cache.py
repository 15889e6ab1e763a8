"""The segments of lexical indexes that this process has read: ids and lengths never change, so they are kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from django.db import connection

from datasets_app.domain.retrieval.bm25 import Segment
from goldenproject.kit.database_io import binary_cursor

MAX_BYTES = 256 * 1024 * 1024
_BYTES_PER_CHUNK = 33  # id, length and norm as float64, whether it is gone

KEY_COLUMNS = "s.id, s.created_at, s.xmin::text, s.deleted_count"


class SegmentKey(NamedTuple):
    """A segment in one state. xmin tells states apart whose transactions were rolled back."""

    id: int
    created_at: Any
    xmin: str
    deleted_count: int


@dataclass(frozen=True)
class _Kept:
    key: SegmentKey
    segment: Segment


class _Cache:
    """The most recently used segments, up to MAX_BYTES."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int, Any], _Kept] = OrderedDict()
        self._bytes = 0

    def get(self, name: tuple[str, int, Any]) -> _Kept | None:
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
            return self._kept.get(name)

    def put(self, name: tuple[str, int, Any], kept: _Kept) -> None:
        with self._lock:
            if name not in self._kept:
                self._bytes += _size(kept)
            self._kept[name] = kept
            self._kept.move_to_end(name)
            while self._bytes > MAX_BYTES and len(self._kept) > 1:
                self._bytes -= _size(self._kept.popitem(last=False)[1])


_cache = _Cache()


def segments_in(keys: Sequence[SegmentKey]) -> list[Segment] | None:
    """Return the segments in exactly these states, or None when one of them is in another state by now."""
    found: dict[SegmentKey, Segment] = {}
    missing: list[SegmentKey] = []
    for key in keys:
        kept = _cache.get(_name(key))
        if kept is not None and kept.key == key:
            found[key] = kept.segment
        else:
            missing.append(key)
    if missing:
        found.update(_read([key for key in missing if _cache.get(_name(key)) is None], whole=True))
        found.update(_read([key for key in missing if key not in found], whole=False))
    if any(key not in found for key in keys):
        return None
    return [found[key] for key in keys]


def deleted_mask(deleted: bytes, count: int) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    """Return which of `count` chunks are gone, from the packed bits; None when none is."""
    if not deleted:
        return None
    return np.unpackbits(np.frombuffer(deleted, np.uint8), count=count, bitorder="little").astype(np.bool_)


def deleted_bits(gone: np.ndarray[Any, np.dtype[np.bool_]]) -> bytes:
    """Return the packed bits of which chunks are gone."""
    return np.packbits(gone, bitorder="little").tobytes()


def _read(keys: Sequence[SegmentKey], *, whole: bool) -> dict[SegmentKey, Segment]:
    """Read segments (whole, or only what is gone of those whose arrays are kept) that are still in these states."""
    if not keys:
        return {}
    arrays = "s.chunk_ids, s.lengths" if whole else "NULL, NULL"
    statement = (
        f"SELECT {KEY_COLUMNS}, s.deleted, {arrays} FROM datasets_app_lexicalsegment s WHERE s.id = ANY(%s)"
    )
    found: dict[SegmentKey, Segment] = {}
    with binary_cursor() as cursor:
        rows = cursor.execute(statement, [[key.id for key in keys]]).fetchall()  # type: ignore[call-overload]
    for *key_columns, deleted, chunk_ids, lengths in rows:
        key = SegmentKey(*key_columns)
        if key not in keys:
            continue
        kept = None if whole else _cache.get(_name(key))
        if kept is not None:
            arrays_of = kept.segment
        elif whole:
            arrays_of = Segment(
                np.frombuffer(chunk_ids, "S16"), np.frombuffer(lengths, "<u4").astype(np.float64)
            )
        else:
            continue  # pushed out of the cache meanwhile; the caller asks again
        segment = replace(arrays_of, gone=deleted_mask(deleted, len(arrays_of.lengths)))
        _cache.put(_name(key), _Kept(key, segment))
        found[key] = segment
    return found


def _name(key: SegmentKey) -> tuple[str, int, Any]:
    """Name a segment in all its states: tests and drills use several databases in one process."""
    return (str(connection.settings_dict["NAME"]), key.id, key.created_at)


def _size(kept: _Kept) -> int:
    return _BYTES_PER_CHUNK * len(kept.segment.lengths)
