"""A download whose listener goes away: the transaction ends, and that it was begun stays recorded."""

from __future__ import annotations

import pytest
from django.db import connection

from datasets_app.models import AuditEvent
from datasets_app.services.curation.manager import DatasetManager
from exports_app.services import exporting


def test_stream_version__closed_before_its_end__ends_the_transaction(
    committed_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_CHUNK_ROWS", 10)
    manager = DatasetManager.create("cards", type="text_classification")
    manager.add_examples(
        [{"id": f"c{n}", "input": {"text": f"Question {n}"}, "output": {"label": "a"}} for n in range(40)]
    )
    made = manager.commit("Forty")
    pieces = exporting.stream_version(dataset=made.dataset, commit=made, actor=None)

    assert next(pieces).count(b"\n") == 10
    assert connection.in_atomic_block
    pieces.close()

    assert not connection.in_atomic_block
    assert connection.connection.info.transaction_status.name == "IDLE"
    assert AuditEvent.objects.filter(action="export").count() == 1
