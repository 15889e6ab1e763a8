"""Two curators on two branches, at the same time: neither sees the other's edits, and both end up in main."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from datasets_app.models import Dataset, Example, ExampleType
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.importing import ImportOptions, import_file
from datasets_app.services.versioning.commits import commit
from tests.browser.conftest import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_two_curators__on_branches_of_their_own__do_not_see_each_other(
    visitor: Callable[..., Visitor], person: Callable[..., User]
) -> None:
    for name in ("curator-1", "curator-2"):
        person(name, "curator")
    dataset = questions(person("owner", "superuser"))
    first, second = visitor("two-curators-first"), visitor("two-curators-second")
    first.sign_in("curator-1")
    second.sign_in("curator-2")
    make_branch(first, dataset, "first-cards")
    make_branch(second, dataset, "second-cards")

    relabel(first, dataset, "first-cards", row=0, label="from_first")
    relabel(second, dataset, "second-cards", row=1, label="from_second")
    assert labels(dataset, "first-cards") == ["from_first", "old", "old"]
    assert labels(dataset, "second-cards") == ["old", "from_second", "old"]
    assert labels(dataset, "main") == ["old", "old", "old"]

    for one, branch in ((first, "first-cards"), (second, "second-cards")):
        open_page(one, dataset, "changes", branch)
        expect(one.page.get_by_text(f"1 uncommitted change on {branch}")).to_be_visible()
        other = "from_second" if one is first else "from_first"
        assert other not in one.page.content()
        one.shot("own-changes-only")
        one.page.get_by_label("What changed, and why").fill(f"Relabel on {branch}")
        one.page.get_by_role("button", name="Commit", exact=True).click()
        expect(one.page.get_by_role("heading", name=f"Relabel on {branch}")).to_be_visible()

    for one, branch in ((first, "first-cards"), (second, "second-cards")):
        open_page(one, dataset, "merge", "main", f"&source={branch}")
        one.shot("merge")
        one.page.get_by_role("button", name="Merge into main").click()
        expect(
            one.page.get_by_text(re.compile("Merged|moved|Fast-forward", re.IGNORECASE)).first
        ).to_be_visible()
        one.shot("merged")
    assert labels(dataset, "main") == ["from_first", "from_second", "old"]


def questions(owner: User) -> Dataset:
    text = ExampleType.objects.get(name="text_classification")
    dataset = create_dataset(name="cards", actor=owner, default_type=text)
    lines = b"".join(
        b'{"id": "c%d", "input": {"text": "Question %d"}, "output": {"label": "old"}}\n' % (n, n)
        for n in range(3)
    )
    import_file(
        branch=dataset.main, source=io.BytesIO(lines), actor=owner, options=ImportOptions(format="jsonl")
    )
    commit(branch=dataset.main, message="Three questions", actor=owner)
    return dataset


def open_page(one: Visitor, dataset: Dataset, page: str, branch: str, more: str = "") -> None:
    here = dataset.branches.get(name=branch)
    one.go(f"/admin/datasets_app/dataset/{dataset.pk}/{page}/?branch={here.pk}{more}")


def make_branch(one: Visitor, dataset: Dataset, name: str) -> None:
    open_page(one, dataset, "branches", "main")
    one.page.get_by_label("Name").fill(name)
    one.page.get_by_role("button", name="Make branch").click()
    expect(one.page.get_by_text(f"Branch {name} is made and open for editing.")).to_be_visible()


def relabel(one: Visitor, dataset: Dataset, branch: str, *, row: int, label: str) -> None:
    open_page(one, dataset, "examples", branch)
    one.page.locator("a.gd-row-id").nth(row).click()
    one.page.get_by_label(re.compile("^Label")).first.fill(label)
    one.page.get_by_role("button", name="Save", exact=True).click()
    expect(one.page.get_by_text("uncommitted changes").first).to_be_visible()


def labels(dataset: Dataset, branch: str) -> list[str]:
    rows = Example.objects.filter(branch=dataset.branches.get(name=branch)).order_by("ordinal")
    return [row.expected_output["label"] for row in rows]
