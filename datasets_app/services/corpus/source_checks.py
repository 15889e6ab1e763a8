"""Look at the sources of a corpus again: which are the same, which have changed, moved or gone.

What the first look found is what later looks are compared with, until `forget_checks` says that the change was dealt
with. Each batch is written as soon as it is done, so a run that is killed has lost a batch at the most.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet

from datasets_app.domain.roles import Action
from datasets_app.domain.url_contract import canonical_url
from datasets_app.errors import SourceRefused, SourceUnreachable
from datasets_app.models import Analysis, Corpus, SourceCheck
from datasets_app.services.access import record
from datasets_app.services.corpus.changing import allow
from datasets_app.services.corpus.fetching import FetchedSource, fetch_source
from goldenproject.kit.audit import acting
from goldenproject.kit.clock import now

BATCH = 200
MAX_NAMED = 200
_GONE = frozenset({404, 410})
_MAX_MESSAGE = 1000
Outcome = SourceCheck.Outcome
Progress = Callable[..., None]


@dataclass(frozen=True)
class CheckOptions:
    """How sources are asked: how many hosts at a time, and how long a host is left alone between two requests."""

    hosts_at_a_time: int = 8
    delay_s: float = 1.0
    fetch: Callable[[str], FetchedSource] = fetch_source
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class CheckedSource:
    """A source worth a person's look: it changed, moved, is gone, or could not or may not be fetched."""

    analysis: str
    url: str
    outcome: str
    message: str


@dataclass
class SourceCheckReport:
    """`counts` by outcome; `notable` names the first 200 that are neither the same nor seen for the first time."""

    checked: int = 0
    counts: dict[str, int] = field(default_factory=lambda: {str(outcome): 0 for outcome in Outcome.values})
    notable: list[CheckedSource] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            "checked": self.checked,
            **self.counts,
            "notable": [asdict(source) for source in self.notable],
        }

    def as_text(self) -> str:
        """A line for each notable source, then the counts."""
        lines = [f"{s.outcome}: {s.url}  {s.message}".rstrip() for s in self.notable]
        told = ", ".join(f"{name} {count}" for name, count in self.counts.items() if count)
        named = sum(self.counts.values()) - self.counts["first"] - self.counts["same"]
        if named > len(lines):
            lines.append(f"… and {named - len(lines)} more")
        return "\n".join([*lines, f"Sources checked: {self.checked}{f' ({told})' if told else ''}"])


@dataclass(frozen=True)
class _Look:
    """What one request gave, before it is compared."""

    fetched: FetchedSource | None
    outcome: str
    message: str


def check_sources(
    *,
    corpus: Corpus | None = None,
    actor: Any,
    limit: int | None = None,
    progress: Progress | None = None,
    since: datetime | None = None,
    options: CheckOptions | None = None,
) -> SourceCheckReport:
    """Fetch the URLs of completed analyses again (of `corpus`, else of all) and store what each look found.

    Those looked at longest ago come first, so `limit` of them a night get round. Those looked at after `since` (now)
    are left out: a run that is taken up again goes on where it was. Must not run inside a transaction: it waits for
    other people's servers.
    """
    allow(actor, Action.EDIT)
    options = options or CheckOptions()
    since = since or now()
    due = _due(corpus, since)
    total = due.count() if limit is None else min(limit, due.count())
    report = SourceCheckReport()
    left_alone_until: dict[str, float] = {}
    while report.checked < total:
        batch = list(due[: min(BATCH, total - report.checked)])
        if not batch:
            break  # deleted meanwhile
        looks: dict[UUID, _Look] = {}
        for pk, look in _looked_at(batch, options, left_alone_until):
            looks[pk] = look
            if progress is not None:
                progress(report.checked + len(looks), total)
        checks = _stored(batch, looks, actor)
        _add(report, batch, checks)
    where = corpus.name if corpus is not None else "all corpora"
    record(actor, "corpus.check_sources", None, where, checked=report.checked, counts=report.counts)
    return report


def forget_checks(*, analyses: Iterable[Analysis], actor: Any) -> int:
    """Forget what was found of these sources, because they were read anew: the next look is the first. Returns how many."""
    allow(actor, Action.EDIT)
    with acting(actor, "forget source checks"):
        count, _ = SourceCheck.objects.filter(analysis__in=[analysis.pk for analysis in analyses]).delete()
        record(actor, "corpus.forget_checks", None, f"{count} sources")
    return count


def _due(corpus: Corpus | None, since: datetime) -> QuerySet[Analysis]:
    due = Analysis.objects.filter(
        Q(source_check=None) | Q(source_check__checked_at__lt=since), status=Analysis.Status.COMPLETED
    )
    if corpus is not None:
        due = due.filter(corpus=corpus)
    return due.select_related("source_check").order_by(
        F("source_check__checked_at").asc(nulls_first=True), "pk"
    )


