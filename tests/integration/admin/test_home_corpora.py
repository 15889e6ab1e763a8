"""The corpora on the first page."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client

from datasets_app.admin.corpus_cards import corpus_cards
from datasets_app.models import Corpus
from datasets_app.services.corpus.analyses import save_analysis
from datasets_app.services.corpus.corpora import create_corpus
from datasets_app.services.corpus.drafts import AnalysisDraft, ChunkDraft, QueryDraft
from datasets_app.services.corpus.queries import save_query

pytestmark = pytest.mark.django_db


def filled_corpus(name: str) -> None:
    corpus = create_corpus(name=name, actor=None)
    url = f"https://docs.python.org/3/library/{corpus.pk}"
    for status in ("completed", "failed"):
        chunks = [ChunkDraft("one"), ChunkDraft("two")]
        save_analysis(
            corpus=corpus,
            draft=AnalysisDraft(f"{url}-{status}.html", "page", status, chunks=chunks),
            actor=None,
        )
    save_query(corpus=corpus, draft=QueryDraft("which?"), actor=None)


def test_corpus_cards__count_what_is_golden__in_four_statements(django_assert_num_queries: Any) -> None:
    for name in ("a", "b", "c"):
        filled_corpus(name)
    with django_assert_num_queries(4):
        cards = corpus_cards()
    assert [(card.corpus.name, card.sources, card.chunks, card.queries, card.passed) for card in cards] == [
        (name, 1, 2, 1, None) for name in ("a", "b", "c")
    ]


@pytest.mark.parametrize(("role", "shown"), [("viewer", True), ("labeler", False)])
def test_home__with_a_role__shows_corpora_to_who_may_read_everywhere(role: str, shown: bool) -> None:
    filled_corpus("<b>docs</b>")
    user = get_user_model().objects.create_user("somebody", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(user)
    page = client.get("/admin/").content.decode()
    assert ("&lt;b&gt;docs&lt;/b&gt;" in page) == shown
    assert "<b>docs</b>" not in page


def test_corpus__made_and_renamed_in_the_console__is_audited_and_a_taken_name_is_told() -> None:
    user = get_user_model().objects.create_user("curator", is_staff=True)
    user.groups.add(Group.objects.get(name="curator"))
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(user)
    made = client.post("/admin/datasets_app/corpus/add/", {"name": "manuals", "description": "of machines"})
    assert made.status_code == 302, made.content
    corpus = Corpus.objects.get(name="manuals")
    address = f"/admin/datasets_app/corpus/{corpus.pk}/change/"
    assert client.post(address, {"name": "handbooks", "description": ""}).status_code == 302
    assert [(row.name, row.history_user_id) for row in corpus.history.order_by("history_id")] == [
        ("manuals", user.pk),
        ("handbooks", user.pk),
    ]
    taken = client.post("/admin/datasets_app/corpus/add/", {"name": "handbooks", "description": ""})
    assert taken.status_code == 200
    assert "already exists" in taken.content.decode()
    assert Corpus.objects.count() == 1
