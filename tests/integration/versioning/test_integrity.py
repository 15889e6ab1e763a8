"""What the database itself guarantees, what verify finds, and what redaction leaves."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from datasets_app.models import Blob, Example, Redaction
from datasets_app.services.curation.manager import DatasetManager
from datasets_app.services.versioning.redacting import redact
from datasets_app.services.versioning.verifying import verify_database
from goldenproject.kit.guards import missing_guards

pytestmark = pytest.mark.django_db

FROZEN = [
    "datasets_app_blob",
    "datasets_app_node",
    "datasets_app_datasetcommit",
    "datasets_app_examplechange",
    "datasets_app_exampleidentity",
    "datasets_app_redaction",
    "datasets_app_auditevent",
    "datasets_app_historicalexample",
    "datasets_app_historicaldataset",
    "datasets_app_historicaldatasetcommit",
    "datasets_app_historicalbranch",
    "datasets_app_historicaltag",
]


@pytest.fixture
def manager() -> DatasetManager:
    made = DatasetManager.create("words", type="text_classification")
    made.add_examples(
        [{"id": f"e{n}", "input": {"text": f"text {n}"}, "output": {"label": "a"}} for n in range(100)]
    )
    made.commit("first")
    made.tag("v1")
    return made


def sql(statement: str, *parameters: object) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(statement, parameters or None)
        return cursor.rowcount


def test_guards__after_migration__all_stand() -> None:
    assert missing_guards() == []


@pytest.mark.parametrize("table", FROZEN)
@pytest.mark.parametrize("verb", ["UPDATE", "DELETE", "TRUNCATE"])
def test_frozen_table__change_by_raw_sql__is_refused(manager: DatasetManager, table: str, verb: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum = 1"
        )
        column = cursor.fetchone()[0]
    statement = {
        "UPDATE": f"UPDATE {table} SET {column} = {column}",
        "DELETE": f"DELETE FROM {table}",
        "TRUNCATE": f"TRUNCATE {table} CASCADE",
    }[verb]
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        sql(statement)


def test_history__raw_sql_update__is_recorded_with_the_database_user(manager: DatasetManager) -> None:
    changed = sql(
        'UPDATE datasets_app_example SET expected_output = \'{"label": "x"}\' WHERE ordinal % 2 = 0'
    )
    assert changed > 0
    rows = Example.history.filter(history_type="~")
    assert rows.count() == changed
    assert {row.db_user for row in rows} == {connection.settings_dict["USER"]}
    assert manager.status().modified == changed


@pytest.mark.parametrize("path", ["update", "bulk_update", "bulk_create", "delete", "save"])
def test_history__every_orm_write_path__is_recorded(manager: DatasetManager, path: str) -> None:
    row = Example.objects.filter(branch=manager.branch).first()
    before = Example.history.count()
    if path == "update":
        Example.objects.filter(pk=row.pk).update(labels={"x": 1})
    elif path == "bulk_update":
        row.labels = {"x": 1}
        Example.objects.bulk_update([row], ["labels"])
    elif path == "save":
        row.labels = {"x": 1}
        row.save()
    elif path == "delete":
        Example.objects.filter(pk=row.pk).delete()
    else:
        Example.objects.filter(pk=row.pk).delete()
        before = Example.history.count()
        row.pk = None
        Example.objects.bulk_create([row])
    assert Example.history.count() == before + 1
    newest = Example.history.order_by("-history_id").first()
    assert newest.history_type == {"delete": "-", "bulk_create": "+"}.get(path, "~")


def test_history__update_that_changes_nothing__is_not_recorded(manager: DatasetManager) -> None:
    before = Example.history.count()
    sql("UPDATE datasets_app_example SET labels = labels, updated_at = now()")
    assert Example.history.count() == before
    assert manager.status().is_clean


def test_search_text__raw_sql_update__follows_the_content(manager: DatasetManager) -> None:
    sql('UPDATE datasets_app_example SET input_data = \'{"text": "Überraschung"}\' WHERE ordinal % 50 = 0')
    assert Example.objects.containing("ÜBERRASCH").count() == 2
    assert Example.objects.containing("label").count() == 0


def test_verify__healthy_database__is_valid(manager: DatasetManager) -> None:
    result = verify_database(deep=True)
    assert result.errors == []
    assert result.stats["commits"] == result.stats["commits_checked"] == 1


@pytest.mark.parametrize(
    ("table", "damage", "expected"),
    [
        (
            "datasets_app_blob",
            "UPDATE datasets_app_blob SET body = body || ' '",
            "content does not match its hash",
        ),
        (
            "datasets_app_node",
            "UPDATE datasets_app_node SET body = body || '\\x00'",
            "tree node does not match its hash",
        ),
        (
            "datasets_app_datasetcommit",
            "UPDATE datasets_app_datasetcommit SET message = 'other'",
            "commit does not match its hash",
        ),
        (
            "datasets_app_examplechange",
            "DELETE FROM datasets_app_examplechange WHERE example_id = (SELECT min(example_id::text)::uuid FROM datasets_app_examplechange)",
            "change log differs from the trees",
        ),
        (
            "datasets_app_example",
            "UPDATE datasets_app_example SET labels = '{\"x\": 1}' WHERE ordinal % 50 = 0",
            "row differs from its last history",
        ),
    ],
)
def test_verify__damage_behind_the_guards__is_found(
    manager: DatasetManager, table: str, damage: str, expected: str
) -> None:
    sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    sql(damage)
    result = verify_database(deep=True)
    assert any(expected in error for error in result.errors), result.errors
    assert any("guard missing" in error for error in result.errors)


def test_redact__erases_the_text_everywhere_and_still_verifies(manager: DatasetManager) -> None:
    result = redact(dataset=manager.dataset, example="e7", reason="personal data", actor=None)
    assert (len(result.blobs), result.working_rows) == (1, 1)
    texts = [row.body for row in Blob.objects.all()]
    assert not any('text 7"' in text for text in texts)
    assert Redaction.objects.count() == 1
    assert not Example.history.filter(input_data={"text": "text 7"}).exists()
    assert verify_database(deep=True).errors == []
    assert len(list(manager.examples("v1"))) == 99


def test_redact__without_reason__is_refused(manager: DatasetManager) -> None:
    from goldenproject.kit.errors import BadInput

    with pytest.raises(BadInput, match="needs a reason"):
        redact(dataset=manager.dataset, example="e7", reason="  ", actor=None)
