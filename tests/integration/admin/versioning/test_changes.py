"""The page of uncommitted changes, and committing from it."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from datasets_app.models import DatasetCommit
from datasets_app.services.curation.examples import bulk_upsert, delete_examples
from datasets_app.services.versioning.worktrees import status

from .conftest import documents

pytestmark = pytest.mark.django_db


def test_changes__clean_working_copy__says_nothing_to_commit(site, world) -> None:
    text = site.get("changes").content.decode()
    assert "Nothing to commit" in text
    assert world.first.short_hash in text


def test_changes__text_edited__marks_words_on_both_sides(site, world) -> None:
    world.relabel("e1", "lost_parcel")
    page = site.get("changes")
    assert page.status_code == 200
    (shown,) = page.context["changes"]
    (field,) = shown.fields
    assert (shown.name, shown.change_type, field.path) == ("e1", "modified", "$.output.label")
    assert field.old == "<del>a</del>"
    assert field.new == "<ins>lost_parcel</ins>"


def test_changes__markup_in_a_value__is_shown_as_text(site, world) -> None:
    world.relabel("e1", "<script>alert(1)</script>")
    text = site.get("changes").content.decode()
    assert "<script>alert(1)" not in text
    assert "&lt;" in text


def test_changes__filter_by_kind__shows_that_kind_and_all_counts(site, world) -> None:
    world.relabel("e0", "b")
    delete_examples(branch=world.main, uuids=[world.row("e2").identity_id], actor=None)
    bulk_upsert(branch=world.main, documents=documents(1, start=9), actor=None)
    page = site.get("changes", kind="removed")
    assert [shown.name for shown in page.context["changes"]] == ["e2"]
    assert [(name, count) for name, _, count, _ in page.context["kinds"]] == [
        ("", 3),
        ("added", 1),
        ("modified", 1),
        ("removed", 1),
    ]


def test_changes__more_than_a_page__go_on_behind_the_last_ordinal(site, world) -> None:
    bulk_upsert(branch=world.main, documents=documents(120, start=10), actor=None)
    seen, address = [], site.address("changes")
    while address:
        page = site.client.get(address)
        seen.append([shown.name for shown in page.context["changes"]])
        address = page.context["next"]
    assert [len(names) for names in seen] == [50, 50, 20]
    assert [name for names in seen for name in names] == [f"e{n}" for n in range(10, 130)]


def test_changes__of_two_people__mine_only_keeps_mine(site, world, person) -> None:
    me = person("me", "curator", world.dataset)
    site.client.force_login(me, backend="django.contrib.auth.backends.ModelBackend")
    world.relabel("e0", "b", actor=me)
    world.relabel("e1", "b", actor=person("other"))
    page = site.get("changes", mine="1")
    assert [shown.name for shown in page.context["changes"]] == ["e0"]
    assert page.context["my_count"] == 1
    assert site.post("changes", do="commit", message="mine", scope="mine").status_code == 302
    assert [shown.name for shown in site.get("changes").context["changes"]] == ["e1"]


def test_commit__everything__moves_the_branch_and_goes_to_the_commit(site, world) -> None:
    world.relabel("e0", "b")
    answer = site.post("changes", do="commit", message="relabel", scope="all")
    made = DatasetCommit.objects.get(message="relabel")
    assert answer.url == site.address("commit", made.commit_hash)
    assert (made.author, made.examples_modified) == ("curator-person", 1)
    assert status(world.dataset.main).is_clean


def test_commit__selected__leaves_the_others_uncommitted(site, world) -> None:
    world.relabel("e0", "b")
    world.relabel("e1", "b")
    chosen = str(world.row("e1").identity_id)
    site.post("changes", do="commit", message="one", scope="selected", example=[chosen])
    assert [shown.name for shown in site.get("changes").context["changes"]] == ["e0"]


def test_commit__nothing_selected__is_refused_and_keeps_the_message(site, world, said) -> None:
    world.relabel("e0", "b")
    answer = site.post("changes", do="commit", message="a long thought", scope="selected")
    assert answer.status_code == 200
    assert said(answer) == ["Nothing is selected. Tick the examples to commit, or commit everything."]
    assert "a long thought" in answer.content.decode()
    assert DatasetCommit.objects.count() == 1


def test_commit__no_message__is_refused(site, world, said) -> None:
    world.relabel("e0", "b")
    answer = site.post("changes", do="commit", message="  ", scope="all")
    assert said(answer) == ["A commit needs a message. Say in a line what changed and why."]
    assert DatasetCommit.objects.count() == 1


def test_changes__closed_branch__offers_to_open_it(site, world) -> None:
    other = world.branch("other", opened=False)
    assert site.get("changes", branch=other).context["rows_to_open"] == 3
    assert site.post("changes", branch=other, do="open").status_code == 302
    other.refresh_from_db()
    assert other.is_open


def test_changes__hundred_times_the_examples__asks_the_database_as_often(site, world) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert site.get("changes").status_code == 200
        return len(captured)

    world.relabel("e0", "b")
    queries()
    few = queries()
    bulk_upsert(branch=world.main, documents=documents(300, start=10), actor=None)
    many = queries()
    assert many <= few
    assert many <= 30