def _looked_at(
    batch: list[Analysis], options: CheckOptions, left_alone_until: dict[str, float]
) -> Iterator[tuple[UUID, _Look]]:
    """Yield what each source gave, as it comes. A thread asks a host's sources one after the other; it sees no database."""
    by_host: dict[str, list[tuple[UUID, str]]] = defaultdict(list)
    for analysis in batch:
        by_host[_host(analysis.canonical_url)].append((analysis.pk, analysis.url))
    for host in left_alone_until.keys() - by_host.keys():
        del left_alone_until[host]
    with ThreadPoolExecutor(options.hosts_at_a_time, thread_name_prefix="sources") as pool:
        try:
            running = {
                pool.submit(_ask_host, sources, left_alone_until.get(host, 0.0), options): host
                for host, sources in by_host.items()
            }
            for done in as_completed(running):
                left_alone_until[running[done]] = time.monotonic() + options.delay_s
                yield from done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _ask_host(
    sources: list[tuple[UUID, str]], not_before: float, options: CheckOptions
) -> list[tuple[UUID, _Look]]:
    found = []
    for pk, url in sources:
        wait = not_before - time.monotonic()
        if wait > 0:
            options.sleep(wait)
        found.append((pk, _look(url, options.fetch)))
        not_before = time.monotonic() + options.delay_s
    return found


def _host(canonical: str) -> str:
    return canonical.partition("://")[2].partition("/")[0]


def _look(url: str, fetch: Callable[[str], FetchedSource]) -> _Look:
    try:
        fetched = fetch(url)
    except SourceRefused as error:
        return _Look(None, Outcome.REFUSED, error.message)
    except SourceUnreachable as error:
        return _Look(None, Outcome.FAILED, error.message)
    if fetched.http_status in _GONE:
        return _Look(fetched, Outcome.GONE, f"HTTP {fetched.http_status}")
    if fetched.http_status != 200:
        return _Look(fetched, Outcome.FAILED, f"HTTP {fetched.http_status}")
    return _Look(fetched, "", "")


def _compared(analysis: Analysis, look: _Look, before: SourceCheck | None) -> SourceCheck:
    """Return the new check of a source: the look beside what the first one found."""
    known = before.content_sha256 if before else ""
    check = SourceCheck(
        analysis_id=analysis.pk,
        checked_at=now(),
        outcome=look.outcome,
        message=look.message[:_MAX_MESSAGE],
        content_sha256=known,
        size_bytes=before.size_bytes if before else 0,
        changed_at=before.changed_at if before else None,
    )
    fetched = look.fetched
    if fetched is None:
        return check
    check.http_status, check.final_url = fetched.http_status, fetched.final_url
    if look.outcome:
        return check
    check.content_sha256, check.size_bytes = known or fetched.content_sha256, fetched.size_bytes
    moved = canonical_url(fetched.final_url) != canonical_url(analysis.url)
    if moved:
        check.message = f"redirects to {fetched.final_url}"
    if known and fetched.content_sha256 != known:
        check.outcome, check.changed_at = Outcome.CHANGED, check.changed_at or check.checked_at
    else:
        check.outcome = Outcome.MOVED if moved else Outcome.SAME if known else Outcome.FIRST
        check.changed_at = None
    return check


def _stored(batch: list[Analysis], looks: dict[UUID, _Look], actor: Any) -> list[SourceCheck]:
    """Store the checks of those sources that are still there under the same URL; return all checks of the batch."""
    checks = [_compared(a, looks[a.pk], getattr(a, "source_check", None)) for a in batch]
    urls = {a.pk: a.url for a in batch}
    with acting(actor, "check sources"):
        there = dict(
            Analysis.objects.filter(pk__in=urls).select_for_update(no_key=True).values_list("pk", "url")
        )
        SourceCheck.objects.bulk_create(
            [check for check in checks if there.get(check.analysis_id) == urls[check.analysis_id]],
            update_conflicts=True,
            unique_fields=["analysis"],
            update_fields=[
                field.attname for field in SourceCheck._meta.concrete_fields if not field.primary_key
            ],
        )
    return checks


def _add(report: SourceCheckReport, batch: list[Analysis], checks: list[SourceCheck]) -> None:
    report.checked += len(checks)
    for outcome, count in Counter(str(check.outcome) for check in checks).items():
        report.counts[outcome] += count
    for analysis, check in zip(batch, checks, strict=True):
        if check.outcome not in (Outcome.FIRST, Outcome.SAME) and len(report.notable) < MAX_NAMED:
            report.notable.append(
                CheckedSource(str(analysis.pk), analysis.url, str(check.outcome), check.message)
            )
