"""The hash of a commit, and walks through the graph of commits."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from datasets_app.domain.canonical import canonical_text


@dataclass(frozen=True)
class CommitRecord:
    """All that a commit's hash covers. Hashes are 64 hex digits; the author is a literal string."""

    parents: tuple[str, ...]
    root: str
    added: int
    removed: int
    modified: int
    author: str
    message: str
    committed_at: datetime

    def hash(self) -> str:
        """SHA-256 over the canonical JSON of the record, with the time in UTC to the microsecond."""
        text = canonical_text(
            {
                "added": self.added,
                "author": self.author,
                "committed_at": self.committed_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                "message": self.message,
                "modified": self.modified,
                "parents": list(self.parents),
                "removed": self.removed,
                "root": self.root,
            }
        )
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class GraphCommit:
    """A commit as the graph sees it."""

    hash: str
    parents: tuple[str, ...]
    generation: int


def merge_base(a: str, b: str, load: Callable[[str], GraphCommit]) -> str | None:
    """Return the best common ancestor of two commits, or None.

    Commits are visited from the greatest generation down, so the first that both sides reach is best. Of several
    that are equally good (a criss-cross) the one with the smallest hash is taken: the answer is the same for (b, a).
    """
    sides: dict[str, int] = {a: 1}
    sides[b] = sides.get(b, 0) | 2
    queue = [(-load(h).generation, h) for h in sides]
    heapq.heapify(queue)
    seen: set[str] = set()
    while queue:
        _, current = heapq.heappop(queue)
        if current in seen:
            continue
        seen.add(current)
        if sides[current] == 3:
            return current
        for parent in load(current).parents:
            sides[parent] = sides.get(parent, 0) | sides[current]
            heapq.heappush(queue, (-load(parent).generation, parent))
    return None


@dataclass(frozen=True)
class GraphRow:
    """A commit's place in a drawn log: its lane, and the lanes of the lines that leave it downwards."""

    hash: str
    lane: int
    lanes_before: tuple[str | None, ...]
    lanes_after: tuple[str | None, ...]


def graph_rows(commits: list[GraphCommit]) -> list[GraphRow]:
    """Lay out commits (children before parents) in lanes; a lane holds the hash that it waits for."""
    lanes: list[str | None] = []
    rows = []
    for commit in commits:
        before = tuple(lanes)
        if commit.hash in lanes:
            lane = lanes.index(commit.hash)
        else:
            lane = lanes.index(None) if None in lanes else len(lanes)
            lanes[lane : lane + 1] = [commit.hash]
        lanes = [None if waiting == commit.hash else waiting for waiting in lanes]
        for number, parent in enumerate(commit.parents):
            if parent in lanes:
                continue
            if number == 0:
                lanes[lane] = parent
            elif None in lanes:
                lanes[lanes.index(None)] = parent
            else:
                lanes.append(parent)
        while lanes and lanes[-1] is None:
            lanes.pop()
        rows.append(GraphRow(commit.hash, lane, before, tuple(lanes)))
    return rows
