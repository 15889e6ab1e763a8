"""The tree of a version: an adaptive Merkle radix trie from example to content hash.

Its shape depends on the set alone. An example's place is its key, the first 16 bytes of SHA-256(UUID), read as 42
digits of 3 bits, so that chosen UUIDs cannot unbalance it. A subtree is one leaf exactly when it holds at most
`LEAF_ENTRIES` examples; else it is an inner node with up to `FAN_OUT` children.

Body of a leaf: 0x00, then for each example, sorted by key: UUID (16 bytes), content hash (32 bytes).
Body of an inner node: 0x01, a bitmap of the digits that are there (1 byte, digit 0 = lowest bit), then for each of
them: hash of the child (32 bytes), number of examples below it (8 bytes, big-endian).
A node is known by the SHA-256 of its body; an empty version is an empty leaf.

Reads ask a `NodeSource` for whole levels at a time, so that a database answers in a few round trips.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

LEAF_ENTRIES = 64
FAN_OUT = 8
ENTRY_BYTES = 48
_CHILD_BYTES = 40
_LEAF_TAG = b"\x00"
_INNER_TAG = b"\x01"
_KEY_BITS = 128
_DIGIT_BITS = 3
_FETCH_NODES = 2048


class NodeSource(Protocol):
    """Where the bodies of nodes come from."""

    def fetch(self, hashes: Collection[bytes]) -> Mapping[bytes, bytes]:
        """Return the body of every node in `hashes`; raise if one is missing."""


class TreeChange(NamedTuple):
    """One example in which two versions differ: its UUID (16 bytes), content hash before and after, None if absent."""

    uuid: bytes
    old: bytes | None
    new: bytes | None


@dataclass(frozen=True, slots=True)
class Child:
    """A subtree: its hash, and the number of examples in it."""

    hash: bytes
    count: int


@dataclass
class Written:
    """The result of building or updating a tree: its root, its size, and the nodes that are new."""

    root: bytes
    count: int
    nodes: dict[bytes, bytes] = field(default_factory=dict)
    changes: list[TreeChange] = field(default_factory=list)


class MalformedNode(ValueError):
    """The body of a node cannot be read."""


def key_of(uuid: bytes) -> int:
    """Return the key of a UUID (16 bytes) as a number of 128 bits."""
    return int.from_bytes(hashlib.sha256(uuid).digest()[:16], "big")


def node_hash(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


EMPTY_BODY = _LEAF_TAG
EMPTY_ROOT = node_hash(EMPTY_BODY)


def is_leaf(body: bytes) -> bool:
    return body[:1] == _LEAF_TAG


def leaf_entries(body: bytes) -> dict[bytes, bytes]:
    """Return UUID → content hash of a leaf."""
    return {body[i : i + 16]: body[i + 16 : i + 48] for i in range(1, len(body), ENTRY_BYTES)}


def inner_children(body: bytes) -> dict[int, Child]:
    """Return digit → child of an inner node."""
    if len(body) < 2 or body[:1] != _INNER_TAG:
        raise MalformedNode("neither a leaf nor an inner node")
    digits = [d for d in range(FAN_OUT) if body[1] >> d & 1]
    if len(body) != 2 + _CHILD_BYTES * len(digits):
        raise MalformedNode("the length of an inner node does not match its bitmap")
    return {
        digit: Child(body[at : at + 32], int.from_bytes(body[at + 32 : at + 40], "big"))
        for digit, at in zip(digits, range(2, len(body), _CHILD_BYTES), strict=True)
    }


def node_count(body: bytes) -> int:
    """Return the number of examples below a node."""
    if is_leaf(body):
        return (len(body) - 1) // ENTRY_BYTES
    return sum(child.count for child in inner_children(body).values())


def _digit(key: int, depth: int) -> int:
    return key >> (_KEY_BITS - _DIGIT_BITS * (depth + 1)) & (FAN_OUT - 1)


def _leaf_body(entries: Mapping[bytes, bytes]) -> bytes:
    return _LEAF_TAG + b"".join(uuid + entries[uuid] for uuid in sorted(entries, key=key_of))


def _inner_body(children: Mapping[int, Child]) -> bytes:
    bitmap = sum(1 << digit for digit in children)
    parts = (children[d].hash + children[d].count.to_bytes(8, "big") for d in sorted(children))
    return _INNER_TAG + bytes([bitmap]) + b"".join(parts)


def build(entries: Mapping[bytes, bytes] | Iterable[tuple[bytes, bytes]]) -> Written:
    """Build the tree of `entries` (UUID of 16 bytes → content hash of 32 bytes) from nothing.

    Raises ValueError when a UUID comes twice.
    """
    pairs = entries.items() if isinstance(entries, Mapping) else entries
    packed = b"".join(uuid + content for uuid, content in pairs)
    return build_packed(packed)


def build_packed(packed: bytes) -> Written:
    """Build a tree from entries in a row: UUID (16 bytes), content hash (32 bytes), in any order."""
    count = len(packed) // ENTRY_BYTES
    sha256 = hashlib.sha256
    keys = np.frombuffer(
        b"".join(sha256(packed[i : i + 16]).digest()[:16] for i in range(0, len(packed), ENTRY_BYTES)),
        dtype=">u8",
    ).reshape(count, 2)
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    keys = keys[order].astype(np.uint64)
    rows = np.frombuffer(packed, dtype=np.uint8).reshape(count, ENTRY_BYTES)[order]
    if count > 1 and bool(np.any(np.all(keys[1:] == keys[:-1], axis=1))):
        raise ValueError("an example is in the tree twice")
    written = Written(root=EMPTY_ROOT, count=count)
    builder = _Builder(keys, rows.tobytes(), written.nodes)
    written.root = builder.subtree(0, count, 0).hash
    return written


@dataclass
class _Builder:
    """Builds subtrees of rows that are sorted by key; a subtree is a range of rows."""

    keys: np.ndarray
    packed: bytes
    nodes: dict[bytes, bytes]

    def subtree(self, start: int, stop: int, depth: int) -> Child:
        count = stop - start
        if count <= LEAF_ENTRIES:
            return self._add(_LEAF_TAG + self.packed[start * ENTRY_BYTES : stop * ENTRY_BYTES], count)
        children = {}
        bounds = self._bounds(start, stop, depth)
        for digit in range(FAN_OUT):
            low, high = bounds[digit], bounds[digit + 1]
            if low < high:
                children[digit] = self.subtree(low, high, depth + 1)
        return self._add(_inner_body(children), count)

    def _bounds(self, start: int, stop: int, depth: int) -> list[int]:
        """Return where each digit begins in rows start…stop, and the end."""
        shift = _KEY_BITS - _DIGIT_BITS * (depth + 1)
        if shift >= 64:
            digits = self.keys[start:stop, 0] >> np.uint64(shift - 64) & np.uint64(FAN_OUT - 1)
        else:
            whole = [(int(high) << 64) | int(low) for high, low in self.keys[start:stop]]
            digits = np.array([key >> shift & (FAN_OUT - 1) for key in whole], dtype=np.uint64)
        inside = np.searchsorted(digits, np.arange(1, FAN_OUT, dtype=np.uint64), side="left")
        return [start, *(start + int(i) for i in inside), stop]

    def _add(self, body: bytes, count: int) -> Child:
        digest = node_hash(body)
        self.nodes[digest] = body
        return Child(digest, count)


def update(root: bytes, changes: Mapping[bytes, bytes | None], source: NodeSource) -> Written:
    """Return the tree `root` with `changes` applied (UUID → new content hash, None removes).

    `Written.changes` holds what really changed, with the hash before. Cost follows the number of changes.
    """
    keyed = sorted((key_of(uuid), uuid, new) for uuid, new in changes.items())
    known = _fetch_paths(root, [key for key, _, _ in keyed], source)
    return _Updater(source, known).run(root, keyed)


_Keyed = tuple[int, bytes, bytes | None]


class _Updater:
    def __init__(self, source: NodeSource, known: dict[bytes, bytes]) -> None:
        self._source = source
        self._known = known
        self._new: dict[bytes, bytes] = {}
        self._changes: list[TreeChange] = []

    def run(self, root: bytes, keyed: list[_Keyed]) -> Written:
        top = self._apply(root, 0, keyed) if keyed else None
        if top is None:
            body = self._body(root)
            top = Child(root, node_count(body))
        nodes = {digest: body for digest, body in self._new.items() if digest not in self._known}
        return Written(root=top.hash, count=top.count, nodes=nodes, changes=self._changes)

    def _body(self, digest: bytes) -> bytes:
        body = self._new.get(digest) or self._known.get(digest)
        if body is None:
            body = self._source.fetch([digest])[digest]
            self._known[digest] = body
        return body

    def _apply(self, digest: bytes | None, depth: int, keyed: list[_Keyed]) -> Child:
        body = EMPTY_BODY if digest is None else self._body(digest)
        if is_leaf(body):
            return self._rebuild_leaf(leaf_entries(body), depth, keyed)
        children = inner_children(body)
        for digit, part in _by_digit(keyed, depth).items():
            child = children.pop(digit, None)
            changed = self._apply(child.hash if child else None, depth + 1, part)
            if changed.count:
                children[digit] = changed
        total = sum(child.count for child in children.values())
        if total > LEAF_ENTRIES:
            return self._add(_inner_body(children), total)
        entries: dict[bytes, bytes] = {}
        for child in children.values():
            entries.update(self._collect(child.hash))
        return self._add(_leaf_body(entries), total)

    def _rebuild_leaf(self, entries: dict[bytes, bytes], depth: int, keyed: list[_Keyed]) -> Child:
        for _, uuid, new in keyed:
            old = entries.get(uuid)
            if old == new:
                continue
            self._changes.append(TreeChange(uuid, old, new))
            if new is None:
                del entries[uuid]
            else:
                entries[uuid] = new
        return self._make([(key_of(uuid), uuid, content) for uuid, content in entries.items()], depth)

    def _make(self, keyed: list[_Keyed], depth: int) -> Child:
        if len(keyed) <= LEAF_ENTRIES:
            keyed.sort()
            body = _LEAF_TAG + b"".join(uuid + (content or b"") for _, uuid, content in keyed)
            return self._add(body, len(keyed))
        children = {digit: self._make(part, depth + 1) for digit, part in _by_digit(keyed, depth).items()}
        return self._add(_inner_body(children), len(keyed))

    def _collect(self, digest: bytes) -> dict[bytes, bytes]:
        """Return all entries below a node that is about to be folded into a leaf."""
        body = self._body(digest)
        self._new.pop(digest, None)
        if is_leaf(body):
            return leaf_entries(body)
        entries: dict[bytes, bytes] = {}
        for child in inner_children(body).values():
            entries.update(self._collect(child.hash))
        return entries

    def _add(self, body: bytes, count: int) -> Child:
        digest = node_hash(body)
        if count or body == EMPTY_BODY:
            self._new[digest] = body
        return Child(digest, count)


def _by_digit(keyed: list[_Keyed], depth: int) -> dict[int, list[_Keyed]]:
    parts: dict[int, list[_Keyed]] = {}
    for item in keyed:
        parts.setdefault(_digit(item[0], depth), []).append(item)
    return parts


def _fetch_paths(root: bytes, keys: list[int], source: NodeSource) -> dict[bytes, bytes]:
    """Return every node on the way from the root to each of `keys`, a level per fetch."""
    known: dict[bytes, bytes] = {}
    level = {root: keys}
    depth = 0
    while level:
        bodies = source.fetch(list(level))
        known.update(bodies)
        below: dict[bytes, list[int]] = {}
        for digest, wanted in level.items():
            body = bodies[digest]
            if is_leaf(body):
                continue
            children = inner_children(body)
            for key in wanted:
                child = children.get(_digit(key, depth))
                if child is not None:
                    below.setdefault(child.hash, []).append(key)
        level = below
        depth += 1
    return known


def lookup(root: bytes, uuids: Iterable[bytes], source: NodeSource) -> dict[bytes, bytes]:
    """Return UUID → content hash for those of `uuids` that the version holds."""
    keyed = {uuid: key_of(uuid) for uuid in uuids}
    if not keyed:
        return {}
    known = _fetch_paths(root, list(keyed.values()), source)
    found = {}
    leaves: dict[bytes, dict[bytes, bytes]] = {}
    for uuid, key in keyed.items():
        leaf = _leaf_of(root, key, known)
        if leaf is None:
            continue
        entries = leaves.get(leaf)
        if entries is None:
            entries = leaves[leaf] = leaf_entries(known[leaf])
        if uuid in entries:
            found[uuid] = entries[uuid]
    return found


def _leaf_of(root: bytes, key: int, known: Mapping[bytes, bytes]) -> bytes | None:
    digest, depth = root, 0
    while not is_leaf(known[digest]):
        child = inner_children(known[digest]).get(_digit(key, depth))
        if child is None:
            return None
        digest, depth = child.hash, depth + 1
    return digest


def leaves(root: bytes, source: NodeSource, batch: int = _FETCH_NODES) -> Iterator[list[bytes]]:
    """Yield the bodies of all leaves in the order of keys, `batch` at a time. Memory: the leaves' hashes, one batch."""
    order = [root]
    body = source.fetch([root])[root]
    if is_leaf(body):
        yield [body]
        return
    pending: list[Child] = list(inner_children(body).values())
    while any(child.count > LEAF_ENTRIES for child in pending):
        inner = [child.hash for child in pending if child.count > LEAF_ENTRIES]
        bodies: dict[bytes, bytes] = {}
        for part in batches(inner, batch):
            bodies.update(source.fetch(part))
        below: list[Child] = []
        for child in pending:
            if child.count > LEAF_ENTRIES:
                below.extend(inner_children(bodies[child.hash]).values())
            else:
                below.append(child)
        pending = below
    order = [child.hash for child in pending]
    for part in batches(order, batch):
        fetched = source.fetch(part)
        yield [fetched[digest] for digest in part]


