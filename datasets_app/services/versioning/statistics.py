"""The planner's statistics after much was written at once.

Until PostgreSQL's own ANALYZE comes round, up to a minute later, the planner believes the tables to be as before, and
the first page that joins a freshly imported working copy with its touched rows would compare all with all.
"""

from __future__ import annotations

from django.db import connection, transaction

MANY_ROWS = 5_000
_ANALYZE = "ANALYZE datasets_app_example, datasets_app_dirtyexample, datasets_app_exampleidentity"


def refresh_statistics(written_rows: int) -> None:
    """Renew the statistics of the working tables once the transaction is committed, if it wrote many rows.

    After the commit, because ANALYZE holds a lock that would make two imports wait for each other. A role that may not
    analyze the tables gets a warning of the server and goes on.
    """
    if written_rows >= MANY_ROWS:
        transaction.on_commit(_analyze, robust=True)


def _analyze() -> None:
    with connection.cursor() as cursor:
        cursor.execute(_ANALYZE)
