"""Which tables a backup holds."""

from __future__ import annotations

from django.contrib.auth import get_user_model

from exports_app.backup.analyses import IN_DOCUMENTS
from exports_app.backup.label_tables import LABEL_SECTIONS, NOT_IN_LABEL_BACKUP
from exports_app.backup.sections import Section, history_section

# Told by the database itself about backups and restores: not golden data, and it would make each backup differ.
HOUSEKEEPING = (
    "backup",
    "backup.retention",
    "backup.download",
    "backup.verify",
    "restore",
    "restore.drill",
    "verify",
    "backup_change",
    "job.start",  # jobs are not in backups; what they do has entries of its own
)


_CORPUS_HISTORIES = {
    "history_corpora": "Corpus",
    "history_analyses": "Analysis",
    "history_findings": "Finding",
    "history_chunks": "Chunk",
    "history_artifacts": "Artifact",
    "history_test_queries": "TestQuery",
    "history_expected_chunks": "ExpectedChunk",
}
SECTIONS: tuple[Section, ...] = (
    Section("example_types", "ExampleType", 't.name COLLATE "C"', ("name",)),
    Section("datasets", "Dataset", "t.id", ("id",), scope="id"),
    Section("commits", "DatasetCommit", "t.id", ("commit_hash",), scope="dataset_id"),
    Section(
        "branches", "Branch", 't.dataset_id, t.name COLLATE "C"', ("dataset_id", "name"), scope="dataset_id"
    ),
    Section("tags", "Tag", 't.dataset_id, t.name COLLATE "C"', ("dataset_id", "name"), scope="dataset_id"),
    Section("merges", "Merge", "t.id", ("id",), scope="branch_id"),
    Section(
        "merge_conflicts",
        "MergeConflict",
        't.example_id, t.merge_id, t.path COLLATE "C"',
        ("example_id", "merge_id", "path"),
        scope="merge_id",
        bulk=True,
        by_prefix=True,
    ),
    Section("redactions", "Redaction", "t.blob_hash", ("blob_hash",), scope="dataset_id", leave_out=("id",)),
    Section("memberships", "Membership", "t.id", ("id",), scope="dataset_id"),
    Section(
        "saved_views",
        "SavedView",
        't.dataset_id, t.name COLLATE "C", (SELECT username FROM auth_user o WHERE o.id = t.owner_id) COLLATE "C"',
        ("dataset_id", "name", "owner"),
        scope="dataset_id",
        leave_out=("id",),
    ),
    Section("identities", "ExampleIdentity", "t.id", ("id",), scope="dataset_id", bulk=True, by_prefix=True),
    Section(
        "examples",
        "Example",
        "t.example_id, t.branch_id",
        ("example_id", "branch_id"),
        scope="branch_id",
        bulk=True,
        by_prefix=True,
        leave_out=("search_text",),
    ),
    Section(
        "uncommitted",
        "DirtyExample",
        "t.example_id, t.branch_id",
        ("example_id", "branch_id"),
        scope="branch_id",
        bulk=True,
        by_prefix=True,
    ),
    Section("blobs", "Blob", "t.hash", ("hash",), bulk=True, by_prefix=True),
    Section(
        "changes",
        "ExampleChange",
        "t.example_id, t.commit_id",
        ("example_id", "commit_id"),
        scope="commit_id",
        bulk=True,
        by_prefix=True,
    ),
    Section(
        "quality",
        "ExampleQuality",
        't.example_id, t.metric_name COLLATE "C"',
        ("example_id", "metric_name"),
        scope="example_id",
        bulk=True,
        by_prefix=True,
    ),
    history_section("history_example_types", "HistoricalExampleType", ""),
    history_section("history_datasets", "HistoricalDataset", "id"),
    history_section("history_commits", "HistoricalDatasetCommit", "dataset_id"),
    history_section("history_branches", "HistoricalBranch", "dataset_id"),
    history_section("history_tags", "HistoricalTag", "dataset_id"),
    history_section("history_merges", "HistoricalMerge", "branch_id"),
    history_section("history_merge_conflicts", "HistoricalMergeConflict", "merge_id"),
    history_section("history_memberships", "HistoricalMembership", "dataset_id"),
    history_section("history_quality", "HistoricalExampleQuality", "example_id"),
    history_section("history_examples", "HistoricalExample", "branch_id"),
    Section("corpora", "Corpus", 't.name COLLATE "C"', ("id",)),
    Section("source_checks", "SourceCheck", "t.analysis_id", ("analysis_id",), bulk=True, by_prefix=True),
    Section("test_queries", "TestQuery", "t.id", ("id",), bulk=True, by_prefix=True),
    Section(
        "expected_chunks",
        "ExpectedChunk",
        "t.query_id, t.chunk_id",
        ("query_id", "chunk_id"),
        bulk=True,
        by_prefix=True,
    ),
    Section("retrieval_runs", "RetrievalRun", "t.id", ("id",)),
    Section(
        "retrieval_results",
        "RetrievalResult",
        "t.query_id, t.run_id",
        ("query_id", "run_id"),
        bulk=True,
        by_prefix=True,
    ),
    *(history_section(name, f"Historical{label}", "") for name, label in _CORPUS_HISTORIES.items()),
    *LABEL_SECTIONS,
    Section(
        "audit_events",
        "AuditEvent",
        "t.id",
        (),
        scope="dataset_id",
        bulk=True,
        leave_out=("id",),
        where=f"t.action NOT IN {HOUSEKEEPING!r}",
    ),
)
CORPUS_SECTIONS = (
    "corpora",
    "source_checks",
    "test_queries",
    "expected_chunks",
    "retrieval_runs",
    "retrieval_results",
    *_CORPUS_HISTORIES,
)
BY_NAME = {section.name: section for section in SECTIONS}

