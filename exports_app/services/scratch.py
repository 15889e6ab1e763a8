"""The restore drill: a backup into a throw-away database, verified and evaluated there, and the database dropped.

The work is done by processes of their own, which know no other database than the throw-away one. The real one is read (the
vectors that it knows, so that the drill need not make them anew) and gets one audit entry.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from django.conf import settings
from django.db import connection
from psycopg import sql

from datasets_app.domain.roles import Action
from datasets_app.services.access import record, require
from exports_app.errors import ScratchFailed
from exports_app.services.archives import opened_source
from goldenproject.kit.audit import acting
from goldenproject.kit.clock import now

DRILL_ACTION = "restore.drill"
_PREFIX = "golden_scratch_"
_NAME = re.compile(rf"{_PREFIX}(\d{{8}}t\d{{6}})_[0-9a-f]{{8}}")
_STAMP = "%Y%m%dt%H%M%S"
_LEFTOVER_AGE = timedelta(days=1)
_LIBPQ = (
    "host",
    "port",
    "user",
    "password",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "connect_timeout",
)
_COPIED = (
    (
        "datasets_app_embeddingmodel",
        "id, name, provider, options, dimension, is_current, created_at",
        "is_current",
    ),
    (
        "datasets_app_embedding",
        "model_id, content_hash, vector",
        "model_id IN (SELECT id FROM datasets_app_embeddingmodel WHERE is_current)",
    ),
)


@dataclass(frozen=True)
class DrillOptions:
    """`at`: which of several archives. `arguments`: what golden_restore gets besides, such as --strict."""

    at: str = ""
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class DrillResult:
    """How the drill went. `exit_code` is that of the restore there: 0, 1 or 2; `document` is what it told as JSON."""

    source: str
    database: str
    exit_code: int
    document: dict[str, Any]
    seconds: dict[str, float]
    vectors_copied: int = 0
    leftovers_dropped: list[str] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        return {
            **self.document,
            "directory": self.source,
            "drill": {
                "passed": self.exit_code == 0,
                "database": self.database,
                "seconds": self.seconds,
                "vectors_copied": self.vectors_copied,
                "leftovers_dropped": self.leftovers_dropped,
            },
        }

    def as_text(self) -> str:
        """The errors, findings and evaluations, a line each, then the line that says passed or failed."""
        lines = []
        if "error" in self.document:
            lines.append(f"Error: {self.document['error']['message']}")
        lines += [f"Finding: {text}." for text in self.document.get("findings", [])]
        verification = self.document.get("verification", {})
        lines += [f"Error: {text}" for text in verification.get("errors", [])]
        lines += [f"Warning: {text}" for text in verification.get("warnings", [])]
        for run in self.document.get("evaluations", []):
            means = ", ".join(f"{name} {mean:.3f}" for name, mean in run["metrics"].items())
            lines.append(
                f"{run['corpus']}: {run['passed']} of {run['queries']} test queries passed ({means})."
            )
            lines += [f"Error: {text}" for text in run["failures"]]
        counts = ", ".join(
            f"{name} {count}" for name, count in verification.get("stats", {}).items() if count
        )
        verdict = {0: "passed", 2: "passed with findings"}.get(self.exit_code, "failed")
        lines.append(f"Restore drill {verdict} for {self.source}: {counts or 'nothing was restored'}")
        return "\n".join(lines)


def run_drill(*, place: str, actor: Any, options: DrillOptions | None = None) -> DrillResult:
    """Restore the backup at `place` into a throw-away database, verify and evaluate it there, and drop it.

    Databases that killed drills left behind are dropped after a day. Raises Forbidden, ScratchFailed (no right to create
    databases, migrations fail), and what `opened_source` raises. That the backup does not restore is in the result.
    """
    if actor is not None:
        require(actor, Action.RESTORE)
    options = options or DrillOptions()
    seconds: dict[str, float] = {}
    with opened_source(place, options.at) as source:
        leftovers = drop_leftovers()
        with scratch_database() as name:
            with _timed(seconds, "migrate"):
                _migrate(name)
            with _timed(seconds, "copy_vectors"):
                copied = _copy_vectors(name)
            with _timed(seconds, "restore"):
                code, document = _restore(name, str(source.folder), options)
        document = json.loads(json.dumps(document).replace(str(source.folder), source.shown))
    result = DrillResult(source.shown, name, code, document, seconds, copied, leftovers)
    with acting(actor, "restore drill"):
        verdict = "passed" if code == 0 else f"ended with exit code {code}"
        record(
            actor,
            DRILL_ACTION,
            None,
            f"{verdict}: {source.shown}",
            succeeded=code != 1,
            source=source.shown,
            exit_code=code,
            seconds=seconds,
        )
    return result


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    seconds[name] = round(time.monotonic() - begun, 3)


@contextmanager
def scratch_database() -> Iterator[str]:
    """Make an empty database on the server, yield its name, and drop it whatever happens. Raises ScratchFailed."""
    name = f"{_PREFIX}{now().astimezone(UTC).strftime(_STAMP)}_{secrets.token_hex(4)}"
    try:
        with _server() as raw:
            raw.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg.errors.InsufficientPrivilege as error:
        raise ScratchFailed(
            f"The role {connection.settings_dict['USER']} may not create databases, which a drill needs.",
            hint="An administrator of the server gives it the right: ALTER ROLE … CREATEDB",
        ) from error
    try:
        yield name
    finally:
        with _server() as raw:
            _drop(raw, name)


def drop_leftovers() -> list[str]:
    """Drop the databases of drills that were killed more than a day ago, and return their names."""
    dropped = []
    with _server() as raw:
        rows = raw.execute(
            r"SELECT datname FROM pg_database WHERE datname LIKE 'golden\_scratch\_%' ORDER BY datname"
        ).fetchall()
        for (name,) in rows:
            match = _NAME.fullmatch(name)
            if match is None:
                continue
            made = datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC)
            if now() - made > _LEFTOVER_AGE:
                _drop(raw, name)
                dropped.append(name)
    return dropped


def _drop(raw: psycopg.Connection[Any], name: str) -> None:
    raw.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _parameters(name: str) -> dict[str, str]:
    given = {**connection.get_connection_params(), **connection.settings_dict.get("OPTIONS", {})}
    found = {key: str(given[key]) for key in _LIBPQ if given.get(key)}
    return {**found, "dbname": name}


@contextmanager
def _server() -> Iterator[psycopg.Connection[Any]]:
    """A connection in autocommit beside Django's own, which may be in a transaction."""
    own = str(connection.settings_dict["NAME"])
    with psycopg.connect(**_parameters(own), autocommit=True) as raw:  # type: ignore[arg-type]
        yield raw


