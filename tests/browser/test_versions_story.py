"""Somebody looks at an old version, takes it away, and throws one of two edits away."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets_app.models import Example, ExampleType
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import update_example
from datasets_app.services.curation.importing import ImportOptions, import_file
from datasets_app.services.versioning.commits import commit
from datasets_app.services.versioning.refs import create_tag
from tests.browser.conftest import Visitor, make_person

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_old_version__looked_at_downloaded_and_an_edit_discarded(
    visitor: Callable[..., Visitor], dark: bool, tmp_path: Path
) -> None:
    shade = "dark" if dark else "light"
    mara = make_person(f"mara-{shade}", "curator")
    text = ExampleType.objects.get(name="text_classification")
    dataset = create_dataset(name=f"cards-{shade}", actor=mara, default_type=text)
    lines = b"".join(
        b'{"id": "q%d", "input": {"text": "Where is card number %d?"}, "output": {"label": "label_%d"}}\n'
        % (n, n, n % 7)
        for n in range(120)
    )
    main = dataset.main
    import_file(branch=main, source=io.BytesIO(lines), actor=mara, options=ImportOptions(format="jsonl"))
    commit(branch=main, message="Import the questions", actor=mara)
    create_tag(dataset=dataset, name="v1.0", ref="main", message="First version", actor=mara)
    rows = list(Example.objects.filter(branch=main).order_by("ordinal")[:3])
    update_example(example=rows[0], actor=mara, expected_output={"label": "lost_card"})
    commit(branch=main, message="Relabel one", actor=mara)
    for row in rows[1:]:
        update_example(example=row, actor=mara, expected_output={"label": "stolen_card"})

    one = visitor(f"versions-{shade}", dark=dark)
    page = one.page
    one.sign_in(f"mara-{shade}")
    one.go(f"/admin/datasets_app/dataset/{dataset.pk}/tags/")
    one.shot("tags")
    assert one.overflow() <= 0
    page.get_by_title("Examples of v1.0").click()
    page.get_by_role("heading", name="120 examples at v1.0").wait_for()
    one.shot("version")
    assert one.overflow() <= 0
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download").click()
    assert waiting.value.suggested_filename == f"cards-{shade}-v1.0.jsonl"
    target = tmp_path / "version.jsonl"
    waiting.value.save_as(target)
    assert target.read_bytes().count(b"\n") == 120

    page.get_by_role("link", name="q0", exact=True).click()
    page.get_by_text("label_0", exact=True).wait_for()
    one.shot("example")
    assert one.overflow() <= 0
    page.get_by_role("link", name="History").last.click()
    page.get_by_text("What happened to it").wait_for()

    one.tab("History")
    one.shot("log")
    page.get_by_role("link", name="Relabel one").click()
    one.shot("commit")

    one.tab("Changes")
    button = page.get_by_role("button", name="Discard selected…")
    assert button.is_disabled()
    page.get_by_label("Select q1", exact=True).check()
    one.shot("changes")
    button.click()
    page.get_by_role("heading", name="Discard 1 uncommitted change on main?").wait_for()
    one.shot("discard")
    assert one.overflow() <= 0
    page.get_by_role("button", name="Discard 1 change").click()
    page.get_by_text("1 uncommitted change on main discarded.").wait_for()
    one.shot("discarded")
    labels = Example.objects.filter(branch=main).order_by("ordinal").values_list("expected_output", flat=True)
    assert [label["label"] for label in labels[:3]] == ["lost_card", "label_1", "stolen_card"]
