"""The import wizard: upload, columns, preview, apply; nothing is written before the last step."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from datasets_app.models import Dataset, Example, ImportBatch, StagedRow

CSV = "text,category,note\nWhere is my card?,card_arrival,x\nquestion two,a,\n"


@pytest.fixture(autouse=True)
def uploads(tmp_path: Path, settings: Any) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"
    return tmp_path / "media" / "imports"


def address(dataset: Dataset, page: str = "import", *args: Any) -> str:
    return reverse(f"admin:datasets_app_dataset_{page}", args=[dataset.pk, *args])


def upload(
    client: Client, dataset: Dataset, content: str | bytes, name: str = "train.csv", **more: str
) -> Any:
    data = content.encode() if isinstance(content, str) else content
    form = {"import_file": SimpleUploadedFile(name, data), "resource": "0", "format": "", **more}
    return client.post(address(dataset), form)


def preview(
    client: Client, dataset: Dataset, content: str | bytes, name: str = "train.csv", **columns: str
) -> Any:
    """Go through the first two steps and return the page of the preview."""
    mapping = upload(client, dataset, content, name)
    assert mapping.status_code == 302, mapping.content.decode()
    page = client.get(mapping["Location"])
    sent = {f"column-{c['number']}": c["target"] for c in page.context["columns"]} | columns
    sent["type"] = page.context["example_type"].name
    staged = client.post(mapping["Location"], sent)
    assert staged.status_code == 302, staged.content.decode()
    return client.get(staged["Location"])


def test_wizard__csv__guesses_the_columns_previews_and_applies(
    client_of: Callable[..., Client], texts: Dataset, uploads: Path
) -> None:
    client = client_of("curator")
    page = client.get(upload(client, texts, CSV)["Location"])
    assert {c["name"]: c["target"] for c in page.context["columns"]} == {
        "text": "input.text",
        "category": "output.label",
        "note": "metadata.note",
    }
    shown = preview(client, texts, CSV)
    assert shown.context["counts"] == {"new": 2, "changed": 0, "unchanged": 0, "refused": 0}
    assert [(r["line"], r["excerpt"], r["class"]) for r in shown.context["rows"]] == [
        (2, "Where is my card?", "card_arrival"),
        (3, "question two", "a"),
    ]
    assert Example.objects.count() == 3
    batch = shown.context["batch"]
    done = client.post(address(texts, "import_preview", batch.pk), {"apply": ""}, follow=True)
    assert "2 added, 0 changed, 0 unchanged, 0 refused" in done.content.decode()
    assert Example.objects.count() == 5
    made = Example.objects.get(input_data__text="Where is my card?")
    assert (made.expected_output, made.metadata) == ({"label": "card_arrival"}, {"note": "x"})
    assert not StagedRow.objects.filter(batch=batch).exists()
    assert len(list(uploads.iterdir())) == 1  # the file of the first upload, which nobody staged


def test_wizard__same_file_again__has_nothing_to_import(
    client_of: Callable[..., Client], texts: Dataset
) -> None:
    client = client_of("curator")
    batch = preview(client, texts, CSV).context["batch"]
    client.post(address(texts, "import_preview", batch.pk), {"apply": ""})
    again = preview(client, texts, CSV)
    assert again.context["counts"] == {"new": 0, "changed": 0, "unchanged": 2, "refused": 0}
    assert "there is nothing to import" in again.content.decode()


def test_wizard__known_id__shows_the_fields_that_would_change(
    client_of: Callable[..., Client], texts: Dataset
) -> None:
    row = {"id": "t1", "input": {"text": "question 1"}, "output": {"label": "new"}}
    page = preview(client_of("curator"), texts, json.dumps(row) + "\n", "rows.jsonl")
    assert page.context["shown"] == "changed"
    assert page.context["rows"][0]["changes"] == [{"path": "output.label", "old": "b", "new": "new"}]


def test_wizard__bad_rows__are_told_with_line_and_path_and_can_be_downloaded(
    client_of: Callable[..., Client], texts: Dataset
) -> None:
    client = client_of("curator")
    lines = [
        '{"id": "n1", "input": {"text": "fine"}, "output": {"label": "a"}}',
        '{"id": "n2", "input": {"text": 5}, "output": {"label": "a"}}',
        '{"id": "n3", "input": {"text": NaN}}',
    ]
    page = preview(client, texts, "\n".join(lines), "rows.jsonl")
    assert page.context["counts"] == {"new": 1, "changed": 0, "unchanged": 0, "refused": 2}
    first = page.context["rows"][0]
    assert (first["line"], first["errors"][0]["path"]) == (2, "$.input.text")
    body = page.content.decode()
    assert "found <span" in body
    batch = page.context["batch"]
    answer = client.get(address(texts, "import_refused", batch.pk))
    refused = [json.loads(line) for line in b"".join(answer).splitlines()]
    assert [one["line"] for one in refused] == [2, 3]
    client.post(address(texts, "import_preview", batch.pk), {"apply": ""})
    assert Example.objects.filter(identity__external_id="n1").exists()
    assert client.get(address(texts, "import_refused", batch.pk)).status_code == 200


def test_wizard__discard__writes_nothing_and_forgets_the_file(
    client_of: Callable[..., Client], texts: Dataset, uploads: Path
) -> None:
    client = client_of("curator")
    batch = preview(client, texts, CSV).context["batch"]
    client.post(address(texts, "import_preview", batch.pk), {"discard": ""})
    batch.refresh_from_db()
    assert (batch.state, Example.objects.count(), list(uploads.iterdir())) == ("discarded", 3, [])
    twice = client.post(address(texts, "import_preview", batch.pk), {"apply": ""}, follow=True)
    assert "was discarded already" in twice.content.decode()
    assert Example.objects.count() == 3


def test_wizard__columns_changed_by_hand__are_used(client_of: Callable[..., Client], texts: Dataset) -> None:
    page = preview(
        client_of("curator"),
        texts,
        CSV,
        **{"column-2": "-", "column-0": "metadata.text", "column-1": "input.text"},
    )
    assert page.context["counts"]["new"] == 2
    row = StagedRow.objects.order_by("line")[0]
    assert (row.input_data, row.expected_output, row.metadata) == (
        {"text": "card_arrival"},
        None,
        {"text": "Where is my card?"},
    )


def test_wizard__two_columns_to_one_field__is_refused(
    client_of: Callable[..., Client], texts: Dataset
) -> None:
    client = client_of("curator")
    place = upload(client, texts, CSV)["Location"]
    sent = {
        "type": "text_classification",
        "column-0": "input.text",
        "column-1": "input.text",
        "column-2": "-",
    }
    response = client.post(place, sent)
    assert "Two columns are mapped to input.text." in response.content.decode()
    assert [c["target"] for c in response.context["columns"]] == ["input.text", "input.text", "-"]
    assert not ImportBatch.objects.exists()


def test_wizard__xlsx__is_read_as_a_sheet(client_of: Callable[..., Client], texts: Dataset) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for cells in (["text", "label"], ["From a sheet", "sheet"], [None, "a"]):
        book.active.append(cells)
    data = io.BytesIO()
    book.save(data)
    page = preview(client_of("curator"), texts, data.getvalue(), "book.xlsx")
    assert page.context["counts"] == {"new": 1, "changed": 0, "unchanged": 0, "refused": 1}
    assert page.context["rows"][0]["line"] == 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.docx", b"x", "expected one of"),
        ("rows.parquet", b"not parquet", "is not Parquet"),
        ("rows.xlsx", b"not a book", "cannot be read as XLSX"),
        ("rows.json", b"{}", "expected an array"),
        ("rows.csv", b"\xff\xfe\x00", ""),
        ("rows.jsonl", b"", ""),
    ],
)
def test_upload__file_that_is_not_what_it_says__is_told_on_the_same_page(
    client_of: Callable[..., Client], texts: Dataset, uploads: Path, name: str, content: bytes, message: str
) -> None:
    response = upload(client_of("curator"), texts, content, name)
    body = response.content.decode()
    assert response.status_code in (200, 422)
    assert message in body
    assert "Upload and continue" in body
    assert not uploads.exists() or not list(uploads.iterdir())


def test_upload__of_another_session__is_not_known(client_of: Callable[..., Client], texts: Dataset) -> None:
    place = upload(client_of("curator"), texts, CSV)["Location"]
    assert client_of("administrator").get(place).status_code == 404


@pytest.mark.parametrize("role", ["viewer", "labeler", "reviewer"])
def test_wizard__without_the_right__is_refused(
    client_of: Callable[..., Client], texts: Dataset, role: str
) -> None:
    batch = preview(client_of("curator"), texts, CSV).context["batch"]
    client = client_of(role)
    assert client.get(address(texts)).status_code == 403
    assert upload(client, texts, CSV).status_code == 403
    assert client.post(address(texts, "import_preview", batch.pk), {"apply": ""}).status_code == 403
    assert client.get(address(texts, "import_refused", batch.pk)).status_code == 403
    assert Example.objects.count() == 3


def test_preview__of_another_dataset__is_not_found(client_of: Callable[..., Client], texts: Dataset) -> None:
    from datasets_app.services.curation.datasets import create_dataset

    batch = preview(client_of("curator"), texts, CSV).context["batch"]
    other = create_dataset(name="other", actor=None)
    assert client_of("curator").get(address(other, "import_preview", batch.pk)).status_code == 404
