"""The kinds of jobs: what a worker does for each, and who may start it.

Each app registers its kinds in its module `jobs`, which every process loads at the start; so a lower app starts the
jobs of a higher one by name, without importing it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from datasets_app.domain.roles import Action
from datasets_app.models import JobRun
from datasets_app.services.jobs.progress import Progress
from goldenproject.kit.errors import BadInput

Work = Callable[[JobRun, Progress], dict[str, Any]]


class UnknownJobKind(BadInput):
    """There is no job of this kind."""

    code = "unknown_job_kind"


@dataclass(frozen=True)
class JobKind:
    """A kind of job. `work` may be run again after a kill, so what it does twice must be as if done once.

    It gets the JobRun and a Progress, and returns the result to keep: plain JSON, shown to people name by name.
    `links` are (title, address) of what a finished job has made, `facts` (name, words) of its result, where
    the result itself is no pleasure to read. `action` is the right to start it, in its dataset, or everywhere when it has none.
    """

    name: str
    title: str
    action: Action
    work: Work
    links: Callable[[JobRun], list[tuple[str, str]]] = lambda job: []
    facts: Callable[[JobRun], list[tuple[str, str]]] | None = None


_kinds: dict[str, JobKind] = {}


def register(kind: JobKind) -> None:
    """Make a kind known. The same name again replaces it."""
    _kinds[kind.name] = kind


def kind_of(name: str) -> JobKind:
    """Return the kind called `name`. Raises UnknownJobKind."""
    if name not in _kinds:
        raise UnknownJobKind(f"Job “{name}”: expected one of {', '.join(sorted(_kinds))}.")
    return _kinds[name]
