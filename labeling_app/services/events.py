"""What happens to labels, told to whoever listens (webhooks). Sent inside the transaction that does it."""

from __future__ import annotations

from django.dispatch import Signal

# each with queue: LabelingQueue, example_id: UUID, actor, and `facts`: plain JSON for the receiver of a webhook
label_submitted = Signal()
example_validated = Signal()
example_rejected = Signal()
labels_disagree = Signal()
