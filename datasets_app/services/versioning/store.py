"""Blobs and nodes in the database: read by sets of hashes, written once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping

from datasets_app.domain import tree
from datasets_app.errors import CorruptData
from goldenproject.kit.database_io import binary_cursor, copy_rows

_FETCH_NODES = "SELECT hash, body FROM datasets_app_node WHERE hash = ANY(%s)"
_PUT_NODES = "INSERT INTO datasets_app_node (hash, body) SELECT * FROM unnest(%s::bytea[], %s::bytea[]) ON CONFLICT DO NOTHING"
_FETCH_BLOBS = "SELECT hash, body FROM datasets_app_blob WHERE hash = ANY(%s)"
_PUT_BLOBS = "INSERT INTO datasets_app_blob (hash, body) SELECT * FROM unnest(%s::bytea[], %s::text[]) ON CONFLICT DO NOTHING"
_BULK_NODES = 4096
_CACHED_NODES = 20_000


class _InnerNodeCache:
    """The inner nodes that were read last. Nodes never change, so a process may keep them; 20,000 are about 7 MB."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._nodes: OrderedDict[bytes, bytes] = OrderedDict()

    def get(self, digest: bytes) -> bytes | None:
        body = self._nodes.get(digest)
        if body is not None:
            self._nodes.move_to_end(digest, last=True)
        return body

    def put(self, digest: bytes, body: bytes) -> None:
        self._nodes[digest] = body
        while len(self._nodes) > self._size:
            self._nodes.popitem(last=False)


_inner_nodes = _InnerNodeCache(_CACHED_NODES)


class NodeStore:
    """The node source over the database. Inner nodes are cached in the process; leaves are not."""

    def fetch(self, hashes: Collection[bytes]) -> Mapping[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        missing = []
        for digest in hashes:
            body = tree.EMPTY_BODY if digest == tree.EMPTY_ROOT else _inner_nodes.get(digest)
            if body is None:
                missing.append(digest)
            else:
                found[digest] = body
        if missing:
            with binary_cursor() as cursor:
                cursor.execute(_FETCH_NODES, [missing])
                for digest, body in cursor:
                    found[digest] = body
                    if not tree.is_leaf(body):
                        _inner_nodes.put(digest, body)
        if len(found) < len(set(hashes)):
            lost = next(digest for digest in hashes if digest not in found)
            raise CorruptData(
                f"Tree node {lost.hex()} is missing from the database.",
                hint="Run golden_verify --deep, then restore the newest good backup.",
            )
        return found


def put_nodes(nodes: Mapping[bytes, bytes]) -> None:
    """Store nodes that may be there already."""
    if len(nodes) > _BULK_NODES:
        _bulk_put_nodes(nodes)
    elif nodes:
        with binary_cursor() as cursor:
            cursor.execute(_PUT_NODES, [list(nodes), list(nodes.values())])


def _bulk_put_nodes(nodes: Mapping[bytes, bytes]) -> None:
    with binary_cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE golden_new_node (hash bytea, body bytea) ON COMMIT DROP")
        copy_rows("COPY golden_new_node FROM STDIN (FORMAT BINARY)", nodes.items(), ["bytea", "bytea"])
        cursor.execute(
            "INSERT INTO datasets_app_node SELECT hash, body FROM golden_new_node ORDER BY hash ON CONFLICT DO NOTHING"
        )
        cursor.execute("DROP TABLE golden_new_node")


def put_blobs(texts: Mapping[bytes, str]) -> None:
    """Store canonical texts under their hashes; those that are there already stay."""
    if texts:
        with binary_cursor() as cursor:
            cursor.execute(_PUT_BLOBS, [list(texts), list(texts.values())])


def blob_texts(hashes: Iterable[bytes]) -> dict[bytes, str]:
    """Return the text of each blob in `hashes`. Raises CorruptData when one is missing."""
    wanted = set(hashes)
    if not wanted:
        return {}
    with binary_cursor() as cursor:
        cursor.execute(_FETCH_BLOBS, [list(wanted)])
        found = dict(cursor.fetchall())
    if len(found) < len(wanted):
        lost = next(digest for digest in wanted if digest not in found)
        raise CorruptData(
            f"The content {lost.hex()} is missing from the database.",
            hint="Run golden_verify --deep, then restore the newest good backup.",
        )
    return found
