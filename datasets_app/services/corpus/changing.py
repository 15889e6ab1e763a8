"""What every change of a corpus shares: rights, one transaction, one writer at a time, and who hears of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.dispatch import Signal

from datasets_app.domain.roles import Action
from datasets_app.models import Corpus
from datasets_app.services.access import require
from goldenproject.kit.audit import acting
from goldenproject.kit.database_io import advisory_lock

corpus_changed = Signal()
"""Sent with `corpus` and `actor`, inside the transaction, by each service that changed chunks or statuses."""

MANY_ROWS = 5_000
_ANALYZE = """
    ANALYZE datasets_app_analysis, datasets_app_finding, datasets_app_chunk, datasets_app_artifact,
        datasets_app_testquery, datasets_app_expectedchunk, datasets_app_changedchunk,
        datasets_app_historicalanalysis, datasets_app_historicalfinding, datasets_app_historicalchunk,
        datasets_app_historicalartifact, datasets_app_historicaltestquery, datasets_app_historicalexpectedchunk
"""


def allow(actor: Any, action: Action) -> None:
    """Check the rights of a person; the system (None) may do all. Raises Forbidden."""
    if actor is not None:
        require(actor, action)


@contextmanager
def changing(*, corpus: Corpus, actor: Any, action: Action, reason: str) -> Iterator[None]:
    """Run the block as the one writer of `corpus`, in one transaction recorded as `actor`'s. Raises Forbidden."""
    allow(actor, action)
    with acting(actor, reason):
        advisory_lock(f"golden corpus {corpus.pk}")
        yield


def tell_changed(corpus: Corpus, actor: Any, written_rows: int = 0) -> None:
    """Tell those who derive from the chunks of `corpus` that these changed; renew the statistics after many."""
    if written_rows >= MANY_ROWS:
        refresh_statistics()
    corpus_changed.send(sender=Corpus, corpus=corpus, actor=actor)


def refresh_statistics() -> None:
    """Renew the planner's statistics of the corpus after the commit, since ANALYZE holds locks until its end."""
    transaction.on_commit(_analyze, robust=True)


def _analyze() -> None:
    with connection.cursor() as cursor:
        cursor.execute(_ANALYZE)
