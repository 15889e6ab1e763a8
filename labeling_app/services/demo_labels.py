"""Demo data of labeling for the first start: a queue over the demo messages that one labeler has been through already."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from typing import Any

from datasets_app.domain.canonical import canonical_text, content_hash
from datasets_app.models import Dataset, Example, ValidationStatus
from datasets_app.services.demo import DEMO_NAME
from goldenproject.kit.audit import acting
from goldenproject.kit.clock import now
from labeling_app.domain.answers import part_of
from labeling_app.models import Label, LabelHistory, LabelingQueue, QueueItem, Source
from labeling_app.services.gold import gold_from_present
from labeling_app.services.queues import QueueOptions, create_queue
from labeling_app.services.slots import recount
from labeling_app.services.suggestions import Suggested, set_suggestions

DEMO_QUEUE = "Label the rest"
FIRST_LABELER = "second-labeler"
TOPICS = ["billing", "delivery", "account", "technical"]
GOLD_ANSWERS = 20
_SEED = 20
_MISTAKES = 0.12
_RULE = "keyword rule"
_KEYWORDS = {
    "invoice": "billing",
    "refund": "billing",
    "parcel": "delivery",
    "delivery": "delivery",
    "password": "account",
    "app": "technical",
}
_INSTRUCTIONS = """What is the message about? Choose **one** topic.

- **billing**: invoices, charges, refunds, plans
- **delivery**: where a parcel is, and when it comes
- **account**: signing in, passwords, personal data
- **technical**: something in the product does not work

When two fit, take the one that the writer wants *done* something about. A message that makes no sense: skip it.
"""


def load_demo_labels(*, actor: Any) -> LabelingQueue | None:
    """Make the demo queue: the pending demo messages, two labelers each, one of whom labeled all of them already.

    So each answer of whoever tries it either settles an example or starts a review. Returns None without a demo dataset.
    """
    dataset = Dataset.objects.filter(name=DEMO_NAME).first()
    if dataset is None:
        return None
    rows = Example.objects.filter(branch=dataset.main)
    queue = create_queue(
        dataset=dataset,
        name=DEMO_QUEUE,
        actor=actor,
        options=QueueOptions(
            choices=TOPICS,
            overlap=2,
            filters={"status": [ValidationStatus.PENDING.value]},
            gold_rate=Decimal("0.05"),
            gold_pause_below=Decimal("0.6"),
            instructions=_INSTRUCTIONS,
            seed=_SEED,
        ),
    )
    pending = list(rows.filter(validation_status=ValidationStatus.PENDING).order_by("ordinal"))
    with acting(actor, "demo labels"):
        _label_once(queue, pending)
        suggested = [Suggested(row.identity_id, {"label": topic}, 0.8) for row, topic in _by_rule(pending)]
        set_suggestions(queue=queue, source=_RULE, suggestions=suggested, actor=actor)
        known = rows.filter(validation_status=ValidationStatus.VALIDATED).order_by("ordinal")
        gold = list(known.values_list("identity_id", flat=True)[:GOLD_ANSWERS])
        gold_from_present(queue=queue, example_ids=gold, actor=actor)
    return queue


def _label_once(queue: LabelingQueue, rows: list[Example]) -> None:
    """Write the labels of an annotator whose file was imported: mostly right, and wrong now and then."""
    rng = random.Random(_SEED)  # noqa: S311 - demo data, not secrets
    items = dict(QueueItem.objects.filter(queue=queue).values_list("example_id", "pk"))
    labels, log = [], []
    begun = now() - timedelta(days=6)
    for number, row in enumerate(rows):
        topic = part_of(row.expected_output, "label")
        if rng.random() < _MISTAKES:
            topic = rng.choice([other for other in TOPICS if other != topic])
        facts = {
            "queue": queue,
            "example_id": row.identity_id,
            "annotator": FIRST_LABELER,
            "source": Source.IMPORTED,
            "content_hash": content_hash(canonical_text(row.input_data)),
            "labeled_at": begun + timedelta(seconds=9 * number + 40_000 * (number // 45)),
        }
        labels.append(Label(item_id=items[row.identity_id], value={"label": topic}, **facts))
        log.append(
            LabelHistory(
                event=LabelHistory.Event.IMPORTED,
                label_type=queue.label_type,
                label_value={"label": topic},
                **facts,
            )
        )
    Label.objects.bulk_create(labels)
    LabelHistory.objects.bulk_create(log)
    recount(queue=queue)


def _by_rule(rows: list[Example]) -> list[tuple[Example, str]]:
    """Return what a simple rule would say of the messages that hold one of its words."""
    found = []
    for row in rows:
        words = row.input_data["text"].rstrip(".").split()
        topic = next((_KEYWORDS[word] for word in words if word in _KEYWORDS), None)
        if topic is not None:
            found.append((row, topic))
    return found
