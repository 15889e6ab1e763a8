"""Queues that the browser tests of labeling work on: questions to a bank, and a type with every kind of control."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from datasets_app.models import Dataset, ExampleType
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.types import get_type, save_type
from labeling_app.models import Label, LabelHistory, LabelingQueue
from labeling_app.services.queues import QueueOptions, create_queue
from tests.browser.conftest import Visitor, make_person
from tests.conftest import ROOT

BANKING = ROOT.parent / "shared" / "data" / "tabular" / "banking77"
_SUBJECTS = ("card", "transfer", "top up", "exchange rate", "cash withdrawal", "refund", "passcode")
_TROUBLES = (
    "not arrived", "declined", "charged twice", "pending", "wrong amount", "limit", "cancelled", "fee", "stolen", "blocked", "how it works",
)  # fmt: skip


def bank_questions(count: int) -> tuple[list[tuple[str, str]], list[str]]:
    """Return `count` questions to a bank with their classes, and all 77 classes: of banking77 where it is at hand."""
    if BANKING.is_dir():
        classes = json.loads((BANKING / "categories.json").read_text())
        with (BANKING / "test.csv").open(newline="") as file:
            rows = [(row["text"], row["category"]) for row in csv.DictReader(file)]
        step = len(rows) // count
        return rows[::step][:count], classes
    classes = [f"{s} {t}".replace(" ", "_") for s in _SUBJECTS for t in _TROUBLES]
    texts = [
        (f"Question {n}: what about my {name.replace('_', ' ')}?", name) for n, name in enumerate(classes)
    ]
    return [texts[n % 77] for n in range(count)], classes


def bank_queue(name: str, count: int, **options: Any) -> tuple[LabelingQueue, dict[str, str]]:
    """Make a dataset of questions and a queue over it; returns the queue and {external id: class}."""
    rows, classes = bank_questions(count)
    dataset = create_dataset(name=name, actor=None, default_type=get_type("text_classification"))
    documents = [{"id": f"q{n:03}", "input": {"text": text}} for n, (text, _) in enumerate(rows, 1)]
    bulk_upsert(branch=dataset.main, documents=documents, actor=None)
    made = QueueOptions(**{"choices": classes, "instructions": INSTRUCTIONS, **options})
    queue = create_queue(dataset=dataset, name=f"{name} intents", actor=None, options=made)
    return queue, {f"q{n:03}": label for n, (_, label) in enumerate(rows, 1)}


INSTRUCTIONS = """Pick what the customer **wants**, not what went wrong.

- A question about the way of a new card is *card arrival*.
- If two fit, take the one that the customer could act on.

