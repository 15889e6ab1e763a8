"""Queues with their dataset, branch and type, kept in the process for as long as none of these rows changes.

Every next and every submit needs all of a queue, whose schemas alone take longer to read and decode than the rest of
the work. So the statement that locks what they need also asks for the versions of the four rows, and a queue that was
read at these versions before is taken as it was.
"""

from __future__ import annotations

import copy
import threading
import uuid

from labeling_app.models import LabelingQueue

# Of a queue `q`. xmin and ctid together name one version of a row; an update makes another.
VERSIONS = """
    concat_ws(' ', q.xmin, q.ctid,
              (SELECT concat_ws(' ', d.xmin, d.ctid) FROM datasets_app_dataset d WHERE d.id = q.dataset_id),
              (SELECT concat_ws(' ', b.xmin, b.ctid) FROM datasets_app_branch b WHERE b.id = q.branch_id),
              (SELECT concat_ws(' ', t.xmin, t.ctid) FROM datasets_app_exampletype t WHERE t.id = q.example_type_id))
"""
# Of a queue `q` and a person; see `assigning.Facts`.
FACTS = """
    EXISTS (SELECT 1 FROM labeling_app_queuemember m WHERE m.queue_id = q.id),
    EXISTS (SELECT 1 FROM labeling_app_queuemember m
             WHERE m.queue_id = q.id
               AND (m.user_id = %s OR m.group_id IN (SELECT g.group_id FROM auth_user_groups g WHERE g.user_id = %s))),
    (SELECT s.pause_reason FROM labeling_app_labelerstanding s
      WHERE s.queue_id = q.id AND s.labeler_id = %s AND s.paused_at IS NOT NULL)
"""
_MOST_KEPT = 200
_kept: dict[uuid.UUID, tuple[str, LabelingQueue]] = {}
_lock = threading.Lock()


def kept_queue(queue_id: uuid.UUID, versions: str) -> LabelingQueue:
    """Return a queue whose rows were at these versions a moment ago: a copy of its own for each caller."""
    with _lock:
        kept = _kept.get(queue_id)
    if kept is None or kept[0] != versions:
        queue = LabelingQueue.objects.select_related("dataset", "branch", "example_type").get(pk=queue_id)
        queue.branch.dataset = queue.dataset
        with _lock:
            if len(_kept) >= _MOST_KEPT:
                _kept.clear()
            _kept[queue_id] = kept = (versions, queue)
    return copy.copy(kept[1])
