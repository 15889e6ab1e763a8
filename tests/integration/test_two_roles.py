"""A production set-up with two roles: the owner migrates, the application can only add to what is append-only."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, ProgrammingError, connections, transaction
from psycopg import sql

from datasets_app.models import Analysis, Blob, Chunk, Redaction
from datasets_app.services.access.database_roles import apply_roles, roles_sql
from datasets_app.services.corpus.corpora import get_corpus
from datasets_app.services.curation.examples import delete_examples, update_example
from datasets_app.services.curation.manager import DatasetManager
from datasets_app.services.jobs import start_job
from datasets_app.services.retrieval import embedding
from datasets_app.services.retrieval.embedding_models import get_model
from datasets_app.services.versioning.redacting import redact
from datasets_app.services.versioning.refs import delete_tag
from goldenproject.kit.commands import as_golden_error
from goldenproject.kit.errors import BadInput
from goldenproject.kit.guards import guarded_tables, missing_guards
from tests.template_database import connected_to, maintenance

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Roles:
    """A database that `owner`, who is no superuser, has migrated, and where `app` got its rights."""

    database: str
    owner: str
    app: str
    password: str


@contextmanager
def signed_in(roles: Roles, user: str) -> Iterator[Any]:
    """Point Django's connection at the database, under `user`; yields the connection."""
    default = connections["default"]
    default.ensure_connection()  # fills in where the embedded server is
    before = dict(default.settings_dict)
    default.close()
    default.settings_dict.pop("EMBEDDED", None)
    default.settings_dict.update(NAME=roles.database, USER=user, PASSWORD=roles.password)
    try:
        yield default
    finally:
        default.close()
        default.settings_dict.clear()
        default.settings_dict.update(before)


@pytest.fixture(scope="module")
def roles(django_db_setup: None, django_db_blocker: Any) -> Iterator[Roles]:
    key = secrets.token_hex(4)
    made = Roles(f"golden_roles_{key}", f"golden_owner_{key}", f"golden_app_{key}", secrets.token_hex(16))
    with django_db_blocker.unblock(), maintenance() as raw:
        for name in (made.owner, made.app):
            raw.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                    sql.Identifier(name), sql.Literal(made.password)
                )
            )
        raw.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(
                sql.Identifier(made.database), sql.Identifier(made.owner)
            )
        )
        with connected_to(made.database), connections["default"].cursor() as cursor:
            cursor.execute("CREATE EXTENSION vector")  # an administrator's work on any server
        with signed_in(made, made.owner):
            call_command("migrate", verbosity=0, interactive=False, stdout=io.StringIO())
            apply_roles(app_role=made.app)
        yield made
        raw.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(made.database)))
        for name in (made.app, made.owner):
            raw.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def documents(count: int) -> list[dict[str, Any]]:
    return [{"id": f"e{n}", "input": {"text": f"text {n}"}, "output": {"label": "a"}} for n in range(count)]


def rights(connection: Any, role: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee = %s ORDER BY 1, 2",
            [role],
        )
        return list(cursor.fetchall())


def refusal(connection: Any, statement: str) -> str:
    with pytest.raises(DatabaseError) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    return str(caught.value)


def test_app_role__whole_working_day__needs_no_more_rights(roles: Roles) -> None:
    with signed_in(roles, roles.app):
        words = DatasetManager.create("a working day", type="text_classification")
        assert words.add_examples(documents(200)).added == 200
        words.commit("first")
        words.tag("v1")
        side = words.create_branch("side")
        update_example(
            example=side.branch.examples.get(identity__external_id="e1"),
            actor=None,
            expected_output={"label": "b"},
        )
        side.commit("relabel on the side")
        first, second = words.branch.examples.order_by("ordinal")[5:7]
        update_example(example=first, actor=None, labels={"edge_case": True})
        assert delete_examples(branch=words.branch, uuids=[second.uuid], actor=None) == 1
        words.commit("edit main")
        outcome = words.merge("side")
        assert not outcome.has_conflicts
        words.checkout("v1")
        words.tag("scratch")
        delete_tag(dataset=words.dataset, name="scratch", actor=None)
        fork = DatasetManager.create("its fork", "", "a working day@v1")
        assert [content.output["label"] for content in fork.examples()] == ["a"] * 200
        assert missing_guards() == []


