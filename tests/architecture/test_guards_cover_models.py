"""Every table of the golden data is guarded, or it is said why not."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.db.models import GeneratedField
from simple_history.models import HistoricalChanges

from goldenproject.kit.guards import all_guards, missing_guards

APPS = ("datasets_app", "labeling_app", "exports_app")
# tables whose changes nobody audits, and why
UNGUARDED = {
    "datasets_app_dirtyexample": "a marker that triggers write and commits clear",
    "datasets_app_worktreecount": "deltas of a count that triggers write; verify compares them with the rows",
    "datasets_app_savedview": "a person's own filters, no golden data",
    "datasets_app_importbatch": "a staged file; applying it writes audited rows and an audit event",
    "datasets_app_stagedrow": "rows of a staged file, cleared when it is applied or discarded",
    "datasets_app_sourcecheck": "what the last look at a URL found; the audit log says who asked for it",
    "datasets_app_embeddingmodel": "how this installation reaches a model; changes write audit events",
    "datasets_app_embedding": "derived from texts; made again at any time",
    "datasets_app_lexicalsegment": "derived from texts; made again at any time",
    "datasets_app_lexicalterm": "derived from texts; made again at any time",
    "datasets_app_changedchunk": "what the lexical index has still to look at",
    "datasets_app_examplevector": "derived from texts; made again at any time",
    "labeling_app_queueitem": "who gets which example when; labels, decisions and assignments are on record elsewhere",
    "labeling_app_lease": "who holds what until when; what comes of it is in the label history",
    "labeling_app_label": "the newest state of the label history, which is append-only and audited",
    "labeling_app_suggestion": "what a model proposes, no golden data; bringing them in writes an audit event",
    "labeling_app_draft": "an answer not given yet",
    "labeling_app_reviewclaim": "who has which review open until when; decisions and takings over are on record elsewhere",
    "labeling_app_keymap": "a person's own keys, no golden data",
    "labeling_app_webhookdelivery": "a message and how its sending went; the webhook itself is audited",
    "datasets_app_jobrun": "progress of a job; what the job does is audited where it does it",
    "datasets_app_apitoken": "making and revoking a token writes audit events; the last use changes all the time",
}


def tables_with(*names: str) -> set[str]:
    return {guard.table for guard in all_guards() if guard.name in names}


def test_models__each_table__is_frozen_audited_or_excused() -> None:
    models = [
        model for app in APPS for model in apps.get_app_config(app).get_models(include_auto_created=True)
    ]
    tables = {model._meta.db_table for model in models}
    frozen = tables_with("golden_append_only")
    audited = tables_with("golden_audit_update")
    assert tables - frozen - audited - set(UNGUARDED) == set()
    assert set(UNGUARDED) & (frozen | audited) == set(), "excused and guarded all the same"
    assert set(UNGUARDED) <= tables, "excused, but there is no such table"


def test_models__with_a_history__have_it_written_and_frozen() -> None:
    models = [model for app in APPS for model in apps.get_app_config(app).get_models()]
    histories = {model._meta.db_table for model in models if issubclass(model, HistoricalChanges)}
    tracked = {model._meta.db_table for model in models if hasattr(model, "history")}
    assert tracked == tables_with("golden_audit_update")
    assert histories == {table for table in tables_with("golden_append_only") if "_historical" in table}
    assert len(tracked) == len(histories)


def test_audited_tables__each__record_insert_update_and_delete_and_refuse_truncate() -> None:
    for name in ("golden_audit_insert", "golden_audit_update", "golden_audit_delete", "golden_no_truncate"):
        assert tables_with(name) == tables_with("golden_audit_update")


@pytest.mark.django_db
def test_history_tables__columns__are_those_of_their_model() -> None:
    """The audit function copies the columns that both have: one that the history lacks would be lost silently."""
    for model in (m for app in APPS for m in apps.get_app_config(app).get_models() if hasattr(m, "history")):
        excluded = {"search_text"} if model.__name__ == "Example" else set()
        stored = [field for field in model._meta.concrete_fields if not isinstance(field, GeneratedField)]
        columns = {field.column for field in stored} - excluded
        assert columns <= {field.column for field in model.history.model._meta.concrete_fields}, (
            model.__name__
        )


@pytest.mark.slow
def test_migrations__to_zero_and_back__leave_the_same_database(committed_db: str) -> None:
    def migrate(*arguments: str) -> None:
        call_command("migrate", *arguments, verbosity=0, interactive=False, stdout=io.StringIO())

    before = schema()
    for app in APPS:
        if apps.get_app_config(app).models_module is not None:
            migrate(app, "zero")
    left = {
        name
        for kind, name, *_ in schema()
        if kind == "table" and name.startswith(tuple(f"{a}_" for a in APPS))
    }
    assert left == set()
    assert {name for kind, name, *_ in schema() if kind == "function" and name.startswith("golden_")} == set()
    migrate()
    assert schema() == before
    assert missing_guards() == []


def schema() -> set[tuple[Any, ...]]:
    """Return what the migrations have made: tables, columns, indexes, constraints, triggers, functions."""
    query = """
        SELECT 'table', c.relname, '', '' FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
                                                           AND c.relkind IN ('r', 'S')
        UNION ALL SELECT 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod) || a.attnotnull::text
          FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
          FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid <> 0
        UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger
         WHERE NOT tgisinternal
        UNION ALL SELECT 'function', p.proname, '', p.prosrc FROM pg_proc p
         WHERE p.pronamespace = 'public'::regnamespace AND p.proname LIKE 'golden%'
    """
    with connection.cursor() as cursor:
        cursor.execute(query)
        return set(cursor.fetchall())
