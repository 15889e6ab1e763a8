"""Evaluating a corpus: what is asked, what is counted, what is stored, and that a stop leaves nothing."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from datasets_app.errors import InvalidPassRule, NothingToEvaluate, UnknownMetric
from datasets_app.models import Analysis, AuditEvent, Chunk, JobRun, RetrievalResult, RetrievalRun
from datasets_app.services.evaluation import running
from datasets_app.services.evaluation.measuring import JudgedQuery
from datasets_app.services.evaluation.running import (
    EvaluationOptions,
    QueryFilter,
    _row,
    evaluate,
    run_of_job,
)
from datasets_app.services.jobs.kinds import kind_of
from datasets_app.services.retrieval.searching import SearchOptions
from goldenproject.kit.errors import BadInput, Forbidden, NotFound
from tests.integration.evaluation.conftest import FakeSearch, Judged

LEXICAL = SearchOptions(legs=("lexical",))


def _run(judged: Judged, **options: Any) -> RetrievalRun:
    return evaluate(
        corpus=judged.corpus, options=EvaluationOptions(**{"search": LEXICAL, **options}), actor=None
    )


@pytest.fixture
def three(judged: Judged, search: FakeSearch) -> Judged:
    """First hit, second hit of two, and nothing: pass, pass, fail at k = 2."""
    judged.query("one", {0: 1}, tags=["easy words", "json"], difficulty="easy", category="api")
    judged.query("two", {2: 2, 5: 1}, tags=["json"], difficulty="hard")
    judged.query("three", {9: 1}, difficulty="hard")
    search.lexical = {"one": [0, 1], "two": [1, 2, 3], "three": [4, 3]}
    return judged


def test_evaluate__three_queries__measures_them_as_derived_by_hand(three: Judged) -> None:
    run = _run(three, k=2)
    assert (run.query_count, run.passed_count, run.skipped_count, run.k) == (3, 2, 0, 2)
    means = {name: metric["mean"] for name, metric in run.metrics.items()}
    ndcg_two = (2 / math.log2(3)) / (2 + 1 / math.log2(3))
    assert means == pytest.approx(
        {
            "pass_rate": 2 / 3,
            "ndcg@2": (1 + ndcg_two + 0) / 3,
            "ndcg@10": (1 + ndcg_two + 0) / 3,
            "precision@2": (0.5 + 0.5 + 0) / 3,
            "recall@2": (1 + 0.5 + 0) / 3,
            "success@2": 2 / 3,
            "mrr": (1 + 0.5 + 0) / 3,
            "map": (1 + 0.25 + 0) / 3,
            "recall@100": (1 + 0.5 + 0) / 3,
        }
    )
    for metric in run.metrics.values():
        assert 0 <= metric["low"] <= metric["mean"] <= metric["high"] <= 1
        assert metric["n"] == 3


def test_evaluate__each_query__is_stored_with_what_was_expected_and_found(three: Judged) -> None:
    run = _run(three, k=2)
    result = run.results.get(text="two")
    ids = [str(chunk.pk) for chunk in three.chunks]
    assert result.passed
    assert result.expected == [[ids[2], 2, 2], [ids[5], 1, None]]
    assert [entry[0] for entry in result.found] == [ids[1], ids[2]]  # the top k, of three found
    assert result.found[0][1] == pytest.approx(1 / 61)
    assert result.metrics["mrr"] == 0.5


def test_evaluate__by_tag_difficulty_and_category__gives_their_means(three: Judged) -> None:
    groups = {(group["by"], group["value"]): group for group in _run(three, k=2).groups}
    assert list(groups) == [
        ("category", "api"),
        ("difficulty", "easy"),
        ("difficulty", "hard"),
        ("tag", "easy words"),
        ("tag", "json"),
    ]
    hard = groups["difficulty", "hard"]
    assert (hard["n"], hard["passed"], hard["metrics"]["pass_rate"], hard["metrics"]["mrr"]) == (
        2,
        1,
        0.5,
        0.25,
    )
    # Wilson for 1 of 2: .0945 to .9055
    assert hard["pass_rate_interval"] == pytest.approx([0.0945, 0.9055], abs=1e-4)


def test_evaluate__the_options__are_kept_and_make_the_same_run_again(
    three: Judged, search: FakeSearch
) -> None:
    options = EvaluationOptions(
        search=SearchOptions(legs=("lexical",), candidates=50, rrf_k=10),
        k=3,
        query_filter=QueryFilter(tags=("json",)),
        name="nightly",
        metrics=("recall@20",),
    )
    first = evaluate(corpus=three.corpus, options=options, actor=None)
    again = evaluate(corpus=three.corpus, options=EvaluationOptions.from_document(first.options), actor=None)
    assert EvaluationOptions.from_document(first.options) == options
    same = ("metrics", "groups", "corpus_hash", "queries_hash", "options", "passed_count", "name", "k")
    assert {name: getattr(first, name) for name in same} == {name: getattr(again, name) for name in same}
    assert "recall@20" in first.metrics
    assert search.asked[0] == search.asked[1]


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({}, 100),  # recall@100 and MAP look at a hundred
        (
            {"search": SearchOptions(legs=("lexical",), candidates=50)},
            50,
        ),  # never at more candidates than asked
        ({"search": SearchOptions(legs=("lexical",), candidates=50), "k": 60}, 60),  # but for k itself
        ({"metrics": ("recall@300",), "search": SearchOptions(legs=("lexical",), candidates=400)}, 400),
    ],
)
def test_evaluate__the_depth__is_what_metrics_need(
    three: Judged, search: FakeSearch, options: dict[str, Any], limit: int
) -> None:
    _run(three, **options)
    assert search.asked[0].limit == limit
    assert search.asked[0].model is None  # no vector leg, no model


def test_evaluate__a_rule_of_the_query__decides_instead_of_the_default(
    judged: Judged, search: FakeSearch
) -> None:
    judged.query("all", {0: 1, 1: 1}, pass_rule={"rule": "all", "k": 3})
    judged.query("recall", {0: 1, 8: 1}, pass_rule={"rule": "recall", "k": 1, "at_least": 0.6})
    search.lexical = {"all": [0, 5, 1], "recall": [0, 5, 8]}
    run = _run(judged, k=1)
    assert dict(run.results.values_list("text", "passed")) == {"all": True, "recall": False}


def test_evaluate__queries_without_expected_chunks__are_left_out_counted_and_warned_of(
    three: Judged, search: FakeSearch
) -> None:
    three.query("nothing expected", {})
    three.query("only judged irrelevant", {3: 0})
    run = _run(three)
    assert (run.query_count, run.skipped_count) == (3, 2)
    assert run.warnings == ["2 test queries have no expected chunk and were left out; 3 were asked."]
    assert not run.results.filter(text__startswith="nothing").exists()


def test_evaluate__none_with_expected_chunks__is_refused_and_writes_nothing(
    judged: Judged, search: FakeSearch
) -> None:
    judged.query("nothing expected", {})
    with pytest.raises(NothingToEvaluate) as refused:
        _run(judged)
    assert refused.value.message == (
        "Corpus “docs”, all queries: found 1 test queries, none of which has an expected chunk; expected at least one."
    )
    assert not RetrievalRun.objects.exists()
    assert search.asked == []


@pytest.mark.parametrize(
    ("query_filter", "texts"),
    [
        (QueryFilter(tags=("json",)), {"one", "two"}),
        (QueryFilter(tags=("json", "easy words")), {"one"}),
        (QueryFilter(difficulty="hard"), {"two", "three"}),
        (QueryFilter(difficulty="hard", tags=("json",)), {"two"}),
        (QueryFilter(category="api"), {"one"}),
    ],
)
def test_evaluate__a_filter__takes_these_queries(
    three: Judged, query_filter: QueryFilter, texts: set[str]
) -> None:
    run = _run(three, query_filter=query_filter)
    assert set(run.results.values_list("text", flat=True)) == texts


def test_evaluate__ids__are_uuids_or_external_ids(three: Judged, search: FakeSearch) -> None:
    named = three.query("four", {1: 1}, external_id="q-4")
    search.lexical["four"] = [1]
    first = three.corpus.queries.get(text="one")
    run = _run(three, query_filter=QueryFilter(ids=("q-4", str(first.pk).upper())))
    assert set(run.results.values_list("query_id", flat=True)) == {named.pk, first.pk}


def test_evaluate__an_unknown_id__is_refused(three: Judged) -> None:
    with pytest.raises(NotFound, match="has the id nobody"):
        _run(three, query_filter=QueryFilter(ids=("nobody",)))
    assert not RetrievalRun.objects.exists()


def test_evaluate__a_stored_rule_that_cannot_be_used__names_the_query(three: Judged) -> None:
    query = three.query("bad rule", {1: 1}, pass_rule={"rule": "most"})
    with pytest.raises(InvalidPassRule, match=f"Query {query.pk} “bad rule”: Pass rule, .*: found 'most'"):
        _run(three)


def test_evaluate__expected_chunks_of_unfinished_analyses__are_warned_of(
    three: Judged, search: FakeSearch
) -> None:
    pending = Analysis.objects.create(
        corpus=three.corpus,
        url="https://docs.python.org/3/library/re.html",
        canonical_url="https://docs.python.org/3/library/re.html",
        content_type="documentation",
        status="pending",
    )
    three.chunks.append(Chunk.objects.create(analysis=pending, content="later", chunk_index=0))
    three.query("later", {10: 1})
    assert _run(three).warnings == [
        "1 expected chunks belong to analyses that are not completed, so no search finds them."
    ]


def test_evaluate__hashes__are_of_the_searched_chunks_and_of_the_judgments(three: Judged) -> None:
    first = _run(three)
    contents = sorted(
        hashlib.sha256(f"{chunk.section_title}\n{chunk.content}".encode()).digest() for chunk in three.chunks
    )
    assert first.corpus_hash == hashlib.sha256(b"".join(contents)).hexdigest()
    three.corpus.queries.get(text="one").expectations.update(relevance=3)
    second = _run(three)
    assert second.corpus_hash == first.corpus_hash
    assert second.queries_hash != first.queries_hash
    Chunk.objects.filter(pk=three.chunks[0].pk).update(content="changed")
    assert _run(three).corpus_hash != first.corpus_hash


def test_evaluate__a_corpus_that_changes_meanwhile__is_warned_of(three: Judged, search: FakeSearch) -> None:
    search.before_answer = lambda text: (
        Chunk.objects.filter(pk=three.chunks[7].pk).update(content="changed") and None
    )
    assert _run(three).warnings == [
        "The corpus changed while it was evaluated: queries were asked of different states."
    ]


def test_evaluate__a_search_that_dies_half_way__leaves_nothing(three: Judged, search: FakeSearch) -> None:
    def die(text: str) -> None:
        if text == "three":
            raise KeyboardInterrupt

    search.before_answer = die
    with pytest.raises(KeyboardInterrupt):
        _run(three)
    assert not RetrievalRun.objects.exists()
    assert not RetrievalResult.objects.exists()
    assert not AuditEvent.objects.filter(action="corpus.evaluate").exists()


def test_evaluate__a_store_that_dies_half_way__leaves_nothing(
    three: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = []

    def die_at_the_third(run: RetrievalRun, judged: JudgedQuery) -> tuple[Any, ...]:
        stored.append(judged)
        if len(stored) == 3:
            raise KeyboardInterrupt
        return _row(run, judged)

    monkeypatch.setattr(running, "_row", die_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        _run(three)
    assert len(stored) == 3
    assert not RetrievalRun.objects.exists()
    assert not RetrievalResult.objects.exists()
    assert not AuditEvent.objects.filter(action="corpus.evaluate").exists()


def test_evaluate__what_searches_warn_of__is_told_once(three: Judged, search: FakeSearch) -> None:
    search.warnings = ["No embedding model is current: lexical alone."]
    run = _run(three, search=SearchOptions())
    assert run.warnings == search.warnings
    assert run.embedding_model == ""  # asked for, but no vector was there
    assert "vector.ndcg@10" not in run.metrics


def test_evaluate__both_legs__measures_each_alone_too(three: Judged, search: FakeSearch) -> None:
    search.vector = {"one": [5, 0], "two": [2], "three": [9, 8]}
    run = _run(three, search=SearchOptions())
    assert run.embedding_model == "minilm"
    two = (2 / math.log2(3)) / (2 + 1 / math.log2(3)), 2 / (2 + 1 / math.log2(3))
    assert run.metrics["lexical.ndcg@10"]["mean"] == pytest.approx((1 + two[0] + 0) / 3)
    assert run.metrics["vector.ndcg@10"]["mean"] == pytest.approx((1 / math.log2(3) + two[1] + 1) / 3)


def test_evaluate__fused_below_the_best_leg__says_so_and_proposes_weights(
    judged: Judged, search: FakeSearch
) -> None:
    judged.query("a", {0: 1})
    judged.query("b", {1: 1})
    # the lexical leg is right; the other one finds nothing right and pushes what both found
    search.lexical = {"a": [0, 2], "b": [1, 3]}
    search.vector = {"a": [2, 4], "b": [3, 5]}
    run = _run(judged, search=SearchOptions())
    assert run.metrics["lexical.ndcg@10"]["mean"] == 1.0
    assert len(run.warnings) == 1
    assert run.warnings[0].startswith(
        "The fused ranking (nDCG@10 0.6309) is below the lexical leg alone (1.0000). "
        "No weights do better: search by the lexical leg alone"
    )


def test_evaluate__weights_that_help__are_proposed(judged: Judged, search: FakeSearch) -> None:
    judged.query("a", {0: 1})
    judged.query("b", {1: 1})
    search.lexical = {"a": [0, 2], "b": [5, 3, 1]}
    search.vector = {"a": [2, 4, 0], "b": [1, 3]}
    run = _run(judged, search=SearchOptions(weights={"lexical": 0.0, "vector": 1.0}))
    assert run.warnings == []  # .8 of the fusion, which is the vector leg, against .75 of the lexical one
    search.lexical = {"a": [0, 2], "b": [1, 3]}
    run = _run(judged, search=SearchOptions(weights={"lexical": 0.0, "vector": 1.0}))
    assert "is below the lexical leg alone (1.0000)" in run.warnings[0]
    assert "Try the weights lexical=0.7,vector=0.3: nDCG@10 1.0000 on the same candidates." in run.warnings[0]


def test_evaluate__by_people__needs_the_right_and_is_recorded(three: Judged) -> None:
    nobody = User.objects.create_user("reader")
    options = EvaluationOptions(search=LEXICAL)
    with pytest.raises(Forbidden):
        evaluate(corpus=three.corpus, options=options, actor=nobody)
    curator = User.objects.create_user("curator")
    curator.groups.add(Group.objects.get(name="curator"))
    run = evaluate(corpus=three.corpus, options=options, actor=User.objects.get(pk=curator.pk))
    assert run.created_by == curator
    event = AuditEvent.objects.get(action="corpus.evaluate")
    assert (event.actor, event.summary, event.details["run"]) == (
        curator,
        "docs: 2 of 3 queries passed",
        run.pk,
    )


def test_evaluate__more_queries__needs_no_more_statements(three: Judged, search: FakeSearch) -> None:
    def statements() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            _run(three)
        return len(captured)

    few = statements()
    for number in range(40):
        three.query(f"more {number}", {0: 1})
    assert statements() == few
    assert few <= 12


def test_run_of_job__a_job_that_stored_its_run__finds_it(three: Judged) -> None:
    run = evaluate(corpus=three.corpus, options=EvaluationOptions(search=LEXICAL), actor=None, job="0a")
    assert run_of_job(three.corpus, "0a") == run
    assert run_of_job(three.corpus, "0b") is None
    assert run_of_job(three.corpus, "") is None


def test_retrieval_results__once_stored__cannot_be_changed(three: Judged) -> None:
    run = _run(three)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        RetrievalResult.objects.filter(run=run).update(passed=True)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"k": 0}, BadInput, "k: found 0, expected a whole number from 1 to 1,000."),
        ({"k": True}, BadInput, "k: found True"),
        ({"metrics": ("f1@3",)}, UnknownMetric, "found 'f1@3'"),
        ({"name": "a\nb"}, BadInput, "control character"),
        ({"name": "x" * 201}, BadInput, "at most 200 characters"),
    ],
)
def test_evaluation_options__unusable__are_refused(
    options: dict[str, Any], error: type[BadInput], message: str
) -> None:
    with pytest.raises(error) as refused:
        EvaluationOptions(**options)
    assert message in refused.value.message


def test_query_filter__an_unknown_difficulty__is_refused() -> None:
    with pytest.raises(BadInput, match="found 'extreme', expected one of easy, medium, hard"):
        QueryFilter(difficulty="extreme")


@pytest.mark.parametrize(
    "document",
    [
        {"queries": {"colour": "red"}},
        {"queries": {"tags": "red"}},
        {"queries": {"tags": [1]}},
        {"queries": {"ids": "a"}},
        {"queries": {"difficulty": 3}},
        {"queries": {"category": "a\x00b"}},
        {"queries": ["red"]},
        {"search": "lexical"},
        {"search": {"legs": 3}},
        {"metrics": "mrr"},
        {"metrics": [3]},
        {"name": 3},
        {"k": "10"},
        {"seed": -1},
        {"seed": 1.5},
    ],
)
def test_evaluation_options__a_strange_document__is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="found|not understood"):
        EvaluationOptions.from_document(document)


def test_job__evaluate_retrieval__stores_one_run_even_when_it_is_done_twice(three: Judged) -> None:
    arguments = {"corpus": "docs", "options": {"k": 2, "search": {"legs": ["lexical"]}}}
    job = JobRun.objects.create(kind="evaluate_retrieval", arguments=arguments)
    kind = kind_of("evaluate_retrieval")
    told: list[tuple[int, int]] = []
    first = kind.work(job, lambda done, total: told.append((done, total)))
    assert kind.work(job, lambda done, total: None) == first
    run = RetrievalRun.objects.get()
    assert first == {"run": run.pk, "queries": 3, "passed": 2, "pass_rate": 2 / 3, "warnings": []}
    assert told == [(3, 3)]
    assert kind.action == "edit"
