"""Evaluation runs as they are kept: found by number or as the last one."""

from __future__ import annotations

from datasets_app.errors import UnknownRun
from datasets_app.models import Corpus, RetrievalRun

LAST = "last"


def get_run(key: str | int, corpus: Corpus | None = None) -> RetrievalRun:
    """Return the run of this number; "last" is the newest of `corpus`. Raises UnknownRun, also for a run of another."""
    runs = RetrievalRun.objects.select_related("corpus")
    if corpus is not None:
        runs = runs.filter(corpus=corpus)
    text = str(key).strip().lower()
    if text == LAST and corpus is not None:
        found = runs.order_by("-pk").first()
    else:
        found = runs.filter(pk=int(text)).first() if text.isdecimal() and len(text) < 19 else None
    if found is None:
        where = f" of the corpus “{corpus.name}”" if corpus is not None else ""
        newest = list(runs.order_by("-pk").values_list("pk", flat=True)[:5])
        hint = f"The newest runs: {', '.join(map(str, newest))}." if newest else "There is no run yet."
        raise UnknownRun(f"There is no run {key}{where}; expected a run's number.", hint=hint, run=str(key))
    return found
