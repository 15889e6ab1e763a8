"""The database role that the application works under when it is not the owner of the tables."""

from __future__ import annotations

import re
from pathlib import Path

from django.db import connection, transaction

from goldenproject.kit.errors import BadInput

_ROLES_SQL = Path(__file__).parents[2] / "sql" / "roles.sql"
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def roles_sql(app_role: str) -> str:
    """Return the SQL that gives `app_role` its rights. Raises BadInput for a name that would need quoting."""
    if not _NAME.fullmatch(app_role) or app_role.startswith("pg_"):
        raise BadInput(
            f"Role: found {app_role!r}, expected up to 63 of a–z, 0–9 and _, not beginning with a digit or pg_.",
            hint="For example golden_app.",
        )
    return _ROLES_SQL.read_text().replace("{app}", app_role)


def apply_roles(*, app_role: str) -> None:
    """Give `app_role` its rights in this database, all or none; the role is made if there is none.

    The connection must be the owner's. Running it again changes nothing. Raises BadInput.
    """
    statement = roles_sql(app_role)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
