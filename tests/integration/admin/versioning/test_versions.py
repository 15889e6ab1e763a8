"""History, commit, comparison, branches, tags and checkout in the console."""

from __future__ import annotations

import pytest

from datasets_app.models import Branch, Tag
from datasets_app.services.versioning.refs import create_tag
from datasets_app.services.versioning.worktrees import status

pytestmark = pytest.mark.django_db


def test_log__merge_of_two_branches__draws_two_lanes_and_names_refs(site, world) -> None:
    side = world.branch("side")
    world.relabel("e0", "b", branch=side)
    world.commit("on side", branch=side)
    world.relabel("e1", "c")
    world.commit("on main")
    create_tag(dataset=world.dataset, name="v1.0", actor=None)
    site.post("merge", do="merge", source="side")
    page = site.get("log")
    drawn = page.context["drawn"]
    assert [row.subject for row in drawn] == ["Merge side into main", "on main", "on side", "first"]
    assert [(row.logged.branches, row.logged.tags) for row in drawn] == [
        (["main"], []),
        ([], ["v1.0"]),
        (["side"], []),
        ([], []),
    ]
    assert drawn[0].is_merge
    assert page.context["width"] == 36
    assert drawn[1].x != drawn[2].x


def test_log__older_page__goes_on_behind_the_last(site, world) -> None:
    for number in range(51):
        world.relabel("e0", f"l{number}")
        world.commit(f"c{number}")
    page = site.get("log")
    assert len(page.context["drawn"]) == 50
    older = site.client.get(page.context["older"])
    assert [row.subject for row in older.context["drawn"]] == ["c0", "first"]
    assert older.context["older"] == ""


def test_commit_page__unique_prefix__shows_facts_and_changes(site, world) -> None:
    world.relabel("e2", "b")
    made = world.commit("second\n\nbecause of a review")
    page = site.get("commit", made.commit_hash[:10])
    assert page.context["commit"] == made
    assert page.context["body"] == "because of a review"
    assert [shown.name for shown in page.context["changes"]] == ["e2"]
    assert [parent[0] for parent in page.context["parents"]] == [world.first.short_hash]
    assert f'data-copy="{made.commit_hash}"' in page.content.decode()


def test_commit_page__unknown_hash__is_404_with_the_reason(site, world) -> None:
    answer = site.get("commit", "abcdef12")
    assert answer.status_code == 404
    assert "no branch, tag or commit “abcdef12”" in answer.content.decode()


def test_revert__clean__makes_a_commit_that_undoes(site, world) -> None:
    world.relabel("e2", "b")
    made = world.commit("second")
    answer = site.post("commit", made.commit_hash, do="revert")
    assert answer.status_code == 302
    assert world.row("e2").expected_output == {"label": "a"}
    main = world.dataset.main
    assert main.commit.message.startswith("Revert “second”")


def test_compare__two_versions__shows_fields_side_by_side(site, world) -> None:
    world.relabel("e1", "b")
    world.commit("second")
    page = site.get("diff", a="HEAD~1", b="HEAD")
    assert page.context["total"] == 1
    assert [(f.path, f.old, f.new) for f in page.context["changes"][0].fields] == [
        ("$.output.label", "<del>a</del>", "<ins>b</ins>")
    ]
    assert "<td" in page.content.decode()


def test_compare__with_the_working_copy__includes_what_is_not_committed(site, world) -> None:
    world.relabel("e1", "b")
    world.commit("second")
    world.relabel("e2", "c")
    page = site.get("diff", a="HEAD~1", b="working copy")
    assert [shown.name for shown in page.context["changes"]] == ["e1", "e2"]


def test_compare__unknown_version__keeps_what_was_typed(site, world, said) -> None:
    page = site.get("diff", a="nowhere", b="HEAD")
    assert said(page) == ["Dataset “parcels” has no branch, tag or commit “nowhere”."]
    assert (page.context["a"], page.context["b"]) == ("nowhere", "HEAD")


def test_branches__made_and_opened__has_its_rows_and_its_distance(site, world) -> None:
    site.post("branches", do="create", name="side", open="yes")
    side = Branch.objects.get(name="side")
    world.relabel("e0", "b", branch=side)
    world.commit("on side", branch=side)
    rows = {branch.name: (branch, apart) for branch, apart in site.get("branches").context["rows"]}
    branch, apart = rows["side"]
    assert (branch.row_total, apart.ahead, apart.behind) == (3, 1, 0)


