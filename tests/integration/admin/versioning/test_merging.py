"""Merge in the console: preview, conflicts, completion."""

from __future__ import annotations

import pytest

from datasets_app.models import Branch, DatasetCommit, Merge, MergeConflict

pytestmark = pytest.mark.django_db


@pytest.fixture
def clash(world) -> Branch:
    """A branch that changed e0 and e1 as main did, in another way, and e2 alone."""
    side = world.branch("side")
    for name in ("e0", "e1", "e2"):
        world.relabel(name, "theirs", branch=side)
    world.commit("on side", branch=side)
    for name in ("e0", "e1"):
        world.relabel(name, "ours")
    world.commit("on main")
    return side


def start(site) -> Merge:
    answer = site.post("merge", do="merge", source="side")
    merging = Merge.objects.get(state="open")
    assert answer.url == site.address("conflicts", merging.pk)
    return merging


def keys(merging: Merge) -> dict[str, int]:
    from datasets_app.models import ExampleIdentity

    names = {i.pk: i.external_id for i in ExampleIdentity.objects.all()}
    return {names[conflict.example_id]: conflict.pk for conflict in merging.conflicts.all()}


def test_preview__branch_ahead__is_a_fast_forward_and_writes_nothing(site, world) -> None:
    side = world.branch("side")
    world.relabel("e0", "b", branch=side)
    world.commit("on side", branch=side)
    preview = site.get("merge", source="side").context["preview"]
    assert (preview.kind, preview.changes.modified) == ("fast_forward", 1)
    assert world.dataset.main.commit == world.first


def test_preview__both_changed_different_examples__is_clean(site, world) -> None:
    side = world.branch("side")
    world.relabel("e0", "b", branch=side)
    world.commit("on side", branch=side)
    world.relabel("e1", "c")
    world.commit("on main")
    page = site.get("merge", source="side")
    assert page.context["preview"].kind == "clean"
    assert [shown.name for shown in page.context["changes"]] == ["e0"]


def test_preview__same_field_on_both_sides__names_the_conflicts(site, world, clash) -> None:
    page = site.get("merge", source="side")
    assert page.context["preview"].kind == "conflicts"
    assert page.context["clashes"] == [
        ("e0", "Where is parcel 0?", "Output › label"),
        ("e1", "Where is parcel 1?", "Output › label"),
    ]
    assert page.context["clash_count"] == 2
    assert Merge.objects.count() == 0


def test_preview__nothing_to_merge__says_so(site, world) -> None:
    world.branch("side", opened=False)
    page = site.get("merge", source="side")
    assert page.context["preview"].kind == "up_to_date"
    assert "Nothing to merge" in page.content.decode()


def test_conflicts__three_ways_of_deciding__complete_as_chosen(site, world, clash) -> None:
    merging = start(site)
    pk = keys(merging)
    site.post("conflicts", merging.pk, do="save", **{f"choice-{pk['e0']}": "theirs"})
    page = site.get("conflicts", merging.pk)
    assert (page.context["resolved"], page.context["total"]) == (1, 2)
    answer = site.post(
        "conflicts",
        merging.pk,
        do="complete",
        message="both agreed",
        **{f"choice-{pk['e1']}": "value", f"value-{pk['e1']}": "a third word"},
    )
    made = DatasetCommit.objects.get(message="both agreed")
    assert answer.url == site.address("commit", made.commit_hash)
    assert made.merge_parent_hash != ""
    labels = [world.row(name).expected_output["label"] for name in ("e0", "e1", "e2")]
    assert labels == ["theirs", "a third word", "theirs"]


def test_conflicts__complete_too_early__says_how_many_are_open(site, world, clash, said) -> None:
    merging = start(site)
    answer = site.client.post(site.address("conflicts", merging.pk), {"do": "complete"}, follow=True)
    assert said(answer) == [
        "2 of 2 conflicts are not resolved yet. Choose ours, theirs or a value of your own for each."
    ]
    assert Merge.objects.get().state == "open"


def test_conflicts__value_that_the_type_refuses__saves_nothing_and_keeps_it(site, world, clash, said) -> None:
    merging = start(site)
    pk = keys(merging)
    answer = site.post(
        "conflicts",
        merging.pk,
        do="save",
        **{f"choice-{pk['e0']}": "theirs", f"choice-{pk['e1']}": "value", f"value-{pk['e1']}": ""},
    )
    assert answer.status_code == 200
    assert "$.output.label in the value that you wrote" in said(answer)[0]
    assert MergeConflict.objects.filter(resolution="").count() == 2
    shown = [c for example in answer.context["examples"] for c in example.conflicts]
    assert sorted(c.own_checked for c in shown) == [False, True]


def test_conflicts__resolve_all__keeps_choices_that_were_made(site, world, clash) -> None:
    merging = start(site)
    pk = keys(merging)
    site.post("conflicts", merging.pk, do="resolve_all", side="theirs", **{f"choice-{pk['e0']}": "ours"})
    site.post("conflicts", merging.pk, do="complete")
    assert [world.row(name).expected_output["label"] for name in ("e0", "e1")] == ["ours", "theirs"]


def test_conflicts__deleted_on_one_side__offers_no_own_value(site, world) -> None:
    from datasets_app.services.curation.examples import delete_examples

    side = world.branch("side")
    delete_examples(branch=side, uuids=[world.row("e0").identity_id], actor=None)
    world.commit("on side", branch=side)
    world.relabel("e0", "ours")
    world.commit("on main")
    merging = start(site)
    page = site.get("conflicts", merging.pk)
    (conflict,) = page.context["examples"][0].conflicts
    assert conflict.input_kind == ""
    assert [side.is_missing for side in conflict.sides] == [False, True, False]


def test_conflicts__abort_confirmed__changes_nothing(site, world, clash, said) -> None:
    merging = start(site)
    assert "was not confirmed" in said(site.post("conflicts", merging.pk, do="abort"))[0]
    site.post("conflicts", merging.pk, do="abort", confirmed="yes")
    assert Merge.objects.get().state == "aborted"
    assert world.row("e2").expected_output == {"label": "a"}


def test_pages__merge_unfinished__say_so_on_every_page(site, world, clash) -> None:
    start(site)
    for page in ("changes", "log", "branches", "tags"):
        assert "is not finished" in site.get(page).content.decode()
