"""What changed between two backups: analyses, test queries, examples of the default branches, labels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from typing import Any

import orjson

from exports_app.backup.opened import Backup, Part

_BRANCH = re.compile(rb'"branch_id":(\d+)')
_EXAMPLE_AT = len('{"example_id":"')
_QUERY_AT = len('{"id":"')
_EXPECTED_AT = len('{"query_id":"')
_ROW_NUMBER = re.compile(rb'"id":\d+,?')
_CRC_CHARS = len(',"crc32":"00000000"}')
_UUID_CHARS = 36


@dataclass
class ChangeCounts:
    added: int = 0
    removed: int = 0
    modified: int = 0

    @property
    def any(self) -> bool:
        return bool(self.added or self.removed or self.modified)


def compare_examples(old: Backup, new: Backup) -> ChangeCounts:
    """Count the examples in which two backups differ. Both are sorted by example, so both stream; memory is flat.

    Shards of one name are equal and are not read.
    """
    same = {p.name for p in old.parts.get("examples", []) if p.is_shard}
    same &= {p.name for p in new.parts.get("examples", []) if p.is_shard}
    return _compared(_by_example(old, same), _by_example(new, same))


def compare_labels(old: Backup, new: Backup) -> ChangeCounts:
    """Count the labels in which two backups differ, by example, item and annotator, in whose order both are."""
    same = {p.name for p in old.parts.get("labels", []) if p.is_shard}
    same &= {p.name for p in new.parts.get("labels", []) if p.is_shard}
    return _compared(_by_annotator(old, same), _by_annotator(new, same))


def _by_annotator(backup: Backup, left_out: set[str]) -> Iterator[tuple[tuple[str, int, bytes], list[bytes]]]:
    for part in backup.parts.get("labels", []):
        if part.name in left_out:
            continue
        for line in part.lines():
            label = orjson.loads(line)
            yield (label["example_id"], label["item_id"], label["annotator"].encode()), [line]


def _compared(
    before: Iterator[tuple[Any, list[bytes]]], after: Iterator[tuple[Any, list[bytes]]]
) -> ChangeCounts:
    counts = ChangeCounts()
    a, b = next(before, None), next(after, None)
    while a is not None or b is not None:
        if b is None or (a is not None and a[0] < b[0]):
            counts.removed += 1
            a = next(before, None)
        elif a is None or b[0] < a[0]:
            counts.added += 1
            b = next(after, None)
        else:
            counts.modified += a[1] != b[1]
            a, b = next(before, None), next(after, None)
    return counts


def compare_analyses(old: Backup, new: Backup) -> ChangeCounts:
    """Count the completed analyses in which two backups differ, by id and by the checksum of the document."""
    import numpy as np

    (before, old_crcs), (after, new_crcs) = old.census.golden(), new.census.golden()
    both, at_old, at_new = np.intersect1d(before, after, assume_unique=True, return_indices=True)
    return ChangeCounts(
        added=len(after) - len(both),
        removed=len(before) - len(both),
        modified=int((old_crcs[at_old] != new_crcs[at_new]).sum()),
    )


def compare_queries(old: Backup, new: Backup) -> ChangeCounts:
    """Count the test queries in which two backups differ; what a query expects is part of it."""
    return _compared(_by_query(old), _by_query(new))


def _by_query(backup: Backup) -> Iterator[tuple[bytes, list[bytes]]]:
    """Yield the id of each query with the lines that tell of it; both sections are in the order of that id."""
    queries = ((line[_QUERY_AT : _QUERY_AT + _UUID_CHARS], line) for line in backup.lines("test_queries"))
    expected = (
        (line[_EXPECTED_AT : _EXPECTED_AT + _UUID_CHARS], _ROW_NUMBER.sub(b"", line)[:-_CRC_CHARS])
        for line in backup.lines("expected_chunks")
    )
    for query, group in groupby(merge(queries, expected), key=lambda pair: pair[0]):
        yield query, [line for _, line in group]


def _by_example(backup: Backup, left_out: set[str]) -> Iterator[tuple[bytes, list[bytes]]]:
    default = {
        branch["id"] for line in backup.lines("branches") if (branch := orjson.loads(line))["is_default"]
    }
    wanted = {str(number).encode() for number in default}
    parts = [part for part in backup.parts.get("examples", []) if part.name not in left_out]
    lines = (line for part in parts for line in _lines_of(part, wanted))
    for example, group in groupby(lines, key=lambda line: line[_EXAMPLE_AT : _EXAMPLE_AT + _UUID_CHARS]):
        yield example, list(group)


def _lines_of(part: Part, branches: set[bytes]) -> Iterator[bytes]:
    for line in part.lines():
        match = _BRANCH.search(line, _EXAMPLE_AT + _UUID_CHARS)
        if match is not None and match[1] in branches:
            yield line
