"""Which tables of the labels a backup holds.

What a labeler holds at the moment (a lease that runs) ends with the session and is not saved: its slot is written as
open, so after a restore the example is given out again. Leases that ended are saved: they tell who had which example,
and nobody gets one twice.
"""

from __future__ import annotations

from exports_app.backup.sections import Section, history_section

APP = "labeling_app"

# a slot that a running lease takes is open in the backup; never more slots than labels are wanted
_OPEN_SLOTS = (
    "CASE WHEN t.is_gold THEN t.open_slots + coalesce(held.slots, 0) "
    "ELSE least(t.open_slots + coalesce(held.slots, 0), greatest(t.open_slots, wanted.overlap - t.label_count)) END"
)
_HELD = (
    f" LEFT JOIN {APP}_labelingqueue wanted ON wanted.id = t.queue_id "
    f"LEFT JOIN (SELECT item_id, count(*) AS slots FROM {APP}_lease WHERE state = 'held' AND slot > 0 GROUP BY 1) held "
    "ON held.item_id = t.id"
)
_HISTORIES = {
    "history_queues": ("HistoricalLabelingQueue", "dataset_id"),
    "history_queue_members": ("HistoricalQueueMember", "queue_id"),
    "history_labeler_standings": ("HistoricalLabelerStanding", "queue_id"),
    "history_labeling_sessions": ("HistoricalLabelingSession", "queue_id"),
    "history_bulk_labelings": ("HistoricalBulkLabeling", "queue_id"),
    "history_label_history": ("HistoricalLabelHistory", "queue_id"),
    "history_consensus": ("HistoricalConsensus", "queue_id"),
    "history_reviews": ("HistoricalReview", "queue_id"),
    "history_gold_answers": ("HistoricalGoldAnswer", "queue_id"),
    "history_webhooks": ("HistoricalWebhook", "dataset_id"),
}

# Items before what hangs on them; sessions behind leases and history, which tell whose dataset one without a queue is.
LABEL_SECTIONS: tuple[Section, ...] = (
    Section("queues", "LabelingQueue", "t.id", ("id",), scope="dataset_id", app=APP),
    Section("queue_members", "QueueMember", "t.id", ("id",), scope="queue_id", app=APP),
    Section("labeler_standings", "LabelerStanding", "t.id", ("id",), scope="queue_id", app=APP),
    Section(
        "queue_items",
        "QueueItem",
        "t.example_id, t.queue_id",
        ("example_id", "queue_id"),
        scope="queue_id",
        bulk=True,
        by_prefix=True,
        app=APP,
        instead=(("open_slots", _OPEN_SLOTS, _HELD),),
    ),
    Section("bulk_labelings", "BulkLabeling", "t.id", ("id",), scope="queue_id", app=APP),
    Section(
        "labels",
        "Label",
        't.example_id, t.item_id, t.annotator COLLATE "C"',
        ("example_id", "item_id", "annotator"),
        scope="queue_id",
        bulk=True,
        by_prefix=True,
        app=APP,
    ),
    Section(
        "label_history", "LabelHistory", "t.id", ("id",), scope="queue_id", bulk=True, by_block=True, app=APP
    ),
    Section(
        "leases",
        "Lease",
        "t.leased_at, t.id",
        (),
        scope="queue_id",
        bulk=True,
        where="t.state <> 'held'",
        app=APP,
    ),
    Section(
        "labeling_sessions",
        "LabelingSession",
        "t.started_at, t.id",
        (),
        scope="queue_id",
        bulk=True,
        app=APP,
    ),
    Section(
        "consensus",
        "Consensus",
        "t.item_id",
        ("item_id",),
        scope="queue_id",
        bulk=True,
        by_block=True,
        app=APP,
    ),
    Section("reviews", "Review", "t.id", ("id",), scope="queue_id", bulk=True, by_block=True, app=APP),
    Section(
        "gold_answers",
        "GoldAnswer",
        "t.item_id",
        ("item_id",),
        scope="queue_id",
        bulk=True,
        by_block=True,
        app=APP,
    ),
    Section(
        "suggestions",
        "Suggestion",
        't.item_id, t.source COLLATE "C"',
        ("item_id", "source"),
        scope="item_id",
        bulk=True,
        by_block=True,
        app=APP,
    ),
    Section("webhooks", "Webhook", "t.id", ("id",), scope="dataset_id", app=APP),
    Section(
        "labeling_keys",
        "KeyMap",
        '(SELECT username FROM auth_user o WHERE o.id = t.user_id) COLLATE "C"',
        ("user",),
        app=APP,
    ),
    *(history_section(name, label, scope, APP) for name, (label, scope) in _HISTORIES.items()),
)

# Answers not given yet, reviews that somebody has open, messages on their way: of the moment. (Leases that run: see above.)
NOT_IN_LABEL_BACKUP = ("Draft", "ReviewClaim", "WebhookDelivery")