def test_app_role__frozen_table__can_only_be_read_and_added_to(roles: Roles) -> None:
    with signed_in(roles, roles.app) as connection:
        granted = rights(connection, roles.app)
    for table in guarded_tables():
        verbs = {verb for name, verb in granted if name == table}
        assert {"SELECT", "INSERT"} <= verbs and "TRUNCATE" not in verbs
    frozen = {
        "datasets_app_blob",
        "datasets_app_node",
        "datasets_app_datasetcommit",
        "datasets_app_examplechange",
    }
    frozen |= {name for name in guarded_tables() if name.startswith("datasets_app_historical")}
    frozen |= {"datasets_app_exampleidentity", "datasets_app_redaction", "datasets_app_auditevent"}
    assert {name for name, verb in granted if verb == "UPDATE"} & frozen == set()
    assert {name for name, verb in granted if verb == "DELETE"} & frozen == set()
    assert {verb for name, verb in granted if name == "django_migrations"} == {"SELECT"}


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE datasets_app_blob SET body = body", "permission denied for table datasets_app_blob"),
        ("DELETE FROM datasets_app_historicalexample", "permission denied for table"),
        ("TRUNCATE datasets_app_example", "permission denied for table datasets_app_example"),
        ("ALTER TABLE datasets_app_blob DISABLE TRIGGER ALL", "must be owner of table datasets_app_blob"),
        ("DROP TRIGGER golden_append_only ON datasets_app_node", "must be owner"),
        ("DROP TABLE datasets_app_node", "must be owner of table datasets_app_node"),
        ("DROP FUNCTION golden_refuse() CASCADE", "must be owner of function golden_refuse"),
        ("CREATE TABLE mine (x int)", "permission denied for schema public"),
        ("SET session_replication_role = replica", "permission denied to set parameter"),
        ("INSERT INTO django_migrations (app, name, applied) VALUES ('x', 'y', now())", "permission denied"),
    ],
)
def test_app_role__way_round_a_guard__is_refused(roles: Roles, statement: str, message: str) -> None:
    with signed_in(roles, roles.app) as connection:
        assert message in refusal(connection, statement)
        assert missing_guards() == []


def test_redaction__under_either_role__is_the_owners(roles: Roles) -> None:
    with signed_in(roles, roles.app):
        words = DatasetManager.create("secrets", type="text_classification")
        words.add_examples([{"id": "s", "input": {"text": "a secret"}, "output": {"label": "a"}}])
        words.commit("first")
        with pytest.raises(ProgrammingError, match="permission denied for table datasets_app_blob") as caught:
            redact(dataset=words.dataset, example="s", reason="asked for", actor=None)
        told = as_golden_error(caught.value)
        assert (told.code, told.exit_code) == ("database_rights", 1)
        assert told.hint == "Run it with DATABASE_URL naming the owner of the tables."
        assert not Redaction.objects.exists()
    with signed_in(roles, roles.owner):
        redact(dataset=words.dataset, example="s", reason="asked for", actor=None)
        assert not Blob.objects.filter(body__contains="a secret").exists()


def test_apply_roles__second_time__changes_nothing(roles: Roles) -> None:
    with signed_in(roles, roles.owner) as connection:
        before = rights(connection, roles.app)
        call_command("migrate", verbosity=0, interactive=False, stdout=io.StringIO())
        call_command("golden_roles", app_role=roles.app, apply=True, stdout=io.StringIO())
        assert rights(connection, roles.app) == before


def test_app_role__export_verify_and_queue__need_no_more_rights(roles: Roles, tmp_path: Path) -> None:
    with signed_in(roles, roles.app) as connection:
        words = DatasetManager.create("to ship", type="text_classification")
        words.add_examples(documents(10))
        words.commit("first")
        target = tmp_path / "out.jsonl"
        call_command(
            "golden_export", "to ship@main", format="jsonl", output=str(target), stdout=io.StringIO()
        )
        assert len(target.read_text().splitlines()) == 10
        out = io.StringIO()
        call_command("golden_verify", "--deep", stdout=out)
        assert "passed" in out.getvalue()
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM procrastinate_jobs")
            before = cursor.fetchone()[0]
            start_job(kind="verify", dataset=None, arguments={}, actor=None)
            cursor.execute("SELECT count(*) FROM procrastinate_jobs")
            assert cursor.fetchone()[0] == before + 1