# What retrieval makes of the corpus, and how the installation reaches its embedding models.
DERIVED = ("EmbeddingModel", "Embedding", "LexicalSegment", "LexicalTerm", "ChangedChunk", "ExampleVector")
# Rebuilt on restore, or no golden data: trees, row counts; staged imports, jobs and tokens belong to the installation.
NOT_IN_BACKUP = ("Node", "WorktreeCount", "ImportBatch", "StagedRow", "JobRun", "ApiToken", *DERIVED)


def unsaved_tables(*, but: tuple[str, ...] = ()) -> list[str]:
    """Return the tables that no backup holds, in a fixed order, but for those of the models `but`."""
    datasets = [f"datasets_app_{label.lower()}" for label in NOT_IN_BACKUP if label not in but]
    return sorted([*datasets, *(f"labeling_app_{label.lower()}" for label in NOT_IN_LABEL_BACKUP)])


def saved_tables() -> list[str]:
    """Return every table that a backup holds, in a fixed order."""
    return sorted({s.table for s in SECTIONS} | {f"datasets_app_{label.lower()}" for label in IN_DOCUMENTS})


def id_spaces() -> dict[str, tuple[str, ...]]:
    """Return for each model with a bigserial key the tables whose "id" shares it: its own and its history's."""
    spaces: dict[str, list[str]] = {}
    for section in SECTIONS:
        for column in section.columns():
            if column.column == "id" and column.space:
                spaces.setdefault(column.space, []).append(section.table)
    return {label: tuple(tables) for label, tables in spaces.items()}


def people_sql() -> str:
    """The query of every person's name that the records give, in the order of bytes."""
    parts = []
    for section in SECTIONS:
        for column in section.columns():
            if column.person:
                condition = f" WHERE {section.where}" if section.where else ""
                parts.append(f"SELECT DISTINCT t.{column.column} AS id FROM {section.table} t{condition}")
    users = get_user_model()._meta.db_table
    return (
        "SELECT name FROM (SELECT DISTINCT coalesce(u.username, 'deleted user ' || p.id) AS name "
        f"FROM ({' UNION '.join(parts)}) p LEFT JOIN {users} u ON u.id = p.id WHERE p.id <> 0) n "
        'ORDER BY name COLLATE "C"'
    )
