"""Packed parts of a lexical index: which chunks have a term, how often, and how long each chunk is.

A segment holds up to 65,536 chunks, numbered in the order of their ids. The postings of a term are the numbers of its
chunks, ascending (little-endian uint16 each), and after them how often each has the term (uint8, or uint16 where a
chunk has it more than 255 times): 3 or 4 bytes a posting.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MAX_CHUNKS = 65_536
MAX_TERMS = 3_000_000
"""A segment is closed once its chunks have this many terms together: that bounds the memory of making it."""

_MOST_OFTEN = 65_535
_NUMBER_BITS = 16


class TermPostings(NamedTuple):
    """The packed postings of one term: `packed` holds `document_frequency` of them."""

    term: str
    document_frequency: int
    packed: bytes


class Postings(NamedTuple):
    """Unpacked postings: numbers of chunks, ascending, and how often each has the term."""

    numbers: npt.NDArray[np.uint16]
    frequencies: npt.NDArray[np.uint8 | np.uint16]


@dataclass(frozen=True)
class PackedSegment:
    """A finished segment: ids (16 bytes a chunk, ascending), lengths (uint32 a chunk), postings by term."""

    chunk_ids: bytes
    lengths: bytes
    terms: Sequence[TermPostings]

    @property
    def chunk_count(self) -> int:
        return len(self.lengths) // 4

    @property
    def term_total(self) -> int:
        return int(np.frombuffer(self.lengths, "<u4").sum(dtype=np.int64))


def unpack(document_frequency: int, packed: bytes | memoryview) -> Postings:
    """Return the postings in `packed`. Raises ValueError when its size does not fit `document_frequency`."""
    width, rest = divmod(len(packed), document_frequency or 1)
    if rest or width not in (3, 4):
        raise ValueError(
            f"found {len(packed)} bytes of postings of {document_frequency} chunks, expected 3 or 4 bytes each"
        )
    numbers = np.frombuffer(packed, "<u2", document_frequency)
    frequencies = np.frombuffer(
        packed, "u1" if width == 3 else "<u2", document_frequency, 2 * document_frequency
    )
    return Postings(numbers, frequencies)


class SegmentBuilder:
    """Collects chunks, in the order of their ids, and packs them into a segment."""

    def __init__(self) -> None:
        self._ids: list[bytes] = []
        self._lengths = array("I")
        self._occurrences = array("I")
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def is_full(self) -> bool:
        return len(self._ids) >= MAX_CHUNKS or len(self._occurrences) >= MAX_TERMS

    def add(self, chunk_id: bytes, terms: Sequence[str]) -> None:
        """Add a chunk: its id (16 bytes) and its terms. Raises ValueError when the id is not above the last one."""
        if self._ids and chunk_id <= self._ids[-1]:
            raise ValueError(
                f"chunk {chunk_id.hex()} comes after {self._ids[-1].hex()}; expected ascending ids"
            )
        numbers = self._numbers
        self._ids.append(chunk_id)
        self._lengths.append(len(terms))
        self._occurrences.extend([numbers.setdefault(term, len(numbers)) for term in terms])

    def build(self) -> PackedSegment:
        """Return the segment of what was added."""
        lengths = np.frombuffer(self._lengths, np.uint32) if self._ids else np.zeros(0, np.uint32)
        keys = np.frombuffer(self._occurrences, np.uint32).astype(np.uint64) if self._occurrences else _NONE
        keys <<= np.uint64(_NUMBER_BITS)
        keys |= np.repeat(np.arange(len(lengths), dtype=np.uint64), lengths)
        keys.sort()
        starts = _starts(keys)
        frequencies = np.diff(np.append(starts, len(keys)))
        terms = _pack(list(self._numbers), keys[starts], frequencies)
        return PackedSegment(b"".join(self._ids), lengths.astype("<u4").tobytes(), terms)


@dataclass(frozen=True)
class MergePart:
    """A segment to be merged: its packed ids and lengths, which of its chunks stay, and its postings."""

    chunk_ids: bytes
    lengths: bytes
    stays: npt.NDArray[np.bool_]
    terms: Iterable[TermPostings]


def merged(parts: Sequence[MergePart]) -> PackedSegment:
    """Return one segment of the chunks that stay in `parts`; no chunk may stay in two of them.

    Equal to the segment that is built of these chunks anew. Raises ValueError when they are too many for one.
    """
    ids = np.concatenate([np.frombuffer(part.chunk_ids, "S16")[part.stays] for part in parts])
    lengths = np.concatenate([np.frombuffer(part.lengths, "<u4")[part.stays] for part in parts])
    if len(ids) > MAX_CHUNKS:
        raise ValueError(f"{len(ids)} chunks in a segment; expected {MAX_CHUNKS} at the most")
    order = np.argsort(ids, kind="stable")
    place = np.empty(len(ids), np.uint64)
    place[order] = np.arange(len(ids), dtype=np.uint64)
    vocabulary: dict[str, int] = {}
    keys, frequencies = [_NONE], [np.zeros(0, np.uint16)]
    offset = 0
    for part in parts:
        staying = int(part.stays.sum())
        new_number = np.full(len(part.stays), -1, np.int64)
        new_number[part.stays] = place[offset : offset + staying]
        offset += staying
        for width, found in _by_width(part.terms).items():
            part_keys, part_frequencies = _all_postings(found, width, new_number, vocabulary)
            keys.append(part_keys)
            frequencies.append(part_frequencies)
    all_keys, all_frequencies = np.concatenate(keys), np.concatenate(frequencies)
    by_key = np.argsort(all_keys, kind="stable")
    terms = _pack(list(vocabulary), all_keys[by_key], all_frequencies[by_key])
    return PackedSegment(ids[order].tobytes(), lengths[order].astype("<u4").tobytes(), terms)


_NONE = np.zeros(0, np.uint64)


def _by_width(terms: Iterable[TermPostings]) -> dict[int, list[TermPostings]]:
    """Sort terms by how many bytes each of their postings has: 3 or 4."""
    found: dict[int, list[TermPostings]] = {3: [], 4: []}
    for term in terms:
        found[len(term.packed) // term.document_frequency].append(term)
    return found


def _all_postings(
    terms: Sequence[TermPostings],
    width: int,
    new_number: npt.NDArray[np.int64],
    vocabulary: dict[str, int],
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint16]]:
    """Return the keys (number of the term, new number of the chunk) and frequencies of the postings that stay."""
    numbers = np.frombuffer(b"".join(term.packed[: 2 * term.document_frequency] for term in terms), "<u2")
    often = np.frombuffer(
        b"".join(term.packed[2 * term.document_frequency :] for term in terms), "u1" if width == 3 else "<u2"
    )
    of_term = np.repeat(
        np.array([vocabulary.setdefault(term.term, len(vocabulary)) for term in terms], np.uint64),
        [term.document_frequency for term in terms],
    )
    now = new_number[numbers]
    kept = now >= 0
    keys = (of_term[kept] << np.uint64(_NUMBER_BITS)) | now[kept].astype(np.uint64)
    return keys, often[kept].astype(np.uint16)


def _starts(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return where in the sorted `values` a new one begins."""
    if not len(values):
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))


