"""Who may see and do what on the versioning pages."""

from __future__ import annotations

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db

PAGES = ("changes", "log", "diff", "branches", "tags", "merge", "checkout", "version")
WRITES = [
    ("changes", {"do": "commit", "message": "m"}),
    ("branches", {"do": "create", "name": "side"}),
    ("branches", {"do": "open", "name": "main"}),
    ("tags", {"do": "create", "name": "v1"}),
    ("tags", {"do": "delete", "name": "v1", "confirmed": "yes"}),
    ("merge", {"do": "merge", "source": "HEAD"}),
    ("checkout", {"do": "checkout", "ref": "HEAD"}),
    ("discard", {"confirmed": "yes"}),
]


@pytest.mark.parametrize("role", ["viewer", "reviewer", "curator", "release_manager", "administrator"])
def test_pages__roles_that_view__see_them_all(site_of, world, role) -> None:
    site = site_of(role)
    identity = world.row("e0").identity_id
    answers = [site.get(page) for page in PAGES]
    answers += [site.get("commit", world.first.commit_hash), site.get("example_history", identity)]
    answers += [site.get("version_example", identity)]
    assert [answer.status_code for answer in answers] == [200] * 11


@pytest.mark.parametrize("page", PAGES)
def test_pages__labeler__is_refused(site_of, world, page) -> None:
    assert site_of("labeler").get(page).status_code == 403


@pytest.mark.parametrize("role", ["viewer", "reviewer"])
@pytest.mark.parametrize(("page", "data"), WRITES)
def test_writes__roles_that_only_read__are_refused(site_of, world, role, page, data) -> None:
    world.relabel("e0", "b")
    assert site_of(role).post(page, **data).status_code == 403
    assert world.dataset.main.commit == world.first


def test_pages__viewer__sees_no_button_that_writes(site_of, world) -> None:
    world.relabel("e0", "b")
    site = site_of("viewer")
    for page in ("changes", "branches", "tags", "merge", "checkout"):
        assert 'name="do"' not in site.get(page).content.decode(), page


def test_pages__not_signed_in__go_to_the_login(site, world) -> None:
    answer = Client().get(site.address("changes"))
    assert (answer.status_code, answer.url.startswith("/admin/login/")) == (302, True)


def test_pages__other_dataset__is_refused(site, person) -> None:
    client = Client()
    client.force_login(person("stranger"), backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(site.address("changes")).status_code == 403


def test_post__without_csrf_token__is_refused(site, world, person) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(
        person("curator2", "curator", world.dataset), backend="django.contrib.auth.backends.ModelBackend"
    )
    assert client.post(site.address("tags"), {"do": "create", "name": "v1"}).status_code == 403


def test_post__unknown_action__is_a_bad_request(site, world) -> None:
    assert site.post("tags", do="explode").status_code == 400


def test_merge__of_another_dataset__is_not_found(site, world) -> None:
    assert site.get("conflicts", 12345).status_code == 404