def entries(root: bytes, source: NodeSource) -> Iterator[tuple[bytes, bytes]]:
    """Yield (UUID, content hash) of every example of a version, in the order of keys."""
    for bodies in leaves(root, source):
        for body in bodies:
            yield from leaf_entries(body).items()


_Side = bytes | dict[bytes, bytes] | None


def diff(old: bytes, new: bytes, source: NodeSource) -> Iterator[TreeChange]:
    """Yield each example in which version `new` differs from `old`, in no particular order.

    Equal subtrees are never read, so the cost follows the difference.
    """
    if old == new:
        return
    work: list[tuple[_Side, _Side, int]] = [(old, new, 0)]
    while work:
        part, work = work[-_FETCH_NODES:], work[:-_FETCH_NODES]
        wanted = {side for pair in part for side in pair[:2] if isinstance(side, bytes)}
        bodies = source.fetch(list(wanted)) if wanted else {}
        for left, right, depth in part:
            a = _open_side(left, bodies)
            b = _open_side(right, bodies)
            if isinstance(a, _Inner) or isinstance(b, _Inner):
                work.extend(_pair_children(a, b, depth))
            else:
                yield from _diff_entries(a, b)


class _Inner(dict[int, Child]):
    """The children of an inner node, told apart from the entries of a leaf."""


