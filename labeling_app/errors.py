"""What can go wrong with labels, a class per cause."""

from __future__ import annotations

from goldenproject.kit.errors import BadInput, Conflict, Forbidden, NotFound


class UnknownQueue(NotFound):
    """There is no labeling queue of this name."""

    code = "unknown_queue"


class UnknownLease(NotFound):
    """This example was not given to you for labeling."""

    code = "unknown_lease"


class UnknownLabel(NotFound):
    """There is no such label of yours; it was taken back, or its example was redacted."""

    code = "unknown_label"


class QueueNotOpen(Conflict):
    """This labeling queue is paused or closed."""

    code = "queue_not_open"


class SessionEnded(Conflict):
    """This labeling session has ended."""

    code = "session_ended"


class LeaseLost(Conflict):
    """The time for this example ran out and somebody else has it now; your answer is kept in the history, not counted."""

    code = "lease_lost"


class ExampleChanged(Conflict):
    """The example was changed while you were labeling it."""

    code = "example_changed"


class ExampleGone(Conflict):
    """The example was removed while you were labeling it; your answer is kept in the history, not counted."""

    code = "example_gone"


class ExampleRedacted(ExampleGone):
    """This example was redacted: its content was erased for good, with all that was said about it. Nothing of this is kept."""

    code = "example_redacted"


class TypeChanged(Conflict):
    """The example type was changed while you were labeling, and your answer does not fit it any more."""

    code = "type_changed"


class LabelerPaused(Forbidden):
    """You are paused in this queue."""

    code = "labeler_paused"


class NotAssigned(Forbidden):
    """This queue is not assigned to you."""

    code = "not_assigned"


class KeyReused(Conflict):
    """This idempotency key was used for another answer."""

    code = "key_reused"


class KeyClash(BadInput):
    """Two actions of the labeling console have the same key."""

    code = "key_clash"


class AlreadyDecided(Conflict):
    """This review was decided already."""

    code = "already_decided"


class ReviewClaimed(Conflict):
    """Another reviewer has this review open."""

    code = "review_claimed"


class LabeledSince(Conflict):
    """This example was labeled since it was sent back."""

    code = "labeled_since"
