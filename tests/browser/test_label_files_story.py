"""A curator brings the labels of another tool in, after a look at what is wrong with the file, and takes all labels out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.types import get_type
from labeling_app.models import Label
from labeling_app.services.queues import QueueOptions, create_queue
from tests.browser.conftest import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ASKED = ("Why was I charged twice?", "My card does not work abroad", "How do I close my account?")


def _file(folder: Path) -> Path:
    """An export of Label Studio in which two annotators labeled three texts, and a fourth that nobody here knows."""

    def annotation(email: str, label: str) -> dict[str, object]:
        result = [{"type": "choices", "from_name": "topic", "value": {"choices": [label]}}]
        return {
            "completed_by": {"email": email},
            "result": result,
            "created_at": "2026-03-01T10:00:00Z",
            "lead_time": 7.5,
        }

    tasks = [
        {
            "id": number,
            "data": {"text": text},
            "annotations": [annotation("first-annotator", label), annotation("second-annotator", other)],
            "predictions": [
                {
                    "model_version": "model 1",
                    "score": 0.8,
                    "result": [{"type": "choices", "from_name": "topic", "value": {"choices": [label]}}],
                }
            ],
        }
        for number, (text, label, other) in enumerate(
            [
                (ASKED[0], "charge", "charge"),
                (ASKED[1], "card", "travel"),
                (ASKED[2], "account", "account"),
                ("Is it open on Sunday?", "hours", "hours"),
            ],
            start=1,
        )
    ]
    path = folder / "label-studio-export.json"
    path.write_text(json.dumps(tasks))
    return path


@pytest.mark.parametrize(("name", "dark"), [("files-light", False), ("files-dark", True)])
def test_files__from_another_tool_and_back__with_a_look_first(
    visitor: Callable[..., Visitor], person: Callable[..., User], tmp_path: Path, name: str, dark: bool
) -> None:
    person(f"curator-{name}", "curator")
    dataset = create_dataset(
        name=f"questions {name}", actor=None, default_type=get_type("text_classification")
    )
    bulk_upsert(
        branch=dataset.main,
        documents=[{"id": f"q{n}", "input": {"text": t}} for n, t in enumerate(ASKED, 1)],
        actor=None,
    )
    queue = create_queue(dataset=dataset, name="Topics", actor=None, options=QueueOptions(overlap=2))
    one = visitor(name, dark=dark)
    page = one.page
    one.sign_in(f"curator-{name}")
    one.go(f"/admin/label/{queue.pk}/files/")
    one.shot("empty", whole=True)
    assert one.overflow() == 0

    page.locator("#lb-file").set_input_files(_file(tmp_path))
    one.shot("chosen")
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_text("task 4: no example of the queue fits the task")).to_be_visible()
    expect(page.get_by_role("button", name="Bring in the rest, leave out 1 row")).to_be_visible()
    one.shot("look", whole=True)

    page.get_by_label("Tasks that no example fits become new examples, pending").check()
    page.get_by_role("button", name="Read it this way").click()
    page.get_by_role("button", name="Bring in 8 labels").click()
    expect(page.get_by_text("8 labels added, 1 example added, 4 suggestions taken over")).to_be_visible()
    one.shot("brought-in", whole=True)
    assert Label.objects.filter(queue=queue).count() == 8

    with page.expect_download() as download:
        page.get_by_role("button", name="Label Studio .json").click()
    assert download.value.suggested_filename == f"questions-{name}-Topics-label-studio.json"
    written = json.loads(Path(download.value.path()).read_text())
    assert [len(task["annotations"]) for task in written] == [2, 2, 2, 2]
    page.set_viewport_size({"width": 768, "height": 1024})
    one.go(f"/admin/label/{queue.pk}/files/")
    one.shot("tablet", whole=True)
    assert one.overflow() == 0
