"""The demo corpus: its size, its honesty, and that search text and questions belong together."""

from __future__ import annotations

import pytest
from django.db.models import Count

from datasets_app.models import Analysis, Artifact, Chunk, Finding, TestQuery
from datasets_app.services.corpus.corpora import default_corpus, get_corpus
from datasets_app.services.demo_corpus import DEMO_CORPUS, load_demo_corpus
from goldenproject import runner
from goldenproject.kit.errors import Conflict


def test_load_demo_corpus__first_time__is_about_the_reference_size(db: None) -> None:
    corpus = load_demo_corpus(actor=None)
    assert 85 <= corpus.analyses.count() <= 98
    assert 380 <= Chunk.objects.count() <= 415
    assert 170 <= TestQuery.objects.count() <= 203
    assert Artifact.objects.count() == corpus.analyses.count()
    assert not Analysis.objects.exclude(url_violation="").exists()
    json_page = corpus.analyses.get(url="https://docs.python.org/3/library/json.html")
    assert "json/dumps" in json_page.chunks.values_list("section_path", flat=True)
    assert {0.0 <= value <= 1.0 for value in Finding.objects.values_list("confidence", flat=True)} == {True}
    counted = TestQuery.objects.annotate(n=Count("expectations"))
    assert set(counted.values_list("n", flat=True)) == {1}
    assert set(TestQuery.objects.values_list("difficulty", flat=True)) == {"easy", "medium", "hard"}
    with pytest.raises(Conflict):
        load_demo_corpus(actor=None)
    assert get_corpus().name == DEMO_CORPUS
    assert default_corpus().name == "default"
    assert get_corpus().name == "default"


def test_first_start__demo_wanted__loads_dataset_and_corpus_once(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr("datasets_app.services.demo.load_demo", lambda actor: loaded.append("dataset"))
    monkeypatch.setattr(
        "datasets_app.services.demo_corpus.load_demo_corpus", lambda actor: loaded.append("corpus")
    )
    told: list[str] = []
    runner._load_demo(None, told.append)
    assert (loaded, told) == (
        ["dataset", "corpus"],
        ["Loading the demo dataset …", "Loading the demo corpus …"],
    )
    default_corpus()
    runner._load_demo(None, told.append)
    assert loaded == ["dataset", "corpus", "dataset"]
