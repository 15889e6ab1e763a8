"""The examples of any version, and one of them field by field."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert, delete_examples, set_mark, set_status
from datasets_app.services.versioning.redacting import redact
from datasets_app.services.versioning.refs import create_tag

from .conftest import Site, documents

pytestmark = pytest.mark.django_db


def shown(page) -> list[tuple]:
    return [(row.name, row.class_value, row.status) for row in page.context["version_rows"]]


def test_version__tag__shows_what_it_holds_not_what_is_there_now(site, world) -> None:
    create_tag(dataset=world.dataset, name="v1.0", actor=None)
    world.relabel("e1", "b")
    delete_examples(branch=world.main, uuids=[world.row("e2").identity_id], actor=None)
    set_status(branch=world.main, uuids=[world.row("e0").identity_id], status="validated", actor=None)
    second = world.commit("second")
    old, new = site.get("version", ref="v1.0"), site.get("version", ref=second.short_hash)
    assert shown(old) == [("e0", "a", "pending"), ("e1", "a", "pending"), ("e2", "a", "pending")]
    assert shown(new) == [("e0", "a", "validated"), ("e1", "b", "pending")]
    assert "Where is parcel 0?" in old.text
    assert old.context["commit_tags"] == ["v1.0"]


def test_version__no_ref__is_the_branch_that_is_looked_at(site, world) -> None:
    side = world.branch("side/closed", opened=False)
    page = site.get("version", branch=side)
    assert (page.context["ref"], page.context["commit"]) == ("side/closed", world.first)
    assert len(shown(page)) == 3


def test_version__marks__are_shown(site, world) -> None:
    set_mark(branch=world.main, uuids=[world.row("e1").identity_id], name="hard", value=True, actor=None)
    world.commit("second")
    page = site.get("version", ref="HEAD")
    assert [row.marks for row in page.context["version_rows"]] == [[], ["hard"], []]


def test_version__more_than_a_page__goes_on_behind_the_last_ordinal(site, world) -> None:
    bulk_upsert(branch=world.main, documents=documents(120, start=10), actor=None)
    world.commit("second")
    seen, address = [], site.address("version", ref="HEAD")
    while address:
        page = site.client.get(address)
        seen.append([row.name for row in page.context["version_rows"]])
        address = page.context["next"]
    assert [len(names) for names in seen] == [50, 50, 23]
    assert [name for names in seen for name in names] == [
        *("e0", "e1", "e2"),
        *(f"e{n}" for n in range(10, 130)),
    ]


def test_version__exactly_one_page__has_no_next(site, world) -> None:
    bulk_upsert(branch=world.main, documents=documents(47, start=10), actor=None)
    world.commit("second")
    page = site.get("version", ref="HEAD")
    assert (len(shown(page)), page.context["next"]) == (50, "")


def test_version__unknown_ref__is_told_and_kept(site, world, said) -> None:
    page = site.get("version", ref="nowhere")
    assert page.status_code == 200
    assert said(page) == ["Dataset “parcels” has no branch, tag or commit “nowhere”."]
    assert 'value="nowhere"' in page.text


def test_version__nothing_committed__says_so(site, person) -> None:
    empty = create_dataset(name="empty", actor=None)
    client = Client()
    client.force_login(person("c", "curator", empty), backend="django.contrib.auth.backends.ModelBackend")
    assert "No version yet" in Site(client, empty).get("version").text


def test_version__redacted_example__is_named_without_content(site, world) -> None:
    identity = world.row("e1").identity_id
    redact(dataset=world.dataset, example=identity, reason="asked for", actor=None)
    page = site.get("version", ref=world.first.short_hash)
    assert [row.is_redacted for row in page.context["version_rows"]] == [False, True, False]
    assert "parcel 1" not in page.text
    one = site.get("version_example", identity, ref=world.first.short_hash)
    assert one.status_code == 200
    assert "was erased (redacted)" in one.text


def test_version_example__old_version__shows_its_fields(site, world) -> None:
    identity = world.row("e1").identity_id
    world.relabel("e1", "<b>new</b>")
    world.commit("second")
    old = site.get("version_example", identity, ref=world.first.short_hash)
    assert [(f.path, str(f.new)) for f in old.context["fields"]] == [
        ("$.input.text", "Where is parcel 1?"),
        ("$.output.label", "a"),
        ("$.type", "text_classification"),
    ]
    assert site.address("example_history", identity) in old.text
    assert "<b>new" not in site.get("version_example", identity, ref="HEAD").text


def test_version_example__not_in_that_version__is_not_found(site, world) -> None:
    bulk_upsert(branch=world.main, documents=documents(1, start=9), actor=None)
    world.commit("second")
    identity = world.row("e9").identity_id
    assert site.get("version_example", identity, ref="HEAD").status_code == 200
    assert site.get("version_example", identity, ref="HEAD~1").status_code == 404


@pytest.mark.parametrize("page", ["log", "tags", "commit"])
def test_versions__pages_that_name_them__lead_to_examples(site, world, page) -> None:
    create_tag(dataset=world.dataset, name="v1.0", actor=None)
    args = [world.first.commit_hash] if page == "commit" else []
    ref = "v1.0" if page == "tags" else world.first.short_hash
    text = site.get(page, *args).text
    assert f'href="{site.address("version", ref=ref)}"' in text
    if page != "log":
        assert f'/download/?ref={ref}"' in text


def test_version__hundred_times_the_examples__asks_the_database_as_often(site, world) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert site.get("version", ref="HEAD").status_code == 200
        return len(captured)

    queries()
    few = queries()
    bulk_upsert(branch=world.main, documents=documents(300, start=10), actor=None)
    world.commit("many")
    queries()
    many = queries()
    assert many <= few + 1  # the tree has one level more
    assert many <= 30
