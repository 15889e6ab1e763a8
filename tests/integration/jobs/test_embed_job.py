"""The job that follows each change of a corpus: words indexed, vectors made, once for all changes of a transaction."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from datasets_app.models import Analysis, ChangedChunk, Chunk, Corpus, Embedding, EmbeddingModel, JobRun
from datasets_app.services.corpus.changing import corpus_changed
from datasets_app.services.jobs import run_job, start_job
from datasets_app.services.retrieval.embedding_models import coverage, get_model
from goldenproject.kit.errors import Forbidden


@pytest.fixture
def corpus(committed_db: str) -> Corpus:
    """A completed analysis with two chunks."""
    corpus = Corpus.objects.create(name="default")
    url = "https://docs.python.org/3/"
    analysis = Analysis.objects.create(
        corpus=corpus, url=url, canonical_url=url, content_type="text", status="completed"
    )
    for place, text in enumerate(["sorting lists", "reading files"]):
        Chunk.objects.create(analysis=analysis, content=text, chunk_index=place)
    return corpus


def changed(corpus: Corpus, times: int = 1) -> None:
    with transaction.atomic():
        for _ in range(times):
            corpus_changed.send(sender=Corpus, corpus=corpus, actor=None)


def jobs() -> list[JobRun]:
    return list(JobRun.objects.filter(kind="embed").order_by("created_at"))


def test_corpus_changed__many_times_in_a_transaction__starts_one_job_that_does_it_all(corpus: Corpus) -> None:
    changed(corpus, times=3)
    changed(corpus)
    (job,) = jobs()
    assert (job.state, job.started_by, job.dataset) == ("queued", None, None)
    run_job(job_id=job.pk)
    job.refresh_from_db()
    assert (job.state, job.message) == ("done", "")
    kept = {name: job.result[name] for name in ("corpora", "model", "embedded", "present", "warnings")}
    assert kept == {"corpora": 1, "model": "minilm", "embedded": 2, "present": 0, "warnings": []}
    assert coverage(get_model()).missing == 0 and not ChangedChunk.objects.exists()


def test_corpus_changed__while_a_job_runs__one_more_follows(corpus: Corpus) -> None:
    changed(corpus)
    (first,) = jobs()
    JobRun.objects.filter(pk=first.pk).update(state=JobRun.State.RUNNING)
    changed(corpus)
    changed(corpus)
    assert [(job.state, job.arguments) for job in jobs()] == [
        ("running", {}),
        ("queued", {"after": str(first.pk)}),
    ]


def test_corpus_changed__rolled_back_or_switched_off__starts_nothing(corpus: Corpus, settings: Any) -> None:
    with transaction.atomic():
        corpus_changed.send(sender=Corpus, corpus=corpus, actor=None)
        transaction.set_rollback(True)
    settings.GOLDEN_EMBED_ON_CHANGE = False
    changed(corpus)
    assert jobs() == []


def test_embed_job__no_current_model__indexes_words_only(corpus: Corpus) -> None:
    EmbeddingModel.objects.update(is_current=False)
    changed(corpus)
    (job,) = jobs()
    run_job(job_id=job.pk)
    job.refresh_from_db()
    assert (job.state, job.result) == ("done", {"corpora": 1})
    assert not Embedding.objects.exists()


def test_embed_job__of_a_named_model__is_for_curators(corpus: Corpus, curator: User, viewer: User) -> None:
    with pytest.raises(Forbidden):
        start_job(kind="embed", dataset=None, arguments={"model": "minilm"}, actor=viewer)
    gone = start_job(kind="embed", dataset=None, arguments={"model": "gone"}, actor=curator)
    run_job(job_id=gone.pk)
    gone.refresh_from_db()
    assert (gone.state, gone.result["error"]["code"]) == ("failed", "unknown_embedding_model")
