"""Sources are looked at again: what is told of each, politely, without the database in the threads."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from datasets_app.errors import SourceRefused, SourceUnreachable
from datasets_app.models import Analysis, AuditEvent, Corpus, SourceCheck
from datasets_app.services.corpus import source_checks
from datasets_app.services.corpus.fetching import FetchedSource, FetchLimits, fetch_source
from datasets_app.services.corpus.source_checks import CheckOptions, check_sources, forget_checks
from datasets_app.services.corpus.url_rules import contract_columns
from goldenproject.kit.clock import frozen
from goldenproject.kit.commands import UsageError
from goldenproject.kit.errors import Forbidden
from tests.integration.corpus.web_server import page, serving

pytestmark = pytest.mark.django_db
DAY = datetime(2030, 1, 1, tzinfo=UTC)


def analysis(corpus: Corpus, url: str, status: str = "completed") -> Analysis:
    canonical, reason = contract_columns(url)
    return Analysis.objects.create(
        corpus=corpus, url=url, canonical_url=canonical, url_violation=reason, content_type="a", status=status
    )


def answer(sha: str, status: int = 200, final_url: str = "") -> Callable[[str], FetchedSource]:
    return lambda url: FetchedSource(url, final_url or url, status, "text/html", sha, 5)


def options(
    fetch: Callable[[str], FetchedSource], delay_s: float = 0.0, sleep: Callable[[float], None] = time.sleep
) -> CheckOptions:
    return CheckOptions(fetch=fetch, delay_s=delay_s, sleep=sleep)


def checked_on(day: int, fetch: Callable[[str], FetchedSource]) -> SourceCheck:
    with frozen(DAY + timedelta(days=day)):
        check_sources(actor=None, options=options(fetch))
    return SourceCheck.objects.get()


def test_check_sources__looks_on_several_days__compared_with_the_first(corpus: Corpus) -> None:
    source = analysis(corpus, "https://docs.golden.dev/a")
    first = checked_on(0, answer("1" * 64))
    assert (first.outcome, first.content_sha256, first.http_status, first.size_bytes) == (
        "first",
        "1" * 64,
        200,
        5,
    )
    assert checked_on(1, answer("1" * 64)).outcome == "same"
    changed = checked_on(2, answer("2" * 64))
    assert (changed.outcome, changed.content_sha256) == ("changed", "1" * 64)
    assert changed.changed_at == DAY + timedelta(days=2)
    still = checked_on(3, answer("3" * 64))
    assert (still.outcome, still.changed_at, still.checked_at) == (
        "changed",
        DAY + timedelta(days=2),
        DAY + timedelta(days=3),
    )
    back = checked_on(4, answer("1" * 64))
    assert (back.outcome, back.changed_at) == ("same", None)
    checked_on(5, answer("2" * 64))
    assert forget_checks(analyses=[source], actor=None) == 1
    assert checked_on(6, answer("2" * 64)).outcome == "first"


def refuse(url: str) -> FetchedSource:
    raise SourceRefused("its address is not public (loopback)")


def fail(url: str) -> FetchedSource:
    raise SourceUnreachable("no answer within 30 s")


@pytest.mark.parametrize(
    ("fetch", "outcome", "message", "status"),
    [
        (answer("", 404), "gone", "HTTP 404", 404),
        (answer("", 410), "gone", "HTTP 410", 410),
        (answer("", 503), "failed", "HTTP 503", 503),
        (fail, "failed", "no answer within 30 s", None),
        (refuse, "refused", "its address is not public (loopback)", None),
        (
            answer("1" * 64, final_url="https://new.golden.dev/a"),
            "moved",
            "redirects to https://new.golden.dev/a",
            200,
        ),
        (answer("1" * 64, final_url="https://DOCS.golden.dev:443/a"), "same", "", 200),
    ],
)
def test_check_sources__second_look__outcome_and_what_was_known_is_kept(
    corpus: Corpus, fetch: Any, outcome: str, message: str, status: int | None
) -> None:
    source = analysis(corpus, "https://docs.golden.dev/a")
    checked_on(0, answer("1" * 64))
    check = checked_on(1, fetch)
    assert (check.outcome, check.message, check.http_status) == (outcome, message, status)
    assert check.content_sha256 == "1" * 64
    with frozen(DAY + timedelta(days=2)):
        report = check_sources(actor=None, options=options(fetch))
    assert report.checked == report.counts[outcome] == 1
    assert [(s.analysis, s.outcome, s.message) for s in report.notable] == (
        [] if outcome == "same" else [(str(source.pk), outcome, message)]
    )


def test_check_sources__many__oldest_look_first_up_to_the_limit(corpus: Corpus) -> None:
    for number in range(5):
        analysis(corpus, f"https://docs.golden.dev/{number}")
    analysis(corpus, "https://docs.golden.dev/pending", status="pending")
    asked: list[str] = []

    def fetch(url: str) -> FetchedSource:
        asked.append(url)
        return answer("1" * 64)(url)

    for day in range(3):
        with frozen(DAY + timedelta(days=day)):
            report = check_sources(actor=None, limit=2, options=options(fetch))
        assert report.checked == 2
    assert len(set(asked[:5])) == 5
    assert asked[5] in asked[:2]


def test_check_sources__taken_up_again__leaves_out_what_is_done(corpus: Corpus) -> None:
    for number in range(3):
        analysis(corpus, f"https://docs.golden.dev/{number}")
    with frozen(DAY):
        check_sources(actor=None, limit=2, options=options(answer("1" * 64)))
        again = check_sources(actor=None, since=DAY, options=options(answer("1" * 64)))
    assert (again.checked, again.counts["first"]) == (1, 1)


def test_check_sources__corpus__its_own_alone_in_batches(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_checks, "BATCH", 2)
    other = Corpus.objects.create(name="other")
    analysis(other, "https://docs.golden.dev/0")
    for number in range(5):
        analysis(corpus, f"https://docs{number % 2}.golden.dev/{number}")
    told: list[tuple[int, int]] = []
    report = check_sources(
        corpus=corpus,
        actor=None,
        options=options(answer("1" * 64)),
        progress=lambda done, total: told.append((done, total)),
    )
    assert report.checked == 5
    assert told[-1] == (5, 5)
    assert SourceCheck.objects.filter(analysis__corpus=other).count() == 0


def test_check_sources__one_host__one_request_at_a_time_with_a_pause(corpus: Corpus) -> None:
    for number in range(4):
        analysis(corpus, f"https://docs.golden.dev/{number}")
    analysis(corpus, "https://other.golden.dev/")
    at_once: list[str] = []
    clashes: list[str] = []
    pauses: list[float] = []
    lock = threading.Lock()

    def fetch(url: str) -> FetchedSource:
        host = url.split("/")[2]
        with lock:
            clashes.extend([host] if host in at_once else [])
            at_once.append(host)
        with lock:
            at_once.remove(host)
        return answer("1" * 64)(url)

    check_sources(actor=None, options=options(fetch, delay_s=60.0, sleep=pauses.append))
    assert clashes == []
    assert len(pauses) == 3  # before the second, third and fourth of one host
    assert all(59.0 < pause <= 60.0 for pause in pauses)


def test_check_sources__url_changed_or_deleted_meanwhile__not_stored(corpus: Corpus) -> None:
    changed = analysis(corpus, "https://docs.golden.dev/1")
    analysis(corpus, "https://docs.golden.dev/2")

    def meanwhile(done: int, total: int) -> None:
        Analysis.objects.filter(pk=changed.pk).update(url="https://docs.golden.dev/3")
        Analysis.objects.exclude(pk=changed.pk).delete()

    report = check_sources(actor=None, limit=2, options=options(answer("1" * 64)), progress=meanwhile)
    assert report.checked == 2
    assert SourceCheck.objects.count() == 0


def test_check_sources__real_server_on_loopback__refused_by_default(corpus: Corpus) -> None:
    with serving() as serve:
        server = serve(lambda path, headers: page(b"secret"))
        analysis(corpus, f"http://127.0.0.1:{server.port}/")
        report = check_sources(actor=None, options=CheckOptions(delay_s=0))
        assert server.requests == []
    assert report.counts["refused"] == 1
    assert SourceCheck.objects.get().message.endswith("the address 127.0.0.1 is not public (loopback).")


def test_check_sources__real_page_with_another_nonce__same(corpus: Corpus) -> None:
    nonces = iter("12")
    analysis(corpus, "http://docs.golden.dev/")
    with serving() as serve:
        server = serve(lambda path, headers: page(f"<script nonce={next(nonces)}>x</script>text".encode()))

        def fetch(url: str) -> FetchedSource:
            return fetch_source(url, FetchLimits(), network=server.network())

        assert [checked_on(day, fetch).outcome for day in (0, 1)] == ["first", "same"]


def test_check_sources__person__needs_the_right_and_is_recorded(
    corpus: Corpus, curator: Any, viewer: Any
) -> None:
    analysis(corpus, "https://docs.golden.dev/1")
    with pytest.raises(Forbidden):
        check_sources(actor=viewer, options=options(answer("1" * 64)))
    check_sources(corpus=corpus, actor=curator, options=options(answer("1" * 64)))
    event = AuditEvent.objects.get(action="corpus.check_sources")
    assert (event.actor, event.summary, event.details["checked"]) == (curator, corpus.name, 1)


def test_report__text__notable_lines_and_counts(corpus: Corpus) -> None:
    analysis(corpus, "https://docs.golden.dev/1")
    report = check_sources(actor=None, options=options(answer("", 404)))
    assert report.as_text() == "gone: https://docs.golden.dev/1  HTTP 404\nSources checked: 1 (gone 1)"
    assert report.as_dict()["gone"] == 1


def test_job__check_sources__looks_as_its_arguments_say(corpus: Corpus) -> None:
    from datasets_app.models import JobRun
    from datasets_app.services.jobs.kinds import kind_of

    for number in (1, 2):
        analysis(corpus, f"http://127.0.0.1/{number}")
    job = JobRun.objects.create(kind="check_sources", arguments={"corpus": corpus.name, "limit": 1})
    job.refresh_from_db()
    result = kind_of("check_sources").work(job, lambda done, total=None, message=None: None)  # type: ignore[arg-type]
    assert (result["checked"], result["refused"]) == (1, 1)


def test_golden_verify__check_sources__told_beside_the_verification(
    corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    analysis(corpus, "http://127.0.0.1/1")
    call_command("golden_verify", "--check-sources", "--corpus", corpus.name, "--limit", "1", "--json")
    told = json.loads(capsys.readouterr().out)["sources"]
    assert (told["checked"], told["refused"], told["notable"][0]["url"]) == (1, 1, "http://127.0.0.1/1")


def test_golden_verify__check_sources_of_a_backup__usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not at those of a backup"):
        call_command("golden_verify", str(tmp_path), "--check-sources")
