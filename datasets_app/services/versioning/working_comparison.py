"""The difference between any version and a working copy."""

from __future__ import annotations

import uuid

from datasets_app.domain import tree
from datasets_app.models import Branch, DatasetCommit
from datasets_app.services.versioning.comparing import WORKING_COPY, Comparison, compare_working_copy
from datasets_app.services.versioning.working_rows import working_contents
from datasets_app.services.versioning.worktrees import target_differences


def compare_version_with_working_copy(branch: Branch, old: DatasetCommit) -> Comparison:
    """Compare the version `old` with the working copy of `branch`.

    Reads the difference of `old` from the branch's commit and the rows that were touched. Raises WorktreeClosed.
    """
    if not branch.is_open or branch.commit_id == old.pk:
        return compare_working_copy(branch)
    at_old = target_differences(branch, old)
    working = {c.uuid.bytes: c for c in working_contents(branch.pk, (uuid.UUID(bytes=key) for key in at_old))}
    changes = []
    for key, before in at_old.items():
        after = working[key].hash if key in working else None
        if before != after:
            changes.append(tree.TreeChange(key, before, after))
    texts = {content.hash: content.text for content in working.values()}
    return Comparison(branch.dataset, old.short_hash, WORKING_COPY, changes, texts)
