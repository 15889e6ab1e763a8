"""Throw chosen uncommitted changes away: rows of a working copy go back to what the branch's commit says."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from datasets_app.domain import tree
from datasets_app.models import Branch, Redaction
from datasets_app.services.access import record
from datasets_app.services.versioning.commits import lock_branch
from datasets_app.services.versioning.comparing import root_of
from datasets_app.services.versioning.store import NodeStore
from datasets_app.services.versioning.worktrees import apply_to_rows
from goldenproject.kit.audit import acting
from goldenproject.kit.retries import retried


@retried()
def discard(*, branch: Branch, uuids: Iterable[uuid.UUID], actor: Any) -> int:
    """Set those of `uuids` that are not committed back to the branch's commit, whoever touched them; return how many.

    What was added goes, what was removed comes back. An example whose committed content was redacted is left as it is:
    there is nothing to go back to. The history of the rows keeps what was thrown away. Raises RefMoved, WorktreeClosed.
    """
    with acting(actor, "discard changes"):
        locked = lock_branch(branch)
        touched = locked.dirty.filter(example_id__in=list(uuids)).values_list("example_id", flat=True)
        keys = sorted(example.bytes for example in touched)
        committed = tree.lookup(root_of(locked.commit), keys, NodeStore())
        erased = _redacted_among(committed.values())
        wanted = {key: committed.get(key) for key in keys if committed.get(key) not in erased}
        if not wanted:
            return 0
        apply_to_rows(
            locked, wanted
        )  # takes the rows' locks, so nobody can touch them before they are forgotten
        locked.dirty.filter(example_id__in=[uuid.UUID(bytes=key) for key in wanted]).delete()
        record(actor, "discard", locked.dataset, f"{locked.name}: {len(wanted)} uncommitted changes")
    return len(wanted)


def _redacted_among(hashes: Iterable[bytes]) -> set[bytes]:
    found = Redaction.objects.filter(blob_hash__in=list(hashes)).values_list("blob_hash", flat=True)
    return {bytes(digest) for digest in found}
