"""Backup, verify and restore of a corpus of a million chunks: memory that does not grow with the data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

from exports_app.services.backups import create_backup
from exports_app.services.restores import RestoreOptions, restore_backup
from exports_app.services.verification import verify_directory
from tests.forking import in_child
from tests.template_database import cloned, connected_to

pytestmark = pytest.mark.scale
ANALYSES = 100_000
CHUNKS_EACH = 10
MOST_BYTES = (
    700 * 1024**2
)  # of a process that has Django and numpy loaded, and indexes the words of the chunks

FILL = f"""
    INSERT INTO datasets_app_corpus (id, name, description) VALUES (md5('corpus')::uuid, 'default', '');
    INSERT INTO datasets_app_analysis
           (id, corpus_id, url, canonical_url, url_violation, content_type, status, created_at)
    SELECT md5('a' || n)::uuid, md5('corpus')::uuid, 'https://docs.python.org/3/' || n, 'https://docs.python.org/3/' || n,
           '', 'article', 'completed', '2026-01-01'::timestamptz + n * interval '1 second'
      FROM generate_series(1, {ANALYSES}) n;
    INSERT INTO datasets_app_chunk (id, analysis_id, content, section_title, section_path, content_type, chunk_index)
    SELECT md5(n || 'c' || k)::uuid, md5('a' || n)::uuid, repeat('text of chunk ' || n || ' ' || k || ' ', 20),
           'Section ' || k, 'a/' || k, 'text', k
      FROM generate_series(1, {ANALYSES}) n, generate_series(0, {CHUNKS_EACH - 1}) k;
    INSERT INTO datasets_app_finding (id, analysis_id, position, agent, category, content, confidence)
    SELECT md5('f' || n)::uuid, md5('a' || n)::uuid, 0, 'reader', 'fact', 'something of ' || n, 0.5
      FROM generate_series(1, {ANALYSES}) n;
    INSERT INTO datasets_app_artifact (id, analysis_id, summary, key_findings, metadata)
    SELECT md5('r' || n)::uuid, md5('a' || n)::uuid, 'short', '["one"]', '{{"n": 1.5}}'
      FROM generate_series(1, {ANALYSES}) n;
    ANALYZE
"""


def peak_bytes(work: Callable[[], object]) -> int:
    """Run `work` in a process of its own and return the most memory that it held; it must end well."""
    status, held_bytes = in_child(work)
    assert status == 0
    return held_bytes


def test_backup_verify_restore__of_a_million_chunks__stay_in_flat_memory(
    committed_db: str, tmp_path: Path
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(FILL)
    assert peak_bytes(lambda: create_backup(directory=tmp_path / "a", actor=None)) < MOST_BYTES
    assert peak_bytes(lambda: create_backup(directory=tmp_path / "a", actor=None)) < MOST_BYTES
    found = verify_directory(tmp_path / "a")
    assert (found.errors, found.stats["chunks"]) == ([], ANALYSES * CHUNKS_EACH)
    without_vectors = RestoreOptions(embeddings=False)
    with cloned() as name, connected_to(name):
        peak = peak_bytes(
            lambda: restore_backup(directory=tmp_path / "a", actor=None, options=without_vectors)
        )
        assert peak < MOST_BYTES
        assert peak_bytes(lambda: create_backup(directory=tmp_path / "b", actor=None)) < MOST_BYTES
    first, second = (
        (tmp_path / name / "golden_dataset_backup.json").read_bytes()[-80:] for name in ("a", "b")
    )
    assert first == second  # the checksum of all that is in them