def _open_side(side: _Side, bodies: Mapping[bytes, bytes]) -> _Inner | dict[bytes, bytes]:
    if side is None:
        return {}
    if isinstance(side, dict):
        return side
    body = bodies[side]
    return leaf_entries(body) if is_leaf(body) else _Inner(inner_children(body))


def _pair_children(
    a: _Inner | dict[bytes, bytes], b: _Inner | dict[bytes, bytes], depth: int
) -> Iterator[tuple[_Side, _Side, int]]:
    left, right = _sides_by_digit(a, depth), _sides_by_digit(b, depth)
    for digit in sorted(left.keys() | right.keys()):
        pair = (left.get(digit), right.get(digit))
        if pair[0] != pair[1]:
            yield (*pair, depth + 1)


def _sides_by_digit(node: _Inner | dict[bytes, bytes], depth: int) -> dict[int, _Side]:
    if isinstance(node, _Inner):
        return {digit: child.hash for digit, child in node.items()}
    parts: dict[int, dict[bytes, bytes]] = {}
    for uuid, content in node.items():
        parts.setdefault(_digit(key_of(uuid), depth), {})[uuid] = content
    return dict(parts)


def _diff_entries(a: Mapping[bytes, bytes], b: Mapping[bytes, bytes]) -> Iterator[TreeChange]:
    for uuid, old in a.items():
        new = b.get(uuid)
        if new != old:
            yield TreeChange(uuid, old, new)
    for uuid, new in b.items():
        if uuid not in a:
            yield TreeChange(uuid, None, new)


def batches(items: list[bytes], size: int) -> Iterator[list[bytes]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


class DictSource:
    """A node source over a dictionary; for tests and for trees that are built from a backup."""

    def __init__(self, nodes: Mapping[bytes, bytes] | None = None) -> None:
        self.nodes: dict[bytes, bytes] = {EMPTY_ROOT: EMPTY_BODY, **(nodes or {})}

    def fetch(self, hashes: Collection[bytes]) -> Mapping[bytes, bytes]:
        return {digest: self.nodes[digest] for digest in hashes}
