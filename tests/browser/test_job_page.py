"""A job is started from its list and followed on its page, which moves by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from datasets_app.models import JobRun
from datasets_app.services.jobs import run_job
from tests.browser.conftest import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_job_page__while_a_worker_does_it__shows_how_far_it_is(
    visitor: Callable[..., Visitor], person: Callable[..., User]
) -> None:
    person("owner", "superuser")
    one = visitor("job")
    page = one.page
    one.sign_in("owner")
    one.go("/admin/datasets_app/jobrun/")
    page.get_by_role("button", name="Verify everything now").click()
    expect(page.get_by_text("Waits for a worker.")).to_be_visible()
    one.shot("queued")
    job = JobRun.objects.get()

    JobRun.objects.filter(pk=job.pk).update(state="running", done=40, total=100, message="Reading blobs")
    expect(page.get_by_text("Reading blobs")).to_be_visible()
    expect(page.locator("progress")).to_have_attribute("value", "40")
    one.shot("running")

    run_job(job_id=job.pk)
    expect(page.get_by_text("Ended")).to_be_visible()
    one.shot("done")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.wait_for_timeout(1500)
    assert requests == []

    JobRun.objects.filter(pk=job.pk).update(
        state="failed", message="The data are not as they were written:\nError: guard missing: x", result={}
    )
    page.reload()
    one.shot("failed")
