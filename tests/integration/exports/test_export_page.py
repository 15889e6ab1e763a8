"""The page that downloads a version: the same bytes as the command, for whoever may view."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
from django.core.management import call_command
from django.urls import reverse

from datasets_app.models import AuditEvent, Dataset
from datasets_app.services.curation.datasets import create_dataset
from tests.integration.exports.forty_cards import body, forty_cards
from tests.integration.people import client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset() -> Dataset:
    return forty_cards("v1.0")


def address(dataset: Dataset) -> str:
    return reverse("admin:datasets_app_dataset_export", args=[dataset.pk])


def test_export_page__tag__is_what_the_command_writes(dataset: Dataset, tmp_path: Path) -> None:
    client = client_of("viewer")
    assert 'value="v1.0"' in client.get(address(dataset)).text

    answer = client.post(address(dataset), {"ref": "v1.0", "type": "", "status": "", "split": ""})

    assert answer["Content-Disposition"] == 'attachment; filename="cards-v1.0.jsonl"'
    target = tmp_path / "cards.jsonl"
    call_command("golden_export", "cards@v1.0", output=str(target), stdout=io.StringIO())
    assert body(answer) == target.read_bytes()
    assert AuditEvent.objects.filter(action="export", actor__username="a-viewer").count() == 1


def test_export_page__split__is_a_zip_with_a_file_for_each_part(dataset: Dataset) -> None:
    answer = client_of("viewer").post(
        address(dataset), {"ref": "v1.0", "split": "train=.5,test=.5", "seed": "7", "stratify": "yes"}
    )

    archive = zipfile.ZipFile(io.BytesIO(body(answer)))
    names = {"README.md", "SHA256SUMS", "train.jsonl", "test.jsonl"}
    assert set(archive.namelist()) == {f"cards-v1.0/{name}" for name in names}
    rows = [
        json.loads(line)["id"]
        for part in ("train", "test")
        for line in archive.read(f"cards-v1.0/{part}.jsonl").splitlines()
    ]
    assert sorted(rows) == sorted(f"c{n}" for n in range(40))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"ref": "v9"}, "v9"),
        ({"ref": "v1.0", "split": "train=2"}, "train"),
        ({"ref": "v1.0", "split": "a=.5,b=.5", "seed": "x"}, "Seed: found “x”, expected a whole number."),
    ],
)
def test_export_page__wrong_input__is_told_and_kept(
    dataset: Dataset, typed: dict[str, str], said: str
) -> None:
    answer = client_of("viewer").post(address(dataset), typed)

    assert answer.status_code == 200
    assert said in answer.text
    assert f'name="split" value="{typed.get("split", "")}"' in answer.text


@pytest.mark.parametrize("role", [None, "labeler"])
def test_export_page__who_may_not_view__is_refused(dataset: Dataset, role: str | None) -> None:
    client = client_of(role)
    assert client.get(address(dataset)).status_code == 403
    assert client.post(address(dataset), {"ref": "v1.0"}).status_code == 403


def test_export_page__nothing_committed__says_so() -> None:
    empty = create_dataset(name="empty", actor=None)
    assert "Nothing to export yet" in client_of("viewer").get(address(empty)).text
