"""Demo data for the first start: support messages made from word lists, with a small history to look at."""

from __future__ import annotations

import random
from typing import Any

from datasets_app.models import Dataset, Example
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert, set_status, update_example
from datasets_app.services.curation.importing import ImportOptions
from datasets_app.services.curation.types import get_type
from datasets_app.services.versioning.commits import commit
from datasets_app.services.versioning.refs import create_branch, create_tag, get_branch
from datasets_app.services.versioning.worktrees import open_worktree

DEMO_NAME = "Demo: support messages"
_SEED = 20
_TOPICS = {
    "billing": ["my invoice", "the charge on my card", "a refund", "the yearly plan", "my receipt"],
    "delivery": ["my parcel", "the courier", "the delivery date", "a missing item", "the tracking number"],
    "account": [
        "my password",
        "the login code",
        "my e-mail address",
        "closing my account",
        "two-factor sign-in",
    ],
    "technical": ["the export button", "the mobile app", "a blank page", "the API key", "slow loading"],
}
_OPENINGS = [
    "I have a question about",
    "Something is wrong with",
    "Can you help me with",
    "I am still waiting on",
    "Please tell me more about",
    "I need to change",
]
_ENDINGS = [
    "since yesterday",
    "for the second time",
    "before the weekend",
    "as soon as you can",
    "on my new phone",
]


def demo_messages(count: int, seed: int = _SEED) -> list[dict[str, Any]]:
    """Return `count` labeled messages, the same for the same seed."""
    rng = random.Random(seed)  # noqa: S311 - demo data, not secrets
    messages = []
    for number in range(1, count + 1):
        label = rng.choice(list(_TOPICS))
        text = f"{rng.choice(_OPENINGS)} {rng.choice(_TOPICS[label])} {rng.choice(_ENDINGS)}."
        messages.append({"id": f"msg-{number:04d}", "input": {"text": text}, "output": {"label": label}})
    return messages


def load_demo(*, actor: Any, count: int = 240) -> Dataset:
    """Make the demo dataset: two commits, a tag, a branch with its own edits, and a few uncommitted changes."""
    dataset = create_dataset(
        name=DEMO_NAME,
        description="Made-up messages to a support desk, to try things out. Safe to delete from view: set it inactive.",
        default_type=get_type("text_classification"),
        tags=["demo"],
        actor=actor,
    )
    main = get_branch(dataset)
    bulk_upsert(
        branch=main, documents=demo_messages(count), actor=actor, options=ImportOptions("text_classification")
    )
    commit(branch=main, message="Import the first messages", actor=actor)
    rows = list(Example.objects.filter(branch=main).order_by("ordinal")[:60])
    set_status(branch=main, uuids=[row.uuid for row in rows], status="validated", actor=actor)
    commit(branch=main, message="Validate the first sixty", actor=actor)
    create_tag(dataset=dataset, name="v0.1", message="A first version to train on", actor=actor)
    review = create_branch(dataset=dataset, name="relabel-technical", actor=actor)
    open_worktree(branch=review, actor=actor)
    for row in Example.objects.filter(branch=review, expected_output={"label": "technical"}).order_by(
        "ordinal"
    )[:5]:
        update_example(example=row, actor=actor, expected_output={"label": "account"})
    commit(
        branch=get_branch(dataset, "relabel-technical"),
        message="Login troubles belong to account",
        actor=actor,
    )
    for row in rows[:3]:
        update_example(example=row, actor=actor, labels={"edge_case": True})
    return dataset
