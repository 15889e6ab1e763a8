"""What tests of restores share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.management import call_command

from datasets_app.services.curation.manager import DatasetManager
from exports_app.services.evaluations import CorpusEvaluation, evaluate_all
from tests.integration.asked_corpus import make_asked_corpus
from tests.integration.backup_data import documents
from tests.template_database import maintenance


@pytest.fixture
def evaluated(committed_db: str) -> CorpusEvaluation:
    """A database with a dataset and a corpus whose queries were asked; returns what they found."""
    manager = DatasetManager.create("words", type="text_classification")
    manager.add_examples(documents(5))
    manager.commit("first")
    make_asked_corpus()
    call_command("golden_embed", "--json")
    (found,) = evaluate_all(actor=None)
    assert (found.passed, found.queries, found.embedding_model) == (4, 4, "minilm")
    return found


@pytest.fixture
def drills_one_by_one() -> Iterator[None]:
    """Hold back the drills of the other processes of the tests: all see the throw-away databases of the one server."""
    with maintenance() as raw:
        raw.execute("SELECT pg_advisory_lock(hashtextextended('drills of the tests', 0))")
        yield