def _pack(
    vocabulary: Sequence[str], keys: npt.NDArray[np.uint64], frequencies: npt.NDArray[np.integer]
) -> Sequence[TermPostings]:
    """Pack postings, sorted by key (number of the term, number of the chunk), into terms, sorted by code point."""
    starts = _starts(keys >> np.uint64(_NUMBER_BITS))
    ends = np.append(starts[1:], len(keys)).astype(np.int64) if len(starts) else starts
    of_term = (keys[starts] >> np.uint64(_NUMBER_BITS)).tolist()
    numbers = keys.astype("<u2")  # the low 16 bits
    wide = np.minimum(frequencies, _MOST_OFTEN).astype("<u2")
    most = np.maximum.reduceat(wide, starts) if len(starts) else wide
    narrow = wide.astype("u1")
    order = sorted(range(len(starts)), key=lambda row: vocabulary[of_term[row]])

    def pack(row: int) -> TermPostings:
        start, end = starts[row], ends[row]
        often = narrow if most[row] < 256 else wide
        packed = numbers[start:end].tobytes() + often[start:end].tobytes()
        return TermPostings(vocabulary[of_term[row]], int(end - start), packed)

    return _Lazy(order, pack)


class _Lazy(Sequence[TermPostings]):
    """Packs a term when it is asked for: a big segment's postings need not be in memory twice."""

    def __init__(self, order: list[int], pack: Callable[[int], TermPostings]) -> None:
        self._order = order
        self._pack = pack

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index):  # type: ignore[no-untyped-def, override]
        if isinstance(index, slice):
            return [self._pack(row) for row in self._order[index]]
        return self._pack(self._order[index])

    def __iter__(self) -> Iterator[TermPostings]:
        return map(self._pack, self._order)