def test_branches__bad_name__is_refused_and_kept(site, world, said) -> None:
    answer = site.post("branches", do="create", name="bad name")
    assert said(answer)[0].startswith("“bad name” cannot be a branch or tag")
    assert 'value="bad name"' in answer.content.decode()
    assert Branch.objects.count() == 1


def test_branches__closing_with_uncommitted_work__is_refused_until_told(site, world, said) -> None:
    side = world.branch("side")
    world.relabel("e0", "b", branch=side)
    refused = site.post("branches", do="close_branch", name="side", confirmed="yes")
    assert "“side” has uncommitted changes" in said(refused)[0]
    site.post("branches", do="close_branch", name="side", confirmed="yes", discard="yes")
    side.refresh_from_db()
    assert (side.is_closed, side.is_open) == (True, False)


def test_tags__made_and_deleted_after_confirmation(site, world, said) -> None:
    site.post("tags", do="create", name="v1.0", message="for training")
    assert Tag.objects.get().commit == world.first
    refused = site.post("tags", do="delete", name="v1.0")
    assert said(refused)[-1:] == ["Deleting the tag “v1.0” was not confirmed. Tick the box, then delete."]
    assert Tag.objects.count() == 1
    site.post("tags", do="delete", name="v1.0", confirmed="yes")
    assert Tag.objects.count() == 0


def test_tags__name_taken__keeps_all_that_was_typed(site, world, said) -> None:
    create_tag(dataset=world.dataset, name="v1.0", actor=None)
    answer = site.post("tags", do="create", name="v1.0", message="a careful reason")
    assert "has a tag “v1.0” already" in said(answer)[0]
    assert "a careful reason" in answer.content.decode()


def test_checkout__over_uncommitted_work__is_refused(site, world, said) -> None:
    world.relabel("e0", "b")
    answer = site.post("checkout", do="checkout", ref="HEAD")
    assert "“main” has uncommitted changes: 0 added, 1 modified, 0 removed." in said(answer)[0]
    assert world.row("e0").expected_output == {"label": "b"}


def test_checkout__throwing_away_unconfirmed__changes_nothing(site, world, said) -> None:
    world.relabel("e0", "b")
    answer = site.post("checkout", do="checkout", ref="HEAD", keep="discard")
    assert "was not confirmed" in said(answer)[0]
    assert world.row("e0").expected_output == {"label": "b"}
    site.post("checkout", do="checkout", ref="HEAD", keep="discard", confirmed="yes")
    assert world.row("e0").expected_output == {"label": "a"}
    assert status(world.dataset.main).is_clean


def test_checkout__stash__keeps_the_work_on_a_branch(site, world) -> None:
    world.relabel("e0", "b")
    site.post("checkout", do="checkout", ref="HEAD", keep="stash")
    stash = Branch.objects.get(name__startswith="stash/main-")
    assert stash.commit.examples_modified == 1
    assert world.row("e0").expected_output == {"label": "a"}


def test_checkout__preview__counts_rows_and_writes_nothing(site, world) -> None:
    world.relabel("e0", "b")
    world.commit("second")
    page = site.get("checkout", ref="HEAD~1")
    assert page.context["changed"] == 1
    assert world.row("e0").expected_output == {"label": "b"}


def test_example_history__edited_and_committed__tells_both_with_fields(site, world, person) -> None:
    kim = person("kim")
    world.relabel("e1", "b", actor=kim)
    made = world.commit("second", actor=kim)
    identity = world.row("e1").identity_id
    page = site.get("example_history", identity)
    told = [
        (event.kind, event.who, event.what, [str(f.new) for f in f_of(event)])
        for event in page.context["events"]
    ]
    assert told[:2] == [
        ("commit", "kim", "modified", ["<ins>b</ins>"]),
        ("edit", "kim", "changed", ["<ins>b</ins>"]),
    ]
    label = next(line for line in page.context["blame"] if line["name"] == "Output › label")
    assert label["commit"] == made
    text = next(line for line in page.context["blame"] if line["name"] == "Input › text")
    assert text["commit"] == world.first


def f_of(event) -> list:
    return event.fields


def test_object_history__dataset_changed_by_any_path__tells_fields(site_of, world) -> None:
    type(world.dataset).objects.filter(pk=world.dataset.pk).update(description="All parcels")
    site = site_of("administrator")
    page = site.client.get(f"/admin/datasets_app/dataset/{world.dataset.pk}/history/")
    assert page.status_code == 200
    newest = page.context["events"][0]
    assert next((field.old, field.new) for field in newest.fields) == (
        '<span class="v-missing">empty text</span>',
        "<ins>All parcels</ins>",
    )
