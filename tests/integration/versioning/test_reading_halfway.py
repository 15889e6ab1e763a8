"""Whoever stops reading a version halfway leaves nothing behind."""

from __future__ import annotations

from django.db import connection

from datasets_app.models import Example
from datasets_app.services.curation.manager import DatasetManager
from tests.integration.backup_data import documents


def test_examples__dropped_halfway__keeps_what_was_written_meanwhile(committed_db: str) -> None:
    manager = DatasetManager.create("words", type="text_classification")
    manager.add_examples(documents(40))
    manager.commit("forty", author="curator")
    reading = manager.examples()
    next(reading)
    assert not connection.in_atomic_block
    manager.add_examples([{"id": "late", "input": {"text": "late"}, "output": {"label": "a"}}])
    assert len(list(reading)) == 39
    again = manager.examples()
    next(again)
    manager.add_examples([{"id": "later", "input": {"text": "later"}, "output": {"label": "a"}}])
    again.close()
    assert Example.objects.filter(identity__external_id__in=["late", "later"]).count() == 2
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_cursors WHERE is_holdable")
        assert cursor.fetchone() == (0,)
