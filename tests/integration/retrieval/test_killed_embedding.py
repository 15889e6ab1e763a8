"""A run that is killed at any moment loses at most the batch it was at; the next one goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest
from django.db import connection

from datasets_app.models import Analysis, Chunk, Corpus, Embedding, EmbeddingModel
from datasets_app.services.retrieval.embedders import embedder_for
from datasets_app.services.retrieval.embedding import embed_missing
from datasets_app.services.retrieval.embedding_models import coverage
from tests.conftest import ROOT
from tests.embedding_server import Reply, Request, serving

pytestmark = [pytest.mark.fault, pytest.mark.slow]

_RUN = """
import os, django
from django.conf import settings
settings.DATABASES['default']['NAME'] = os.environ['TEST_DATABASE']
django.setup()
from datasets_app.services.retrieval import embedding
from datasets_app.services.retrieval.embedding_models import get_model
embedding.BATCH_TEXTS = 2
embedding.embed_missing(model=get_model('hashes'), actor=None)
"""


def test_embed_missing__killed_at_the_third_batch__two_batches_stay_and_the_next_run_goes_on(
    committed_db: str,
) -> None:
    corpus = Corpus.objects.create(name="default")
    url = "https://docs.python.org/3/"
    analysis = Analysis.objects.create(
        corpus=corpus, url=url, canonical_url=url, content_type="text", status="completed"
    )
    for place in range(7):
        Chunk.objects.create(analysis=analysis, content=f"text {place}", chunk_index=place)
    with serving() as server:
        model = EmbeddingModel.objects.create(
            name="hashes", provider="openai", options=server.options(), dimension=8
        )
        at_the_third = threading.Event()

        def hang(request: Request) -> Reply:
            at_the_third.set()
            return Reply(hang=True)

        server.replies += [server.good, server.good, hang]
        connection.close()
        killed = subprocess.Popen(
            [sys.executable, "-c", _RUN],
            cwd=ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "goldenproject.settings.test",
                "TEST_DATABASE": committed_db,
            },
        )
        try:
            assert at_the_third.wait(60)
        finally:
            os.kill(killed.pid, signal.SIGKILL)
            killed.wait()
        assert Embedding.objects.filter(model=model).count() == 4
        server.requests.clear()
        report = embed_missing(
            model=model, actor=None, wait=True
        )  # its lock goes when its session is noticed gone
        assert (report.embedded, report.present) == (3, 4)
        assert len([text for request in server.requests for text in request.texts]) == 3
        assert coverage(model).missing == 0
        embedder_for(model).close()
