"""A file of 45,211 rows goes through the wizard as a type made for it; the times are printed, not judged."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from datasets_app.models import Example, ExampleType
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.types import save_type
from tests.browser.conftest import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NUMBERS = ("age", "balance", "day", "duration", "campaign", "pdays", "previous")
WORDS = ("job", "marital", "education", "default", "housing", "loan", "contact", "month", "poutcome")


def test_wizard__bank_full__previews_and_imports(
    visitor: Callable[..., Visitor],
    person: Callable[..., User],
    shared_data: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    owner = person("owner", "superuser")
    properties = {name: {"type": "integer"} for name in NUMBERS} | {
        name: {"type": "string"} for name in WORDS
    }
    deposit = ExampleType(
        name="deposit",
        title="Term deposit",
        input_schema={"type": "object", "properties": properties, "required": [*NUMBERS, *WORDS]},
        output_schema={"type": "object", "properties": {"y": {"enum": ["yes", "no"]}}, "required": ["y"]},
        class_field="y",
    )
    save_type(example_type=deposit, actor=owner)
    dataset = create_dataset(name="bank", actor=owner, default_type=deposit)
    one = visitor("big-import")
    page = one.page
    page.set_default_timeout(120_000)
    one.sign_in("owner")
    one.go(f"/admin/datasets_app/dataset/{dataset.pk}/import/")
    page.locator("input[type=file]").set_input_files(
        shared_data / "tabular" / "bank_marketing" / "bank-full.csv"
    )
    page.get_by_role("button", name="Upload and continue").click()
    expect(page.get_by_role("columnheader", name="Becomes")).to_be_visible()
    one.shot("columns")
    began = time.perf_counter()
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("button", name="Import 45,211 rows")).to_be_visible(timeout=120_000)
    preview_s = time.perf_counter() - began
    one.shot("preview")
    began = time.perf_counter()
    page.get_by_role("button", name="Import 45,211 rows").click()
    expect(page.get_by_role("link", name="See the changes and commit")).to_be_visible(timeout=120_000)
    import_s = time.perf_counter() - began
    one.shot("done")
    with capsys.disabled():
        print(f"\n45,211 rows in the wizard: preview {preview_s:.1f} s, import {import_s:.1f} s")
    assert Example.objects.count() == 45_211
    first = Example.objects.order_by("ordinal")[0]
    assert (first.input_data["age"], first.input_data["job"], first.expected_output) == (
        58,
        "management",
        {"y": "no"},
    )
    one.tab("Examples")
    one.shot("examples")