| says | pick |
|---|---|
| "still waiting" | card_arrival |
| "how long" | card_delivery_estimate |
"""

TICKET_INPUT = {
    "type": "object",
    "properties": {
        "subject": {"type": "string", "title": "Subject"},
        "message": {"type": "string", "title": "Message", "x-widget": "textarea"},
        "customer": {
            "type": "object",
            "title": "Customer",
            "properties": {
                "plan": {"type": "string", "title": "Plan"},
                "since": {"type": "string", "title": "Customer since"},
                "revenue": {"type": "number", "title": "Revenue (EUR)"},
                "page": {"type": "string", "title": "Page"},
            },
            "x-order": ["plan", "since", "revenue", "page"],
        },
        "orders": {"type": "array", "title": "Orders", "items": {"type": "object"}},
        "snippet": {"type": "string", "title": "Snippet"},
        "tags": {"type": "array", "title": "Tags", "items": {"type": "string"}},
    },
    "required": ["message"],
    "x-order": ["subject", "message", "customer", "orders", "snippet", "tags"],
}
TICKET_OUTPUT = {
    "type": "object",
    "properties": {
        "priority": {"type": "string", "enum": ["low", "normal", "high", "urgent"], "title": "Priority"},
        "refund": {"type": "boolean", "title": "Asks for money back"},
        "anger": {
            "type": "number",
            "minimum": 0,
            "maximum": 10,
            "title": "Anger",
            "description": "0 is calm.",
        },
        "topics": {
            "type": "array",
            "items": {"enum": ["billing", "delivery", "login", "bug"]},
            "title": "Topics",
            "uniqueItems": True,
        },
        "keywords": {"type": "array", "items": {"type": "string"}, "title": "Keywords"},
        "reply": {"type": "string", "title": "Reply", "x-widget": "textarea"},
    },
    "required": ["priority", "refund"],
    "additionalProperties": False,
    "x-order": ["priority", "refund", "anger", "topics", "keywords", "reply"],
}
MESSAGE = (
    "Hello,\n\nI was charged twice for order 4711 and the tracking page still says “label created”. I have written "
    "three times since Monday, and each time a different person told me that the refund was on its way. It is not.\n\n"
    "Please refund the second charge and tell me when the parcel leaves. If that is not possible by Friday I will "
    "cancel the plan and ask my bank to take the money back.\n\nThe charge was on the card that ends in 0042."
)


def ticket(n: int) -> dict[str, Any]:
    """Return example n with nested fields, a table, code, and text that looks like HTML."""
    return {
        "id": f"ticket-{n}",
        "input": {
            "subject": f"Charged twice <b>again</b> ({n})",
            "message": MESSAGE,
            "customer": {
                "plan": "Team",
                "since": "2021",
                "revenue": 1234567.5,
                "page": "https://example.org/customers/0042?tab=orders",
            },
            "orders": [
                {"order": 4711, "amount": 59.9, "state": "charged"},
                {"order": 4711, "amount": 59.9, "state": "charged twice"},
            ],
            "snippet": "def charge(order):\n    if order.paid:\n        return\n    card.charge(order.amount)\n    order.paid = True\n",
            "tags": ["billing", "second contact"],
        },
    }


def ticket_type(name: str = "support_ticket") -> ExampleType:
    """Return a type with every kind of control, made when it is asked for the first time."""
    found = ExampleType.objects.filter(name=name).first()
    if found is not None:
        return found
    example_type = ExampleType(
        name=name,
        title="Support ticket",
        input_schema=TICKET_INPUT,
        output_schema=TICKET_OUTPUT,
        class_field="priority",
    )
    return save_type(example_type=example_type, actor=None)


def ticket_queue(name: str, count: int = 6, of_type: str = "support_ticket", **options: Any) -> LabelingQueue:
    dataset: Dataset = create_dataset(name=name, actor=None, default_type=ticket_type(of_type))
    bulk_upsert(branch=dataset.main, documents=[ticket(n) for n in range(1, count + 1)], actor=None)
    return create_queue(dataset=dataset, name=name, actor=None, options=QueueOptions(**options))


def made(name: str, role: str) -> User:
    """Return a person, made when a test of this module asks for the first time."""
    return User.objects.filter(username=name).first() or make_person(name, role)


class Tolerated(list[str]):
    """Complaints of a browser but those that a test brings about itself."""

    def __init__(self, *words: str) -> None:
        super().__init__()
        self._words = words

    def append(self, line: str) -> None:
        if not any(word in line for word in self._words):
            super().append(line)


class Labeling:
    """A labeler in front of the console."""

    def __init__(self, visitor: Visitor, queue: LabelingQueue) -> None:
        self.visitor, self.page, self.queue = visitor, visitor.page, queue

    def open(self, query: str = "") -> Page:
        self.visitor.go(f"/admin/label/{self.queue.pk}/{query}")
        expect(self.page.locator("#lc-main")).to_be_visible()
        return self.page

    @property
    def shown(self) -> str:
        """The external id of the example that is drawn."""
        return self.page.locator("#lc-name").inner_text()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def wait_sent(self) -> None:
        """Wait until nothing is on its way to the server."""
        self.page.wait_for_function(WAITING_IS_0)

    def waiting(self) -> int:
        return int(self.page.evaluate(WAITING))


# another example is drawn, or none
DRAWN_ANEW = (
    "(name) => document.getElementById('lc-main').hidden"
    " || document.getElementById('lc-name').textContent !== name"
)
WAITING = "Object.keys(localStorage).filter((name) => name.includes('.out.')).length"
WAITING_IS_0 = f"{WAITING} === 0"


def stored(queue: LabelingQueue, user: User) -> dict[str, Any]:
    """Return {external id: answer} of a labeler; and see that each was written once into the history."""
    labels = Label.objects.filter(queue=queue, labeler=user).select_related("example")
    answers = {str(label.example.external_id): label.value for label in labels}
    submitted = LabelHistory.objects.filter(queue=queue, labeler=user, event="submitted").count()
    undone = LabelHistory.objects.filter(queue=queue, labeler=user, event="undone").count()
    assert submitted - undone == len(answers)
    return answers


def script_modules(folder: Path = ROOT / "labeling_app" / "static" / "labeling_app") -> list[Path]:
    return [path for path in sorted(folder.glob("console*.js")) if re.fullmatch(r"console\w*\.js", path.name)]
