"""The first hour of a newcomer, in a real browser: from an empty installation to an exported version."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from playwright.sync_api import expect

from datasets_app.models import Branch, Dataset, DatasetCommit, Example, Merge, Tag
from tests.browser.conftest import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CORRECTIONS = (
    "lost_or_stolen_card",
    "card_delivery_estimate",
    "card_not_working",
    "card_linking",
    "card_swallowed",
)


def test_newcomer__from_an_empty_site_to_an_exported_version(
    visitor: Callable[..., Visitor], person: Callable[..., User], shared_data: Path, tmp_path: Path
) -> None:
    person("newcomer", "superuser")
    one = visitor("newcomer")
    sign_in(one)
    create_dataset(one)
    import_file(one, shared_data / "tabular" / "banking77" / "train.csv")
    commit_all(one, "Import the training questions of banking77")
    correct_five(one)
    see_and_commit(one)
    tag(one)
    branch_and_change_both_sides(one)
    merge_with_a_conflict(one)
    look_back(one)
    export(one, tmp_path)


def sign_in(one: Visitor) -> None:
    one.go("/")
    one.shot("sign-in")
    one.sign_in("newcomer")
    expect(one.page.get_by_text("No datasets yet")).to_be_visible()
    one.shot("empty-home")


def create_dataset(one: Visitor) -> None:
    page = one.page
    page.get_by_role("link", name="Create the first dataset").click()
    page.get_by_label("Name").first.fill("banking-questions")
    page.get_by_label("Description").fill("Questions of bank customers, with the intent of each.")
    page.get_by_label("Type of examples").select_option(label="Text classification")
    one.shot("new-dataset")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("No examples yet")).to_be_visible()
    one.shot("empty-dataset")


def import_file(one: Visitor, path: Path) -> None:
    page = one.page
    page.get_by_role("link", name="Import a file").click()
    page.locator("input[type=file]").set_input_files(path)
    one.shot("import-upload")
    page.get_by_role("button", name="Upload and continue").click()
    expect(page.get_by_role("columnheader", name="Becomes")).to_be_visible()
    one.shot("import-columns")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("Nothing is written yet.")).to_be_visible()
    one.shot("import-preview")
    assert Example.objects.count() == 0
    page.get_by_role("button", name=re.compile("Import .* rows")).click()
    expect(page.get_by_role("link", name="See the changes and commit")).to_be_visible()
    one.shot("import-done")
    assert Example.objects.count() == 10_003


def commit_all(one: Visitor, message: str) -> None:
    page = one.page
    page.get_by_role("link", name="See the changes and commit").click()
    page.get_by_label("What changed, and why").fill(message)
    one.shot("first-changes")
    page.get_by_role("button", name="Commit", exact=True).click()
    expect(page.get_by_role("heading", name=message)).to_be_visible()
    one.shot("first-commit")


def correct_five(one: Visitor) -> None:
    page = one.page
    one.tab("Examples")
    one.shot("examples")
    page.locator("a.gd-row-id").first.click()
    for number, label in enumerate(CORRECTIONS):
        page.get_by_label(re.compile("^Label")).first.fill(label)
        if number == 0:
            one.shot("correct-a-label")
        page.get_by_role("button", name="Save and next").click()
        expect(page.get_by_label(re.compile("^Label")).first).not_to_have_value(label)
    one.shot("five-corrected")


def see_and_commit(one: Visitor) -> None:
    page = one.page
    one.tab("Changes")
    expect(page.get_by_text("5 uncommitted changes on main")).to_be_visible()
    for label in CORRECTIONS:
        expect(page.get_by_text(label, exact=True).first).to_be_visible()
    one.shot("the-diff", whole=True)
    page.get_by_label("What changed, and why").fill("Correct the labels of five card questions")
    page.get_by_role("button", name="Commit", exact=True).click()
    expect(page.get_by_role("heading", name="Correct the labels of five card questions")).to_be_visible()
    assert DatasetCommit.objects.latest("pk").examples_modified == 5


def tag(one: Visitor) -> None:
    page = one.page
    one.tab("Tags")
    one.shot("no-tag-yet")
    page.get_by_label("Name").fill("v1.0")
    page.get_by_label("What it is for").fill("The first version that models are trained on")
    page.get_by_role("button", name="Tag", exact=True).click()
    expect(page.get_by_role("cell", name="v1.0")).to_be_visible()
    one.shot("tagged")


def branch_and_change_both_sides(one: Visitor) -> None:
    page = one.page
    one.tab("Branches")
    page.get_by_label("Name").fill("relabel-cards")
    one.shot("new-branch")
    page.get_by_role("button", name="Make branch").click()
    expect(page.get_by_text("open for editing: 10,003 rows").first).to_be_visible()
    one.shot("branches")
    change_first(one, "relabel-cards", ["card_arrival_late", "card_arrival_branch"])
    commit_here(one, "Name late cards apart", "relabel-cards")
    change_first(one, "main", ["card_arrival_question"])
    commit_here(one, "Name questions on arrival apart", "main")


def change_first(one: Visitor, branch: str, labels: list[str]) -> None:
    """Give the first examples of a branch new labels."""
    page = one.page
    dataset = Dataset.objects.get()
    here = dataset.branches.get(name=branch)
    one.go(f"/admin/datasets_app/dataset/{dataset.pk}/examples/?branch={here.pk}")
    page.locator("a.gd-row-id").first.click()
    for label in labels:
        page.get_by_label(re.compile("^Label")).first.fill(label)
        page.get_by_role("button", name="Save and next").click()
        expect(page.get_by_label(re.compile("^Label")).first).not_to_have_value(label)


def commit_here(one: Visitor, message: str, branch: str) -> None:
    page = one.page
    one.tab("Changes")
    expect(page.get_by_text(re.compile(rf"uncommitted changes? on {branch}"))).to_be_visible()
    page.get_by_label("What changed, and why").fill(message)
    page.get_by_role("button", name="Commit", exact=True).click()
    expect(page.get_by_role("heading", name=message)).to_be_visible()


def merge_with_a_conflict(one: Visitor) -> None:
    page = one.page
    one.tab("Merge")
    one.shot("merge-which")
    page.get_by_role("link", name="relabel-cards").click()
    expect(page.get_by_text("1 conflict to decide")).to_be_visible()
    one.shot("merge-preview")
    page.get_by_role("button", name="Decide conflicts").click()
    expect(page.get_by_text("of 1 resolved")).to_be_visible()
    one.shot("conflict")
    page.get_by_role("radio", name=re.compile("Theirs")).check()
    one.shot("conflict-decided")
    page.get_by_role("button", name="Complete merge").click()
    page.wait_for_load_state()
    one.shot("merged")
    merging = Merge.objects.get()
    assert merging.state == Merge.State.DONE
    labels = Example.objects.filter(branch=Branch.objects.get(name="main")).order_by("ordinal")[:2]
    assert [row.expected_output["label"] for row in labels] == ["card_arrival_late", "card_arrival_branch"]


def look_back(one: Visitor) -> None:
    page = one.page
    one.tab("History")
    expect(page.get_by_text("Name late cards apart").first).to_be_visible()
    one.shot("history")
    page.get_by_text("Correct the labels of five card questions").first.click()
    one.shot("a-commit")
    dataset = Dataset.objects.get()
    one.go(f"/admin/datasets_app/dataset/{dataset.pk}/compare/?a=v1.0&b=HEAD")
    one.shot("compare")
    first = Example.objects.filter(branch=dataset.main).order_by("ordinal")[0]
    one.go(f"/admin/datasets_app/dataset/{dataset.pk}/example/{first.identity_id}/")
    one.shot("history-of-an-example")
    one.go("/admin/")
    one.shot("home")


def export(one: Visitor, tmp_path: Path) -> None:
    """The exported v1.0 has the five corrections and none of what came later, in the order of import."""
    page = one.page
    dataset = Dataset.objects.get()
    assert Tag.objects.get().name == "v1.0"
    one.go(f"/admin/datasets_app/dataset/{dataset.pk}/tags/")
    page.get_by_role("cell").get_by_role("link", name="Export").click()
    expect(page.get_by_label("Version")).to_have_value("v1.0")
    one.shot("export")
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Download").click()
    assert downloading.value.suggested_filename == "banking-questions-v1.0.jsonl"
    downloaded = Path(downloading.value.path()).read_bytes()

    target = tmp_path / "v1.0.jsonl"
    call_command("golden_export", "banking-questions@v1.0", output=str(target), stdout=io.StringIO())
    assert downloaded == target.read_bytes()
    rows = [json.loads(line) for line in downloaded.splitlines()]
    assert len(rows) == 10_003
    assert tuple(row["output"]["label"] for row in rows[:5]) == CORRECTIONS
    assert rows[0]["input"]["text"] == "I am still waiting on my card?"
