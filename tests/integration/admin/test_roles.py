"""Every address of the console, walked by every role: allowed where its rights say so, refused where not, never an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import URLPattern, URLResolver

from datasets_app.domain.roles import ALLOWED, Action, Role
from datasets_app.models import AuditEvent, Dataset, Example, ExampleType
from datasets_app.services.access import may
from labeling_app.models import Webhook
from labeling_app.services.queues import ensure_default_queue
from tests.integration.admin.corpus_pages import chunks_of, make_query, make_source
from tests.integration.admin.retrieval_pages import make_model, make_run

# address (without admin/) → the right that a GET needs; None: everybody who may sign in
RIGHTS: dict[str, Action | None] = {
    "": None,
    "datasets_app/dataset/": Action.VIEW,
    "datasets_app/dataset/add/": Action.EDIT,
    "datasets_app/dataset/{dataset}/change/": Action.VIEW,
    "datasets_app/dataset/{dataset}/examples/": Action.VIEW,
    "datasets_app/dataset/{dataset}/import/": Action.IMPORT,
    "datasets_app/dataset/{dataset}/changes/": Action.VIEW,
    "datasets_app/dataset/{dataset}/log/": Action.VIEW,
    "datasets_app/dataset/{dataset}/branches/": Action.VIEW,
    "datasets_app/dataset/{dataset}/tags/": Action.VIEW,
    "datasets_app/example/?branch={branch}": Action.VIEW,
    "datasets_app/example/add/?branch={branch}": Action.EDIT,
    "datasets_app/example/{example}/change/": Action.VIEW,
    "datasets_app/exampletype/": Action.VIEW,
    "datasets_app/exampletype/add/": Action.MANAGE,
    "datasets_app/exampletype/{type}/change/": Action.VIEW,
    "datasets_app/importbatch/": Action.IMPORT,
    "datasets_app/jobrun/": Action.VIEW,
    "backup/": Action.BACKUP,
    "datasets_app/auditevent/": Action.VIEW,
    "datasets_app/auditevent/{event}/change/": Action.VIEW,
    "datasets_app/apitoken/": None,
    "auth/user/": Action.MANAGE,
    "auth/user/add/": Action.MANAGE,
    "auth/group/": Action.MANAGE,
    "datasets_app/corpus/": Action.VIEW,
    "datasets_app/corpus/add/": Action.EDIT,
    "datasets_app/corpus/{corpus}/change/": Action.VIEW,
    "datasets_app/corpus/{corpus}/history/": Action.VIEW,
    "datasets_app/analysis/": Action.VIEW,
    "datasets_app/analysis/add/": Action.EDIT,
    "datasets_app/analysis/{source}/change/": Action.VIEW,
    "datasets_app/analysis/{source}/chunks/": Action.VIEW,
    "datasets_app/analysis/{source}/findings/": Action.VIEW,
    "datasets_app/analysis/{source}/artifact/": Action.VIEW,
    "datasets_app/analysis/{source}/history/": Action.VIEW,
    "datasets_app/chunk/": Action.VIEW,
    "datasets_app/chunk/{chunk}/change/": Action.VIEW,
    "datasets_app/chunk/{chunk}/change/?edit=1": Action.EDIT,
    "datasets_app/chunk/{chunk}/history/": Action.VIEW,
    "datasets_app/testquery/": Action.VIEW,
    "datasets_app/testquery/add/": Action.EDIT,
    "datasets_app/testquery/find/": Action.VIEW,
    "datasets_app/testquery/expect/?chunk={chunk}": Action.EDIT,
    "datasets_app/testquery/{query}/change/": Action.VIEW,
    "datasets_app/testquery/{query}/history/": Action.VIEW,
    "corpus/search/": Action.VIEW,
    "datasets_app/retrievalrun/": Action.VIEW,
    "datasets_app/retrievalrun/add/": Action.EDIT,
    "datasets_app/retrievalrun/{run}/change/": Action.VIEW,
    "datasets_app/retrievalrun/{run}/queries/": Action.VIEW,
    "datasets_app/retrievalrun/{run}/download/": Action.VIEW,
    "datasets_app/retrievalrun/compare/?base={run}&other={other_run}": Action.VIEW,
    "datasets_app/embeddingmodel/": Action.VIEW,
    "datasets_app/embeddingmodel/add/": Action.MANAGE,
    "datasets_app/embeddingmodel/{model}/change/": Action.VIEW,
    "datasets_app/embeddingmodel/{model}/coverage/": Action.VIEW,
    "datasets_app/embeddingmodel/{model}/switch/": Action.MANAGE,
    "datasets_app/embeddingmodel/{model}/delete/": Action.MANAGE,
    "label/keys/": Action.LABEL,
    "label/signed-in/": None,
    "label/{queue}/": Action.LABEL,
    "label/{queue}/?type=validation": Action.REVIEW,
    "label/{queue}/form/": Action.LABEL,
    "label/webhooks/": Action.MANAGE,
    "label/webhooks/{webhook}/": Action.MANAGE,
    "label/review/": Action.REVIEW,
    "label/{queue}/agreement/": Action.REVIEW,
    "label/{queue}/agreement/figures/": Action.REVIEW,
    "label/{queue}/agreement/method/": Action.REVIEW,
    "label/{queue}/bulk/": Action.REVIEW,
    "label/{queue}/bulk/?text=a&all=1": Action.REVIEW,
    "label/{queue}/review/": Action.REVIEW,
    "label/{queue}/review/?view=list": Action.REVIEW,
    "label/{queue}/review/?view=decided": Action.REVIEW,
    "label/{queue}/files/": Action.REVIEW,
}
# what only leads elsewhere, whoever asks
LEADS_ELSEWHERE = {
    "datasets_app/analysis/{}/delete/",
    "datasets_app/chunk/add/",
    "datasets_app/chunk/{}/delete/",
    "datasets_app/testquery/{}/delete/",
    "datasets_app/retrievalrun/{}/delete/",
    "datasets_app/retrievalrun/{}/history/",
    "datasets_app/embeddingmodel/{}/history/",
}


def corpus_places() -> dict[str, Any]:
    source = make_source("json")
    query = make_query(source)
    runs = [make_run(source.corpus).pk for _ in range(2)]
    return {
        "corpus": source.corpus_id,
        "source": source.pk,
        "chunk": chunks_of(source)[0].pk,
        "query": query.pk,
        "run": runs[0],
        "other_run": runs[1],
        "model": make_model().pk,
    }


@pytest.mark.parametrize("role", [None, *Role])
def test_get__by_a_role__is_answered_as_its_rights_say(
    client_of: Callable[..., Client], texts: Dataset, role: Role | None
) -> None:
    client = client_of(role and role.value, name=f"u-{role}")
    places = {
        "dataset": texts.pk,
        "branch": texts.main.pk,
        "example": Example.objects.all()[0].pk,
        "type": ExampleType.objects.all()[0].pk,
        "event": AuditEvent.objects.filter(dataset=texts)[0].pk,
        **corpus_places(),
        "queue": ensure_default_queue(dataset=texts, actor=None).pk,
        "webhook": Webhook.objects.create(name="trainer", url="https://python.org/", events=[]).pk,
    }
    rights = ALLOWED[role] if role else frozenset()
    expected = {a: 200 if right is None or right in rights else 403 for a, right in RIGHTS.items()}
    found = {a: client.get(f"/admin/{a.format(**places)}").status_code for a in RIGHTS}
    assert found == expected


def test_get__signed_out__goes_to_the_sign_in_page(client: Client, texts: Dataset) -> None:
    for address in RIGHTS:
        places = dict.fromkeys(("example", "type", "event", "branch", "run", "other_run", "model"), 1)
        ids = dict.fromkeys(("dataset", "corpus", "source", "chunk", "query", "queue", "webhook"), texts.pk)
        response = client.get(f"/admin/{address.format(**places, **ids)}")
        assert (response.status_code, response["Location"].partition("?")[0]) == (302, "/admin/login/")


def test_rights__of_the_corpus__name_every_address() -> None:
    """An address that is added to these pages is walked by every role, or this fails."""
    models = tuple(
        f"datasets_app/{name}/"
        for name in ("analysis", "chunk", "testquery", "retrievalrun", "embeddingmodel")
    )
    there = {re.sub(r"<\w+:\w+>", "{}", name) for name in _named_addresses() if name.startswith(models)}
    walked = {re.sub(r"{\w+}", "{}", name).partition("?")[0] for name in RIGHTS if name.startswith(models)}
    assert there - {f"{model}{{}}/" for model in models} == walked | LEADS_ELSEWHERE


def test_get__with_ids_of_nothing__is_never_an_error(
    client_of: Callable[..., Client], texts: Dataset
) -> None:
    client = client_of("administrator")
    for pattern in _named_addresses():
        address = pattern.replace("<path:object_id>", "0").replace("<uuid:dataset_id>", str(texts.pk))
        address = address.replace("<uuid:object_id>", str(texts.pk))
        if "<" in address:
            continue
        response = client.get(f"/admin/{address}")
        assert response.status_code < 500, address
        nowhere = pattern.replace("<path:object_id>", "x").replace(
            "<uuid:dataset_id>", "0" * 8 + "-0000-4000-8000-" + "0" * 12
        )
        nowhere = nowhere.replace("<uuid:object_id>", str(texts.pk))
        if "<" not in nowhere:
            assert client.get(f"/admin/{nowhere}").status_code < 500, nowhere


def _named_addresses() -> Iterator[str]:
    for entry in admin.site.get_urls():
        if isinstance(entry, URLResolver):
            prefix = str(entry.pattern)
            if prefix.startswith(("datasets_app/", "auth/")):
                for inner in entry.url_patterns:
                    if isinstance(inner, URLPattern):
                        yield prefix + str(inner.pattern)


def test_member_of_one_dataset__has_rights_only_there(
    client_of: Callable[..., Client], person: Callable[..., Any], texts: Dataset
) -> None:
    from datasets_app.models import Membership
    from datasets_app.services.curation.datasets import create_dataset

    other = create_dataset(name="other", actor=None)
    mira = person(name="mira")
    Membership.objects.create(dataset=texts, user=mira, role="curator")
    Membership.objects.create(dataset=other, user=mira, role="viewer")
    assert may(mira, Action.EDIT, texts)
    client = client_of(name="mira")
    base = "/admin/datasets_app"
    assert client.get(f"{base}/dataset/{texts.pk}/import/").status_code == 200
    assert client.get(f"{base}/dataset/{other.pk}/import/").status_code == 403
    assert client.get(f"{base}/example/add/?branch={texts.main.pk}").status_code == 200
    assert client.get(f"{base}/example/add/?branch={other.main.pk}").status_code == 403
    assert client.get(f"{base}/dataset/add/").status_code == 403
    assert client.post(f"{base}/dataset/{other.pk}/change/", {"name": "mine"}).status_code == 403


def test_refusal__by_django_itself__is_a_page_with_a_way_home(
    client_of: Callable[..., Client], texts: Dataset
) -> None:
    refused = client_of("viewer").get("/admin/auth/user/")
    assert (refused.status_code, "Your role does not allow this" in refused.content.decode()) == (403, True)
    missing = client_of("viewer").get("/nowhere/")
    assert (missing.status_code, "There is nothing at this address" in missing.content.decode()) == (
        404,
        True,
    )
