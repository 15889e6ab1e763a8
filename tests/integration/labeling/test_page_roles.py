"""Every address of labeling in the console, walked by every role."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from datasets_app.domain.roles import ALLOWED, Action, Role
from labeling_app.models import LabelHistory, LabelingQueue, Webhook
from labeling_app.urls import urlpatterns
from tests.integration.labeling.labeling_data import answer
from tests.integration.labeling.queue_pages import queue

__all__ = ["queue"]
pytestmark = pytest.mark.django_db

# address below /admin/ → the right that a GET needs
RIGHTS: dict[str, Action] = {
    "label/": Action.LABEL,
    "label/queues/": Action.REVIEW,
    "label/new/": Action.EDIT,
    "label/count/?dataset={dataset}&branch={branch}&example_type=text_classification": Action.EDIT,
    "label/preview/": Action.EDIT,
    "label/keys/": Action.LABEL,
    "label/webhooks/": Action.MANAGE,
    "label/webhooks/{webhook}/": Action.MANAGE,
    "label/review/": Action.REVIEW,
    "label/{queue}/": Action.LABEL,
    "label/{queue}/form/": Action.LABEL,
    "label/{queue}/overview/": Action.REVIEW,
    "label/{queue}/review/": Action.REVIEW,
    "label/{queue}/bulk/": Action.REVIEW,
    "label/{queue}/agreement/": Action.REVIEW,
    "label/{queue}/agreement/figures/": Action.REVIEW,
    "label/{queue}/agreement/method/": Action.REVIEW,
    "label/{queue}/files/": Action.REVIEW,
    "label/{queue}/settings/": Action.EDIT,
    "label/{queue}/labelers/": Action.LABEL,
    "label/{queue}/gold/": Action.REVIEW,
    "labeling_app/labelhistory/": Action.REVIEW,
    "labeling_app/labelhistory/{history}/change/": Action.REVIEW,
    "labeling_app/labelingsession/": Action.REVIEW,
    "datasets_app/dataset/{dataset}/labeling/": Action.REVIEW,
}
# a page that tells a tab to close itself, for whoever is signed in
FOR_ALL = {"label/signed-in/"}


def places_of(queue: LabelingQueue) -> dict[str, Any]:
    return {
        "queue": queue.pk,
        "dataset": queue.dataset_id,
        "branch": queue.branch_id,
        "history": LabelHistory.objects.all()[0].pk,
        "webhook": Webhook.objects.get_or_create(name="w", url="https://hooks.example.org/", events=[])[0].pk,
    }


@pytest.mark.parametrize("role", [None, *Role])
def test_get__by_a_role__is_answered_as_its_rights_say(
    client_of: Callable[..., Client], queue: LabelingQueue, labelers: list[Any], role: Role | None
) -> None:
    answer(queue, labelers[0])
    client = client_of(role and role.value)
    rights = ALLOWED[role] if role else frozenset()
    expected = {address: 200 if right in rights else 403 for address, right in RIGHTS.items()}
    places = places_of(queue)
    found = {address: client.get(f"/admin/{address.format(**places)}").status_code for address in RIGHTS}
    assert found == expected


def test_rights__of_the_pages__name_every_address() -> None:
    """An address that is added to /admin/label/ is walked by every role, or this fails."""
    there = {re.sub(r"<\w+:\w+>", "{}", str(one.pattern)).removeprefix("admin/") for one in urlpatterns}
    walked = {re.sub(r"{\w+}", "{}", name).partition("?")[0] for name in RIGHTS}
    assert there <= walked | FOR_ALL
