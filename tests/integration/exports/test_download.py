"""The download of a whole version: bytes, name, rights, what is recorded."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from datasets_app.models import AuditEvent, Dataset
from datasets_app.services.versioning.redacting import redact
from datasets_app.services.versioning.refs import create_branch
from tests.integration.exports.forty_cards import body, forty_cards
from tests.integration.people import client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset() -> Dataset:
    made = forty_cards("frozen/v1")
    create_branch(dataset=made, name="side", start="main", actor=None)
    return made


def address(dataset: Dataset, ref: str = "") -> str:
    page = reverse("admin:datasets_app_dataset_download", args=[dataset.pk])
    return f"{page}?ref={ref}" if ref else page


def exported(ref: str, folder: Path) -> bytes:
    target = folder / "exported.jsonl"
    call_command("golden_export", ref, output=str(target), stdout=io.StringIO(), stderr=io.StringIO())
    return target.read_bytes()


@pytest.mark.parametrize("role", ["viewer", "reviewer", "curator", "release_manager", "administrator"])
def test_download__roles_that_view__get_what_the_command_writes(
    dataset: Dataset, tmp_path: Path, role: str
) -> None:
    answer = client_of(role).get(address(dataset, "frozen/v1"))

    assert answer["Content-Disposition"] == 'attachment; filename="cards-frozen-v1.jsonl"'
    assert answer["Content-Type"] == "application/jsonl"
    assert body(answer) == exported("cards@frozen/v1", tmp_path)
    event = AuditEvent.objects.get(action="export", actor__username=f"a-{role}")
    assert event.summary == f"{dataset.main.commit.short_hash}: 40 examples"


@pytest.mark.parametrize("role", [None, "labeler"])
def test_download__who_may_not_view__is_refused_and_nothing_is_recorded(
    dataset: Dataset, role: str | None
) -> None:
    assert client_of(role).get(address(dataset, "main")).status_code == 403
    assert not AuditEvent.objects.filter(action="export").exists()


def test_download__not_signed_in__goes_to_the_login(dataset: Dataset) -> None:
    answer = Client().get(address(dataset))
    assert (answer.status_code, answer["Location"].startswith("/admin/login/")) == (302, True)


@pytest.mark.parametrize("ref", ["", "side", "HEAD"])
def test_download__no_tag__is_named_by_the_short_hash(dataset: Dataset, ref: str) -> None:
    answer = client_of("viewer").get(address(dataset, ref))
    name = f"cards-{dataset.main.commit.short_hash}.jsonl"
    assert answer["Content-Disposition"] == f'attachment; filename="{name}"'
    assert body(answer).count(b"\n") == 40


def test_download__unknown_version__is_not_found(dataset: Dataset) -> None:
    answer = client_of("viewer").get(address(dataset, "v9"))
    assert answer.status_code == 404
    assert "v9" in answer.text


@pytest.mark.parametrize("method", ["post", "head"])
def test_download__other_methods__are_refused(dataset: Dataset, method: str) -> None:
    assert getattr(client_of("administrator"), method)(address(dataset)).status_code == 405
    assert not AuditEvent.objects.filter(action="export").exists()


def test_download__redacted_example__is_left_out(dataset: Dataset, tmp_path: Path) -> None:
    row = dataset.main.examples.get(identity__external_id="c7")
    redact(dataset=dataset, example=row.identity_id, reason="asked for", actor=None)
    found = body(client_of("viewer").get(address(dataset, "frozen/v1")))
    assert found.count(b"\n") == 39
    assert found == exported("cards@frozen/v1", tmp_path)
