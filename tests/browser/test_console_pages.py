"""Every main page of the console, light and dark: nothing overflows, nothing is complained about, pictures to look at."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User

from datasets_app.models import Branch, Dataset, Example, ExampleType, JobRun, Merge
from datasets_app.services.access.tokens import create_token
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import update_example
from datasets_app.services.curation.importing import ImportOptions, import_file
from datasets_app.services.curation.staging import stage_file
from datasets_app.services.jobs import start_job
from datasets_app.services.versioning.commits import commit
from datasets_app.services.versioning.merging import merge
from datasets_app.services.versioning.refs import create_branch, create_tag
from datasets_app.services.versioning.worktrees import open_worktree
from tests.browser.conftest import Visitor, make_person

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def lines(count: int) -> io.BytesIO:
    rows = (
        b'{"id": "q%d", "input": {"text": "Where is question number %d?"}, "output": {"label": "label_%d"}}\n'
        % (n, n, n % 7)
        for n in range(count)
    )
    return io.BytesIO(b"".join(rows))


def label(branch: Branch, ordinal: int, value: str, actor: User) -> None:
    example = Example.objects.filter(branch=branch).order_by("ordinal")[ordinal]
    update_example(example=example, actor=actor, expected_output={"label": value})


@pytest.fixture(scope="module")
def story(live_site: str) -> Dataset:
    """A dataset with everything that a page may show: commits, tag, branches, an open merge, imports, jobs."""
    owner = make_person("owner", "superuser")
    make_person("corpus-curator", "curator")
    text = ExampleType.objects.get(name="text_classification")
    dataset = create_dataset(
        name="support-questions", description="Questions to the support.", actor=owner, default_type=text
    )
    main = dataset.main
    import_file(branch=main, source=lines(120), actor=owner, options=ImportOptions(format="jsonl"))
    commit(branch=main, message="Import the questions", actor=owner)
    create_tag(dataset=dataset, name="v1.0", ref="main", message="First version", actor=owner)
    side = create_branch(dataset=dataset, name="relabel", start="main", actor=owner)
    side = open_worktree(branch=side, actor=owner)
    label(side, 0, "theirs", owner)
    commit(branch=side, message="Relabel the first", actor=owner)
    label(main, 0, "ours", owner)
    label(main, 1, "ours too", owner)
    commit(branch=main, message="Relabel two", actor=owner)
    merge(branch=main, source="relabel", actor=owner)
    label(main, 2, "not committed", owner)
    stage_file(
        branch=main,
        file=io.BytesIO(b'{"input": {"text": ""}, "output": {}}\nnonsense\n' + lines(3).getvalue()),
        file_name="bad.jsonl",
        options=ImportOptions(),
        actor=owner,
    )
    create_token(user=owner, name="training", scopes=["read"], actor=owner)
    start_job(kind="verify", dataset=None, actor=owner)
    running = start_job(kind="import_apply", dataset=dataset, arguments={"batch": "x"}, actor=owner)
    JobRun.objects.filter(pk=running.pk).update(
        state="running", done=31_000, total=90_000, message="Importing questions.csv"
    )
    return dataset


def pages(dataset: Dataset) -> dict[str, str]:
    here = f"/admin/datasets_app/dataset/{dataset.pk}"
    example = Example.objects.filter(branch=dataset.main).order_by("ordinal")[0]
    text = ExampleType.objects.get(name="text_classification")
    scored = ExampleType.objects.get(name="lead_score")
    merging = Merge.objects.get()
    batch = dataset.main.imports.get()
    job = JobRun.objects.get(kind="import_apply")
    return {
        "home": "/admin/",
        "datasets": "/admin/datasets_app/dataset/",
        "examples": f"{here}/examples/",
        "filtered": f"{here}/examples/?q=question&dirty=1",
        "example": f"/admin/datasets_app/example/{example.pk}/change/",
        "new-example": f"/admin/datasets_app/example/add/?branch={dataset.main.pk}&type=lead_score",
        "example-changes": f"/admin/datasets_app/example/{example.pk}/history/",
        "changes": f"{here}/changes/",
        "history": f"{here}/log/",
        "commit": f"{here}/commit/{dataset.main.commit.commit_hash}/",
        "compare": f"{here}/compare/?a=v1.0&b=HEAD",
        "branches": f"{here}/branches/",
        "tags": f"{here}/tags/",
        "merge": f"{here}/merge/",
        "conflicts": f"{here}/merge/{merging.pk}/",
        "checkout": f"{here}/checkout/?ref=v1.0",
        "import": f"{here}/import/",
        "preview": f"{here}/import/{batch.pk}/",
        "export": f"{here}/export/",
        "settings": f"{here}/change/",
        "example-of-all": "/admin/datasets_app/example/",
        "types": "/admin/datasets_app/exampletype/",
        "type": f"/admin/datasets_app/exampletype/{text.pk}/change/",
        "type-scored": f"/admin/datasets_app/exampletype/{scored.pk}/change/",
        "imports": "/admin/datasets_app/importbatch/",
        "jobs": "/admin/datasets_app/jobrun/",
        "job": f"/admin/datasets_app/jobrun/{job.pk}/change/",
        "audit": "/admin/datasets_app/auditevent/",
        "tokens": "/admin/datasets_app/apitoken/",
        "people": "/admin/auth/user/",
        "new-person": "/admin/auth/user/add/",
        "groups": "/admin/auth/group/",
    }


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_console__each_page__fits_the_window(
    visitor: Callable[..., Visitor], story: Dataset, dark: bool
) -> None:
    one = visitor("pages-dark" if dark else "pages-light", dark=dark)
    one.sign_in("owner")
    one.walk(pages(story))


def test_console__small_screen__the_main_pages_can_be_used(
    visitor: Callable[..., Visitor], story: Dataset
) -> None:
    one = visitor("pages-small")
    one.sign_in("owner")
    one.page.set_viewport_size({"width": 390, "height": 844})
    known = pages(story)
    too_wide = {}
    for name in ("home", "examples", "example", "changes", "history", "conflicts", "preview"):
        one.go(known[name])
        one.shot(name)
        if one.overflow() > 0:
            too_wide[name] = one.overflow()
    assert too_wide == {}
