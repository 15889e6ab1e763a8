"""The database that tests copy: migrated once per state of the migrations, cloned in about 60 ms."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.core.management import call_command
from django.db import connection, connections
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
_APPS = ("datasets_app", "labeling_app", "exports_app", "goldenproject")


def _template_name() -> str:
    """Name the template after all that shapes it, so that a changed migration makes a new one."""
    digest = hashlib.sha256(str(ROOT).encode())
    files = [path for app in _APPS for path in (ROOT / app).rglob("*") if _shapes_the_database(path)]
    for path in sorted(files):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return f"golden_template_{digest.hexdigest()[:16]}"


def _shapes_the_database(path: Path) -> bool:
    return path.suffix == ".sql" or (
        path.suffix == ".py" and path.parent.name in {"migrations", "models", "domain"}
    )


@contextmanager
def maintenance() -> Iterator[psycopg.Connection[Any]]:
    """Yield an autocommit connection to the server's own database `postgres`."""
    parameters = connection.get_connection_params()
    wanted = {key: parameters[key] for key in ("host", "port", "user", "password") if parameters.get(key)}
    with psycopg.connect(**wanted, dbname="postgres", autocommit=True) as raw:
        yield raw


def _exists(raw: psycopg.Connection[Any], name: str) -> bool:
    return raw.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is not None


def ensure_template() -> str:
    """Return the name of the template database, migrated; one process makes it, the others wait."""
    name = _template_name()
    with maintenance() as raw:
        raw.execute("SELECT pg_advisory_lock(hashtext('golden test template'))")
        if not _exists(raw, name):
            _drop_leftovers(raw)
            unfinished = f"{name}_new"
            _drop(raw, unfinished)
            raw.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(unfinished)))
            with connected_to(unfinished):
                call_command("migrate", verbosity=0, interactive=False, stdout=io.StringIO())
            raw.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                    sql.Identifier(unfinished), sql.Identifier(name)
                )
            )
    return name


def _drop_leftovers(raw: psycopg.Connection[Any]) -> None:
    """Drop templates of older migrations and clones of killed runs, which nobody uses.

    A template that was made in the last hour may be that of a run that goes on, though nobody is connected to it.
    """
    rows = raw.execute(
        r"SELECT datname FROM pg_database d WHERE (datname LIKE 'golden\_template\_%' OR datname LIKE 'golden\_test\_%')"
        " AND NOT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.datid = d.oid)"
        " AND (pg_stat_file('base/' || d.oid || '/PG_VERSION', true)).modification < now() - interval '1 hour'"
    ).fetchall()
    for (name,) in rows:
        # a clone that a living process has just made carries that process's id
        owner = name.split("_")[2] if name.startswith("golden_test_") else ""
        if not (owner.isdigit() and Path(f"/proc/{owner}").exists()):
            raw.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def _drop(raw: psycopg.Connection[Any], name: str) -> None:
    raw.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def cloned() -> Iterator[str]:
    """Yield the name of a fresh copy of the template; it is dropped afterwards."""
    template = ensure_template()
    name = f"golden_test_{os.getpid()}_{secrets.token_hex(4)}"
    with maintenance() as raw:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        # PostgreSQL refuses to copy from a database that another one is copying with a connection open
        raw.execute("SELECT pg_advisory_lock(hashtext('golden test clone'))")
        raw.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield name
    finally:
        with maintenance() as raw:
            _drop(raw, name)


@contextmanager
def connected_to(name: str) -> Iterator[None]:
    """Point Django's default connection at the database `name` inside the block."""
    default = connections["default"]
    before = default.settings_dict["NAME"]
    default.close()
    default.settings_dict["NAME"] = name
    try:
        yield
    finally:
        default.close()
        default.settings_dict["NAME"] = before
