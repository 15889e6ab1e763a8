"""A small database with something of everything that a backup must keep."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Group, User
from django.db import connection

from datasets_app.models import Dataset, Example, ExampleQuality, Membership, SavedView
from datasets_app.services.curation.examples import delete_examples, update_example
from datasets_app.services.curation.manager import DatasetManager
from datasets_app.services.versioning.commits import commit
from datasets_app.services.versioning.merging import MergeOptions, merge
from datasets_app.services.versioning.refs import create_branch, create_tag, get_branch
from datasets_app.services.versioning.worktrees import open_worktree
from tests.integration.corpus_data import make_corpus
from tests.integration.label_data import make_labels


def documents(count: int, label: str = "a") -> list[dict[str, Any]]:
    return [
        {
            "id": f"e{n}",
            "input": {"text": f'text {n} \\ "quoted" \u2028 ü {"x" * (n % 7)}'},
            "output": {"label": label},
            "metadata": {"weight": n + 0.5, "big": 1e300, "tiny": 1e-7, "nothing": None},
        }
        for n in range(count)
    ]


def row(manager_or_branch: Any, external_id: str) -> Example:
    branch = getattr(manager_or_branch, "branch", manager_or_branch)
    return Example.objects.get(branch=branch, identity__external_id=external_id)


def make_history(count: int = 30) -> Dataset:
    """Make users, two datasets, commits, a branch with its own work, a merge with conflicts, and uncommitted edits."""
    ann = User.objects.create_user("ann", is_superuser=True)
    bob = User.objects.create_user("bob")
    manager = DatasetManager.create("words", type="text_classification")
    manager.add_examples(documents(count))
    manager.commit("first")
    create_tag(dataset=manager.dataset, name="v1.0", message="the first", actor=ann)
    side = create_branch(dataset=manager.dataset, name="side", actor=bob)
    open_worktree(branch=side, actor=bob)
    side = get_branch(manager.dataset, "side")
    update_example(example=row(side, "e1"), actor=bob, expected_output={"label": "theirs"})
    update_example(example=row(side, "e2"), actor=bob, expected_output={"label": "theirs"})
    commit(branch=side, message="side work", actor=bob)
    main = get_branch(manager.dataset)
    update_example(example=row(main, "e1"), actor=ann, expected_output={"label": "ours"})
    delete_examples(branch=main, uuids=[row(main, "e3").uuid], actor=ann)
    commit(branch=main, message="main work", actor=ann)
    merge(branch=get_branch(manager.dataset), source="side", actor=ann, options=MergeOptions())
    update_example(example=row(main, "e5"), actor=ann, labels={"edge": True})
    update_example(example=row(main, "e6"), actor=ann, labels={"edge": True})
    update_example(example=row(main, "e6"), actor=bob, labels={"edge": False})
    Membership.objects.create(dataset=manager.dataset, user=bob, role="curator")
    Membership.objects.create(dataset=manager.dataset, group=Group.objects.get(name="viewer"), role="viewer")
    SavedView.objects.create(dataset=manager.dataset, owner=bob, name="mine", query="status=pending")
    ExampleQuality.objects.create(
        example_id=row(main, "e7").uuid, metric_name="length", metric_value=Decimal("12.5000")
    )
    with connection.cursor() as cursor:  # an edit past every service
        cursor.execute(
            "UPDATE datasets_app_example SET labels = '{\"n\": 1.50}' WHERE id = %s", [row(main, "e8").pk]
        )
    make_corpus()
    other = DatasetManager.create("other", type="text_classification")
    other.add_examples(documents(5, "z"))
    make_labels(manager.dataset)
    return manager.dataset
