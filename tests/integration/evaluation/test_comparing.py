"""Two runs compared, gates held, failing queries shown."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from datasets_app.errors import UnknownMetric, UnknownRun
from datasets_app.models import Chunk, ExpectedChunk, RetrievalRun
from datasets_app.services.evaluation.comparing import NothingInCommon, compare_runs
from datasets_app.services.evaluation.failing import failing_queries
from datasets_app.services.evaluation.gates import check_gates, parse_floors
from datasets_app.services.evaluation.running import EvaluationOptions, QueryFilter, evaluate
from datasets_app.services.evaluation.stored_runs import get_run
from datasets_app.services.retrieval.searching import SearchOptions
from goldenproject.kit.errors import BadInput
from tests.integration.evaluation.conftest import FakeSearch, Judged

QUERIES = [f"q{number}" for number in range(8)]


@pytest.fixture
def eight(judged: Judged, search: FakeSearch) -> Judged:
    """Eight queries, each expects the chunk of its number, and finds it first."""
    for number, text in enumerate(QUERIES):
        judged.query(text, {number: 1}, tags=["first half"] if number < 4 else [])
    _find(search, QUERIES)
    return judged


def _find(search: FakeSearch, right: list[str], second: list[str] | None = None) -> None:
    """Let the search find what `right` expect first, what `second` expect second, and for all others chunk 9 alone."""
    search.lexical = {text: [9] for text in QUERIES}
    search.lexical |= {text: [QUERIES.index(text), 9] for text in right}
    search.lexical |= {text: [9, QUERIES.index(text)] for text in second or []}


def _run(judged: Judged, k: int = 5, query_filter: QueryFilter | None = None) -> RetrievalRun:
    options = EvaluationOptions(
        search=SearchOptions(legs=("lexical",)), k=k, query_filter=query_filter or QueryFilter()
    )
    return evaluate(corpus=judged.corpus, options=options, actor=None)


def test_compare_runs__six_lost_one_won__as_counted_by_hand(eight: Judged, search: FakeSearch) -> None:
    _find(search, QUERIES[:7])
    base = _run(eight)
    _find(search, ["q0", "q7"])
    other = _run(eight)
    comparison = compare_runs(base=base, other=other)
    assert (comparison.common, comparison.base_passed, comparison.other_passed) == (8, 7, 2)
    assert {flip.text for flip in comparison.lost} == {"q1", "q2", "q3", "q4", "q5", "q6"}
    assert [flip.text for flip in comparison.won] == ["q7"]
    assert comparison.pass_p == pytest.approx(2 * 8 / 128)  # P(at most 1 of 7 flips won), both sides
    ndcg = comparison.metric("ndcg@5")
    assert ndcg is not None
    assert (ndcg.base, ndcg.other, ndcg.difference.mean) == (7 / 8, 2 / 8, -5 / 8)
    assert -1 <= ndcg.difference.low < -5 / 8 < ndcg.difference.high <= 0.25
    assert ndcg.p == 16 / 128  # of 2^7 sign patterns those with at most one + or at most one -
    assert comparison.not_comparable == []


def test_compare_runs__a_run_with_itself__differs_in_nothing(eight: Judged) -> None:
    run = _run(eight)
    comparison = compare_runs(base=run, other=run)
    assert (comparison.lost, comparison.won, comparison.pass_p) == ([], [], 1.0)
    assert {(metric.difference.mean, metric.p) for metric in comparison.metrics} == {(0.0, 1.0)}


def test_compare_runs__other_queries_chunks_and_k__says_why_it_is_not_fully_comparable(eight: Judged) -> None:
    base = _run(eight)
    Chunk.objects.filter(pk=eight.chunks[8].pk).update(content="changed")
    other = _run(eight, k=3, query_filter=QueryFilter(tags=("first half",)))
    comparison = compare_runs(base=base, other=other)
    assert comparison.common == 4
    assert comparison.not_comparable == [
        "The queries, their expected chunks or their pass rules differ: 4 queries were asked by both, of "
        f"8 in run {base.pk} and 4 in run {other.pk}.",
        "The searched chunks differ: the corpus changed between the runs.",
        f"k differs: 5 in run {base.pk}, 3 in run {other.pk}.",
    ]
    assert [metric.name for metric in comparison.metrics] == ["ndcg@10", "recall@100", "mrr", "map"]


def test_compare_runs__no_query_in_common__is_refused(eight: Judged, search: FakeSearch) -> None:
    base = _run(eight, query_filter=QueryFilter(tags=("first half",)))
    eight.query("alone", {1: 1}, tags=["alone"])
    other = _run(eight, query_filter=QueryFilter(tags=("alone",)))
    with pytest.raises(NothingInCommon, match="asked 4 queries and run .* asked 1; found none"):
        compare_runs(base=base, other=other)


def test_compare_runs__any_size__takes_one_statement(eight: Judged) -> None:
    run = _run(eight)
    with CaptureQueriesContext(connection) as captured:
        compare_runs(base=run, other=run)
    assert len(captured) == 1


@pytest.mark.parametrize(
    ("texts", "floors"),
    [
        ([], {}),
        (["pass_rate=0.9"], {"pass_rate": 0.9}),
        (["pass_rate=0.9, ndcg@10=.7", "mrr=1"], {"pass_rate": 0.9, "ndcg@10": 0.7, "mrr": 1.0}),
    ],
)
def test_parse_floors__names_and_numbers__are_read(texts: list[str], floors: dict[str, float]) -> None:
    assert parse_floors(texts) == floors


@pytest.mark.parametrize(
    "text", ["", "pass_rate", "pass_rate=", "pass_rate=90", "mrr=-.1", "mrr=nan", "mrr=high"]
)
def test_parse_floors__not_a_floor__is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"expected METRIC=FLOOR with a floor from 0 to 1\."):
        parse_floors([text])


def test_parse_floors__not_a_metric__is_refused() -> None:
    with pytest.raises(UnknownMetric, match="found 'quality'"):
        parse_floors(["quality=0.5"])


def test_check_gates__floors__hold_when_reached_and_tell_the_figures_when_not(
    eight: Judged, search: FakeSearch
) -> None:
    _find(search, QUERIES[:6])
    run = _run(eight)
    assert check_gates(run, {"pass_rate": 0.75, "mrr": 0.75}) == []
    (failure,) = check_gates(run, {"pass_rate": 0.9, "mrr": 0.5})
    assert (failure.gate, failure.found, failure.expected) == ("pass_rate>=0.9", 0.75, 0.9)
    # Wilson for 6 of 8: .4093 to .9285
    assert failure.message == "pass_rate is 0.7500 (95 % interval 0.4093 to 0.9285), below 0.9."


def test_check_gates__a_metric_that_was_not_measured__is_refused(eight: Judged) -> None:
    with pytest.raises(UnknownMetric, match="did not measure 'ndcg@7'; expected one of pass_rate, ndcg@5"):
        check_gates(_run(eight), {"ndcg@7": 0.1})


def test_check_gates__significantly_worse__fails_in_pass_rate_and_ranking(
    eight: Judged, search: FakeSearch
) -> None:
    base = _run(eight)
    _find(search, QUERIES[5:])
    run = _run(eight)
    passes, ranking = check_gates(run, {}, base)
    assert passes.gate == f"pass_rate not worse than run {base.pk}"
    assert passes.message == (
        f"The pass rate fell from 100.0% in run {base.pk} to 37.5%: 5 queries fail that passed, 0 pass that failed "
        "(McNemar, one-sided p = 0.031)."
    )
    assert passes.p == ranking.p == 1 / 32
    assert ranking.message.startswith(
        f"nDCG@10 fell from 1.0000 in run {base.pk} to 0.3750: -0.6250, 95 % interval "
    )


def test_check_gates__every_query_one_rank_lower__fails_in_ranking_alone(
    eight: Judged, search: FakeSearch
) -> None:
    base = _run(eight)
    _find(search, [], QUERIES)
    (failure,) = check_gates(_run(eight), {}, base)
    assert failure.gate == f"ndcg@10 not worse than run {base.pk}"
    assert failure.p == 1 / 256


def test_check_gates__four_lost__could_be_chance(eight: Judged, search: FakeSearch) -> None:
    base = _run(eight)
    _find(search, QUERIES[4:])
    assert check_gates(_run(eight), {}, base) == []  # p = 1/16 each


def test_check_gates__better__passes(eight: Judged, search: FakeSearch) -> None:
    _find(search, [])
    base = _run(eight)
    _find(search, QUERIES)
    assert check_gates(_run(eight), {}, base) == []


def test_failing_queries__a_failed_query__shows_what_was_expected_and_what_was_found_instead(
    eight: Judged, search: FakeSearch
) -> None:
    search.lexical["q3"] = [9, 8, 3]
    run = _run(eight, k=2)
    (failing,) = failing_queries(run)
    assert failing.text == "q3"
    url = "https://docs.python.org/3/library/json.html"
    assert [entry.document() for entry in failing.expected] == [
        {
            "chunk": str(eight.chunks[3].pk),
            "title": "Section 3",
            "url": url,
            "exists": True,
            "relevance": 1,
            "rank": 3,
        }
    ]
    assert [(entry.rank, entry.chunk.title, entry.relevance) for entry in failing.found] == [
        (1, "Section 9", 0),
        (2, "Section 8", 0),
    ]


def test_failing_queries__a_chunk_that_is_gone__keeps_its_id(eight: Judged, search: FakeSearch) -> None:
    _find(search, QUERIES[1:])
    run = _run(eight)
    ExpectedChunk.objects.filter(chunk=eight.chunks[0]).delete()
    Chunk.objects.filter(pk=eight.chunks[0].pk).delete()
    (failing,) = failing_queries(run)
    assert (
        failing.expected[0].chunk.id,
        failing.expected[0].chunk.title,
        failing.expected[0].chunk.exists,
    ) == (
        eight.chunks[0].pk,
        "(gone)",
        False,
    )


def test_failing_queries__many__come_in_pages_of_two_statements(eight: Judged, search: FakeSearch) -> None:
    _find(search, [])
    run = _run(eight)
    with CaptureQueriesContext(connection) as captured:
        first = failing_queries(run, limit=5)
    assert len(captured) == 2
    rest = failing_queries(run, limit=None, offset=5)
    assert {query.text for query in first + rest} == set(QUERIES)
    assert (len(first), len(rest)) == (5, 3)


def test_get_run__by_number_or_last__finds_it(eight: Judged) -> None:
    first, second = _run(eight), _run(eight)
    assert get_run(first.pk) == get_run(str(first.pk), eight.corpus) == first
    assert get_run("last", eight.corpus) == second


@pytest.mark.parametrize("key", ["0", "last", "x", "", "-1", "9" * 30])
def test_get_run__no_such_run__is_told(judged: Judged, key: str) -> None:
    with pytest.raises(UnknownRun, match="of the corpus “docs”; expected a run's number"):
        get_run(key, judged.corpus)
