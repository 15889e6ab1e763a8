"""The steps of the labeling bench, each in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.bench.labeling_clients import many_at_once, one_alone
from tests.bench.labeling_proof import check, label_through_kills
from tests.bench.labeling_site import Prepared, Site
from tests.bench.labeling_site import prepare as _prepare


def prepare(folder: str, rows: str, labelers: str, overlap: str) -> dict[str, Any]:
    """Make the queue and the labelers; what the other steps need lies in `folder`/prepared.json."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    made = _prepare(rows=int(rows), labelers=int(labelers), overlap=int(overlap), folder=place)
    made.write(place / "prepared.json")
    _at_rest()
    return {**made.seconds}


def _at_rest() -> None:
    """Bring the database to where it is some minutes after an import: vacuumed, and with nothing left to write out."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
        cursor.execute("CHECKPOINT")


def alone(folder: str, calls: str) -> dict[str, Any]:
    """One labeler, one call at a time."""
    prepared = Prepared.read(Path(folder) / "prepared.json")
    with Site(log=Path(folder) / "gunicorn.log") as site:
        return dict(one_alone(site.port, prepared, int(calls)))


def together(folder: str, seconds: str, think_s: str) -> dict[str, Any]:
    """All labelers at once."""
    prepared = Prepared.read(Path(folder) / "prepared.json")
    with Site(log=Path(folder) / "gunicorn.log") as site:
        many_at_once(site.port, prepared, seconds=3, think_s=0.1)  # warm
        return many_at_once(site.port, prepared, seconds=float(seconds), think_s=float(think_s))


def proof(folder: str, labels: str, between_kills: str) -> dict[str, Any]:
    """All labelers at once with kills in between, then every count held against the database."""
    from django.conf import settings
    from django.db import connection

    prepared = Prepared.read(Path(folder) / "prepared.json")
    connection.ensure_connection()  # a lease on the embedded server: it is killed here, but never stopped for good
    with Site(log=Path(folder) / "gunicorn.log") as site:
        seen = label_through_kills(
            site,
            prepared,
            labels=int(labels),
            between_kills=int(between_kills),
            kills_database="EMBEDDED" in settings.DATABASES["default"],
        )
    return check(prepared, seen)


if __name__ == "__main__":
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "goldenproject.settings.dev")
    from tests.bench.steps import main

    main(globals())
