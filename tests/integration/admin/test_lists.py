"""The lists that only grow: pages by key, counts without a scan, and who sees what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.test import Client

from datasets_app.models import AuditEvent, Dataset, JobRun, Membership
from datasets_app.services.access import record
from datasets_app.services.curation.datasets import create_dataset

AUDIT = "/admin/datasets_app/auditevent/"


def summaries(response: Any) -> list[str]:
    return [event.summary for event in response.context["cl"].result_list]


def test_audit__more_than_a_page__pages_forth_and_back_by_key(
    client_of: Callable[..., Client], texts: Dataset, django_assert_max_num_queries: Any
) -> None:
    for number in range(120):
        record(None, "test", texts, f"event {number}")
    client = client_of("administrator")
    first = client.get(f"{AUDIT}?q=test")
    assert summaries(first) == [f"event {n}" for n in range(119, 69, -1)]
    assert first.context["cl"].newer_url == ""
    second = client.get(f"{AUDIT}{first.context['cl'].older_url}")
    third = client.get(f"{AUDIT}{second.context['cl'].older_url}")
    assert summaries(third) == [f"event {n}" for n in range(19, -1, -1)]
    assert third.context["cl"].older_url == ""
    with django_assert_max_num_queries(20):
        back = client.get(f"{AUDIT}{third.context['cl'].newer_url}")
    assert summaries(back) == summaries(second)
    assert first.context["cl"].result_count == 120
    assert client.get(f"{AUDIT}?after=nonsense").status_code == 200


def test_audit__unfiltered__counts_without_a_scan(
    client_of: Callable[..., Client], texts: Dataset, django_assert_max_num_queries: Any
) -> None:
    for number in range(60):
        record(None, "test", texts, f"event {number}")
    client = client_of("administrator")
    with django_assert_max_num_queries(20) as queries:
        client.get(AUDIT)
    assert not [
        q["sql"] for q in queries.captured_queries if "COUNT(*)" in q["sql"] and "auditevent" in q["sql"]
    ]


def test_audit__member_of_one_dataset__sees_only_its_events(
    client_of: Callable[..., Client], person: Callable[..., Any], texts: Dataset
) -> None:
    other = create_dataset(name="other", actor=None)
    Membership.objects.create(dataset=other, user=person(name="mira"), role="viewer")
    events = client_of(name="mira").get(AUDIT).context["cl"].result_list
    assert {event.dataset for event in events} == {other}
    strange = AuditEvent.objects.filter(dataset=texts)[0]
    assert client_of(name="mira").get(f"{AUDIT}{strange.pk}/change/").status_code == 302


def test_audit__is_read_only(client_of: Callable[..., Client], texts: Dataset) -> None:
    client, event = client_of("administrator"), AuditEvent.objects.all()[0]
    page = client.get(f"{AUDIT}{event.pk}/change/")
    assert page.status_code == 200
    assert 'name="_save"' not in page.content.decode()
    assert client.post(f"{AUDIT}{event.pk}/change/", {"action": "x"}).status_code == 403
    assert client.post(f"{AUDIT}{event.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.get(f"{AUDIT}add/").status_code == 403


def test_jobs__show_state_and_progress(client_of: Callable[..., Client], texts: Dataset) -> None:
    JobRun.objects.create(kind="commit", dataset=texts, state="running", done=1500, total=3000)
    body = client_of("viewer").get("/admin/datasets_app/jobrun/").content.decode()
    assert "1,500 of 3,000" in body
    assert "running" in body
