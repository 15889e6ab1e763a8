from labeling_app.models import guards as guards
from labeling_app.models.console import Draft, KeyMap
from labeling_app.models.labels import BulkLabeling, Label, LabelHistory, LabelingSession, Source
from labeling_app.models.queue import LabelerStanding, LabelingQueue, Lease, QueueItem, QueueMember
from labeling_app.models.review import Consensus, GoldAnswer, Review, ReviewClaim, Suggestion
from labeling_app.models.webhooks import Webhook, WebhookDelivery

__all__ = [
    "BulkLabeling",
    "Consensus",
    "Draft",
    "GoldAnswer",
    "KeyMap",
    "Label",
    "LabelHistory",
    "LabelerStanding",
    "LabelingQueue",
    "LabelingSession",
    "Lease",
    "QueueItem",
    "QueueMember",
    "Review",
    "ReviewClaim",
    "Source",
    "Suggestion",
    "Webhook",
    "WebhookDelivery",
]