def database_url(name: str) -> str:
    """Return DATABASE_URL for a database on this installation's server. It holds the password: show it to nobody."""
    parameters = _parameters(name)
    query = urlencode({k: v for k, v in parameters.items() if k != "dbname"}, quote_via=quote)
    return f"postgresql:///{quote(name)}?{query}"


def _manage(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "GOLDEN_DATABASE"}
    environment["DATABASE_URL"] = database_url(name)
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments]
    return subprocess.run(
        command,
        env=environment,
        cwd=settings.BASE_DIR,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _migrate(name: str) -> None:
    done = _manage(name, "migrate", "--noinput", "--verbosity", "0")
    if done.returncode != 0:
        told = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()
        raise ScratchFailed(
            f"The throw-away database could not be migrated: {told[-1]}",
            hint="If this role may not create the extension vector, an administrator creates it in template1.",
        )


def _copy_vectors(name: str) -> int:
    """Give the throw-away database the current embedding model with its vectors; return how many those are."""
    count = 0
    own = str(connection.settings_dict["NAME"])
    with (
        psycopg.connect(**_parameters(own)) as source,  # type: ignore[arg-type]
        psycopg.connect(**_parameters(name)) as target,  # type: ignore[arg-type]
    ):
        source.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for table, _, _ in reversed(_COPIED):
            target.execute(f"DELETE FROM {table}")
        for table, columns, wanted in _COPIED:
            read = f"COPY (SELECT {columns} FROM {table} WHERE {wanted}) TO STDOUT (FORMAT BINARY)"
            cursor = target.cursor()
            with (
                source.cursor().copy(read) as rows,
                cursor.copy(f"COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)") as sink,
            ):
                for block in rows:
                    sink.write(block)
            count = cursor.rowcount
    return count


def _restore(name: str, folder: str, options: DrillOptions) -> tuple[int, dict[str, Any]]:
    """Run golden_restore there; return its exit code and what it told."""
    done = _manage(name, "golden_restore", folder, "--evaluate", "--json", *options.arguments)
    for text in (done.stdout, done.stderr):
        try:
            document = json.loads(text)
        except ValueError:
            continue
        if isinstance(document, dict):
            return done.returncode, document
    told = (done.stderr.strip() or f"it ended with exit code {done.returncode}").splitlines()
    return 1, {"error": {"code": "scratch_failed", "message": told[-1]}}
