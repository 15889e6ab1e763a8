"""Bring the contents of a merge into a working copy, over clean rows and into rows with uncommitted edits."""

from __future__ import annotations

import uuid

from datasets_app.domain import tree
from datasets_app.domain.canonical import canonical_text, content_hash
from datasets_app.domain.json_path import MISSING
from datasets_app.models import Branch
from datasets_app.services.versioning.comparing import root_of
from datasets_app.services.versioning.merge_planning import merge_contents
from datasets_app.services.versioning.store import NodeStore, blob_texts, put_blobs
from datasets_app.services.versioning.working_rows import working_contents
from datasets_app.services.versioning.worktrees import apply_to_rows


def bring_into_rows(branch: Branch, incoming: dict[bytes, bytes | None]) -> int:
    """Apply incoming contents to the working copy; return how many uncommitted edits stayed over an incoming one.

    Must run while the branch still points at the commit that the rows are based on.
    """
    uuids = [uuid.UUID(bytes=key) for key in incoming]
    dirty = set(
        branch.dirty.select_for_update().filter(example_id__in=uuids).values_list("example_id", flat=True)
    )
    clean = {key: content for key, content in incoming.items() if uuid.UUID(bytes=key) not in dirty}
    apply_to_rows(branch, clean)
    branch.dirty.filter(example_id__in=[uuid.UUID(bytes=key) for key in clean]).delete()
    return _merge_into_dirty(branch, {key: incoming[key] for key in (u.bytes for u in dirty)})


def _merge_into_dirty(branch: Branch, incoming: dict[bytes, bytes | None]) -> int:
    """Merge incoming contents into rows with uncommitted edits: fields edited here stay, all others are taken."""
    if not incoming:
        return 0
    base = tree.lookup(root_of(branch.commit), list(incoming), NodeStore())
    texts = blob_texts({h for h in (*base.values(), *incoming.values()) if h is not None})
    rows = {c.uuid.bytes: c for c in working_contents(branch.pk, (uuid.UUID(bytes=k) for k in incoming))}
    targets: dict[bytes, bytes | None] = {}
    new_texts: dict[bytes, str] = {}
    kept = 0
    for key, theirs in incoming.items():
        sides = (base.get(key), rows[key].hash if key in rows else None, theirs)
        known = {**texts, **({rows[key].hash: rows[key].text} if key in rows else {})}
        merged = merge_contents(known, *sides)
        kept += bool(merged.conflicts)
        if merged.value is MISSING:
            targets[key] = None
        else:
            text = canonical_text(merged.value)
            targets[key] = content_hash(text)
            new_texts[content_hash(text)] = text
    put_blobs(new_texts)
    apply_to_rows(branch, targets)
    for present in (True, False):
        changed = [
            uuid.UUID(bytes=key) for key, theirs in incoming.items() if (theirs is not None) is present
        ]
        branch.dirty.filter(example_id__in=changed).update(in_base=present)
    same = [uuid.UUID(bytes=key) for key, target in targets.items() if target == incoming[key]]
    branch.dirty.filter(example_id__in=same).delete()
    return kept
