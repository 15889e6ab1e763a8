"""Discarding chosen changes: asked before, exact, recorded."""

from __future__ import annotations

import pytest

from datasets_app.models import AuditEvent, Example
from datasets_app.services.curation.examples import bulk_upsert, delete_examples, set_status
from datasets_app.services.versioning.discarding import discard
from datasets_app.services.versioning.redacting import redact
from datasets_app.services.versioning.worktrees import row_count, status

from .conftest import documents

pytestmark = pytest.mark.django_db


@pytest.fixture
def touched(world) -> dict[str, str]:
    """e0 edited, e1 edited, e2 removed, e9 added; name → UUID."""
    names = {name: str(world.row(name).identity_id) for name in ("e0", "e1", "e2")}
    world.relabel("e0", "b")
    world.relabel("e1", "c")
    delete_examples(branch=world.main, uuids=[names["e2"]], actor=None)
    bulk_upsert(branch=world.main, documents=documents(1, start=9), actor=None)
    return {**names, "e9": str(world.row("e9").identity_id)}


def counts(world) -> tuple[int, int, int]:
    state = status(world.main)
    return state.added, state.modified, state.removed


def labels(world) -> dict[str, str]:
    rows = Example.objects.filter(branch=world.main).order_by("ordinal").select_related("identity")
    return {row.identity.external_id: row.expected_output["label"] for row in rows}


def test_discard__edited_removed_and_added__go_back_and_others_stay(site, world, touched) -> None:
    chosen = [touched[name] for name in ("e0", "e2", "e9")]
    answer = site.post("discard", example=chosen, confirmed="yes")
    assert answer.url == site.address("changes")
    assert labels(world) == {"e0": "a", "e1": "c", "e2": "a"}
    assert counts(world) == (0, 1, 0)
    assert [str(pk) for pk in world.main.dirty.values_list("example_id", flat=True)] == [touched["e1"]]
    assert row_count(world.main) == 3
    event = AuditEvent.objects.get(action="discard")
    assert (event.actor.username, event.summary) == ("curator-person", "main: 3 uncommitted changes")


def test_discard__rows__keep_their_history_with_who_did_it(site, world, touched) -> None:
    site.post("discard", example=[touched["e0"]], confirmed="yes")
    newest, before = Example.history.filter(identity_id=touched["e0"]).order_by("-history_id")[:2]
    assert (newest.expected_output, before.expected_output) == ({"label": "a"}, {"label": "b"})
    assert newest.history_user.username == "curator-person"
    assert newest.history_change_reason == "discard changes"


def test_discard__not_confirmed__shows_what_would_go_and_changes_nothing(site, world, touched) -> None:
    world.relabel("e0", "d", actor=None)
    answer = site.post("discard", example=[touched["e0"], touched["e9"]])
    assert answer.status_code == 200
    assert [(diff.name, diff.change_type) for diff in answer.context["changes"]] == [
        ("e0", "modified"),
        ("e9", "added"),
    ]
    assert answer.context["of_others"] == 2
    assert counts(world) == (1, 2, 1)


def test_discard__nothing_ticked__goes_back_and_says_so(site, world, touched, said) -> None:
    answer = site.post("discard")
    assert answer.url == site.address("changes")
    assert said(answer) == ["Nothing is selected: tick the changes to discard."]


def test_discard__no_uuid__is_told(site, world, touched) -> None:
    assert (
        "holds something that is no example"
        in site.client.post(site.address("discard"), {"example": "x"}, follow=True).text
    )
    assert counts(world) == (1, 2, 1)


@pytest.mark.parametrize("role", ["viewer", "reviewer"])
def test_discard__roles_that_do_not_edit__are_refused(site_of, world, touched, role) -> None:
    site = site_of(role)
    assert site.post("discard", example=[touched["e0"]], confirmed="yes").status_code == 403
    assert counts(world) == (1, 2, 1)
    assert "Discard selected" not in site.get("changes").text


@pytest.mark.parametrize("role", ["curator", "release_manager", "administrator"])
def test_discard__roles_that_edit__may(site_of, world, touched, role) -> None:
    site = site_of(role)
    assert "Discard selected" in site.get("changes").text
    assert site.post("discard", example=[touched["e0"]], confirmed="yes").status_code == 302
    assert counts(world) == (1, 1, 1)


def test_discard__clean_example__is_no_change(world) -> None:
    assert discard(branch=world.main, uuids=[world.row("e0").identity_id], actor=None) == 0
    assert not AuditEvent.objects.filter(action="discard").exists()


def test_discard__before_the_first_commit__empties(world) -> None:
    from datasets_app.services.curation.datasets import create_dataset
    from datasets_app.services.curation.types import get_type

    fresh = create_dataset(name="fresh", actor=None, default_type=get_type("text_classification")).main
    bulk_upsert(branch=fresh, documents=documents(2), actor=None)
    uuids = list(fresh.dirty.values_list("example_id", flat=True))
    assert discard(branch=fresh, uuids=uuids, actor=None) == 2
    assert (row_count(fresh), status(fresh).is_clean) == (0, True)


def test_discard__touched_and_set_back_by_hand__is_forgotten(world) -> None:
    pk = world.row("e0").identity_id
    set_status(branch=world.main, uuids=[pk], status="validated", actor=None)
    set_status(branch=world.main, uuids=[pk], status="pending", actor=None)
    assert discard(branch=world.main, uuids=[pk], actor=None) == 1
    assert not world.main.dirty.exists()


def test_discard__committed_content_redacted__leaves_the_row(world) -> None:
    pk = world.row("e1").identity_id
    world.relabel("e1", "b")
    world.commit("second")
    redact(dataset=world.dataset, example=pk, reason="asked for", actor=None)
    before = labels(world)
    discard(branch=world.dataset.main, uuids=[pk], actor=None)
    assert labels(world) == before
