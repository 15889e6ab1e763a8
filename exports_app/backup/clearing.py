"""Deleting golden data to make room for a backup's, with lifted guards."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import psycopg

from exports_app.backup.label_loading import delete_labels
from exports_app.backup.label_tables import APP as LABELING
from exports_app.backup.tables import BY_NAME, HOUSEKEEPING, SECTIONS, saved_tables, unsaved_tables

# Vectors stay: they belong to texts, and what comes in may have the same ones. Jobs and tokens are the installation's.
_LEFT_ALONE = ("EmbeddingModel", "Embedding", "JobRun", "ApiToken")


def wipe(cursor: psycopg.Cursor[Any]) -> None:
    """Delete all golden data, and the audit of it; what was recorded about backups and restores stays.

    Good runs of verify are forgotten too: what they covered is gone.
    """
    kept = ("datasets_app_dataset", "datasets_app_exampletype", "datasets_app_auditevent")
    tables = [table for table in saved_tables() if table not in kept]
    tables += unsaved_tables(but=_LEFT_ALONE)
    cursor.execute("TRUNCATE " + ", ".join(tables))
    cursor.execute("DELETE FROM datasets_app_dataset")  # jobs point at datasets, so no TRUNCATE
    cursor.execute("DELETE FROM datasets_app_exampletype")
    housekeeping = [action for action in HOUSEKEEPING if action not in ("verify", "backup_change")]
    cursor.execute("DELETE FROM datasets_app_auditevent WHERE action <> ALL(%s)", [housekeeping])


_BRANCHES = (
    "(SELECT id FROM datasets_app_branch WHERE dataset_id = ANY(%(ids)s) "
    "UNION SELECT id FROM datasets_app_historicalbranch WHERE dataset_id = ANY(%(ids)s))"
)
_MERGES = (
    f"(SELECT id FROM datasets_app_historicalmerge WHERE branch_id IN {_BRANCHES} "
    f"UNION SELECT id FROM datasets_app_merge WHERE branch_id IN {_BRANCHES})"
)
_IDENTITIES = "(SELECT id FROM datasets_app_exampleidentity WHERE dataset_id = ANY(%(ids)s))"
_COMMITS = "(SELECT id FROM datasets_app_datasetcommit WHERE dataset_id = ANY(%(ids)s))"
_SUBSETS = {"branch_id": _BRANCHES, "merge_id": _MERGES, "example_id": _IDENTITIES, "commit_id": _COMMITS}


def delete_datasets(cursor: psycopg.Cursor[Any], ids: list[uuid.UUID]) -> None:
    """Delete datasets with all that leads to them, children first, to make room for the backup's.

    Blobs and nodes stay: others may share them. So do redactions, for of a blob that was redacted only the tombstone is
    left, and without its redaction on record that would be a content that does not match its hash.
    """
    parameters = {"ids": ids}
    delete_labels(cursor, ids)
    cursor.execute(
        f"DELETE FROM datasets_app_stagedrow WHERE batch_id IN "
        f"(SELECT id FROM datasets_app_importbatch WHERE branch_id IN {_BRANCHES})",
        parameters,
    )
    for table in ("datasets_app_importbatch", "datasets_app_worktreecount"):
        cursor.execute(f"DELETE FROM {table} WHERE branch_id IN {_BRANCHES}", parameters)
    # what others are found through goes last
    late = [
        "history_merge_conflicts",
        "merge_conflicts",
        "history_merges",
        "merges",
        "quality",
        "changes",
        "tags",
        "history_branches",
        "branches",
        "commits",
        "identities",
        "datasets",
    ]
    stay = ("redactions", *late)
    order = [s.name for s in SECTIONS if s.scope and s.app != LABELING and s.name not in stay] + late
    for name in order:
        section = BY_NAME[name]
        subset = _SUBSETS.get(section.scope, "(SELECT unnest(%(ids)s::uuid[]))")
        cursor.execute(f"DELETE FROM {section.table} t WHERE t.{section.scope} IN {subset}", parameters)


def delete_analyses(cursor: psycopg.Cursor[Any], ids: Sequence[uuid.UUID]) -> None:
    """Delete analyses with all that is theirs and their history, which the backup's takes the place of."""
    cursor.execute(
        "INSERT INTO datasets_app_changedchunk (corpus_id, chunk_id) SELECT a.corpus_id, c.id "
        "FROM datasets_app_chunk c JOIN datasets_app_analysis a ON a.id = c.analysis_id WHERE a.id = ANY(%s)",
        [list(ids)],
    )
    for name in ("sourcecheck", "finding", "chunk", "artifact"):
        cursor.execute(f"DELETE FROM datasets_app_{name} WHERE analysis_id = ANY(%s)", [list(ids)])
    for name in ("finding", "chunk", "artifact"):
        cursor.execute(f"DELETE FROM datasets_app_historical{name} WHERE analysis_id = ANY(%s)", [list(ids)])
    for name in ("analysis", "historicalanalysis"):
        cursor.execute(f"DELETE FROM datasets_app_{name} WHERE id = ANY(%s)", [list(ids)])


def delete_queries(cursor: psycopg.Cursor[Any], ids: Sequence[uuid.UUID]) -> None:
    """Delete test queries with what they expect and their history."""
    for name in ("expectedchunk", "historicalexpectedchunk"):
        cursor.execute(f"DELETE FROM datasets_app_{name} WHERE query_id = ANY(%s)", [list(ids)])
    for name in ("testquery", "historicaltestquery"):
        cursor.execute(f"DELETE FROM datasets_app_{name} WHERE id = ANY(%s)", [list(ids)])