def test_migrate__under_the_application_with_nothing_to_do__is_quiet(roles: Roles) -> None:
    """`make run` migrates at each start, under whichever role it has."""
    with signed_in(roles, roles.app):
        call_command("migrate", verbosity=0, interactive=False, stdout=io.StringIO())


def test_backup_and_restore__under_either_role__back_up_is_both_restore_the_owners(
    roles: Roles, tmp_path: Path
) -> None:
    folder = str(tmp_path / "backup")
    restore = ["golden_restore", folder, "--on-conflict", "update"]
    with signed_in(roles, roles.app) as connection:
        words = DatasetManager.create("to back up", type="text_classification")
        words.add_examples(documents(20))
        words.commit("first")
        call_command("golden_backup", output=folder, stdout=io.StringIO())
        granted = rights(connection, roles.app)
        with pytest.raises(DatabaseError, match="permission denied|must be owner"):
            call_command(*restore, stdout=io.StringIO())
        assert missing_guards() == []
    out = io.StringIO()
    call_command("golden_verify", folder, stdout=out)
    assert "passed" in out.getvalue()
    with signed_in(roles, roles.owner):
        call_command(*restore, stdout=io.StringIO())
        assert missing_guards() == []
    with signed_in(roles, roles.app) as connection:
        assert rights(connection, roles.app) == granted
        words = DatasetManager("to back up")
        assert words.add_examples(documents(21)).added == 1
        words.commit("after the restore")


def test_table_of_a_later_migration__before_roles_are_applied_again__can_be_read_and_added_to(
    roles: Roles,
) -> None:
    with signed_in(roles, roles.owner) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE later (x int GENERATED ALWAYS AS IDENTITY)")
    try:
        with signed_in(roles, roles.app) as connection:
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO later DEFAULT VALUES")
            assert "permission denied" in refusal(connection, "DELETE FROM later")
    finally:
        with signed_in(roles, roles.owner) as connection, connection.cursor() as cursor:
            cursor.execute("DROP TABLE later")


def test_apply_roles__owner_as_the_application__is_refused(roles: Roles) -> None:
    with signed_in(roles, roles.owner):
        with pytest.raises(DatabaseError, match="acts for the owner of the tables"):
            apply_roles(app_role=roles.owner)


def test_apply_roles__under_the_application__is_refused(roles: Roles) -> None:
    with signed_in(roles, roles.app):
        with pytest.raises(ProgrammingError, match=f"{roles.app} does not own the tables"):
            apply_roles(app_role=roles.app)


@pytest.mark.parametrize(
    "name", ["", "Golden", "1app", "a b", "x'; DROP ROLE y", "pg_read_all_data", "a" * 64]
)
def test_roles_sql__name_that_needs_quoting__is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="expected up to 63"):
        roles_sql(name)


def test_golden_roles__without_apply__prints_sql_and_changes_nothing(roles: Roles) -> None:
    out = io.StringIO()
    with signed_in(roles, roles.owner) as connection:
        call_command("golden_roles", app_role="nobody_yet", stdout=out)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = 'nobody_yet'")
            assert cursor.fetchone() == (0,)
    assert out.getvalue().strip() == roles_sql("nobody_yet").strip()


def test_embedding__under_either_role__vectors_are_both_the_index_is_the_owners(
    roles: Roles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "SMALL", 1)
    with signed_in(roles, roles.app):
        url = "https://docs.python.org/3/"
        analysis = Analysis.objects.create(
            corpus=get_corpus(), url=url, canonical_url=url, content_type="text", status="completed"
        )
        Chunk.objects.create(analysis=analysis, content="sorting lists", chunk_index=0)
        report = embedding.embed_missing(model=get_model(), actor=None)
        assert (report.embedded, report.index) == (1, "absent")
        assert "can be made or dropped by the owner of the tables only" in report.warnings[0]
        assert "golden_embed --model minilm with DATABASE_URL naming the owner" in report.warnings[0]
    with signed_in(roles, roles.owner):
        report = embedding.embed_missing(model=get_model(), actor=None)
        assert (report.embedded, report.index, report.warnings) == (0, "ready", [])
