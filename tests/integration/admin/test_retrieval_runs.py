"""The pages of evaluations: the list, starting one, one run, its queries and downloads, two runs compared."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import pytest
from django.test import Client

from datasets_app.models import Analysis, Corpus, EmbeddingModel, JobRun, RetrievalRun, TestQuery
from datasets_app.services.corpus.analyses import delete_analysis
from datasets_app.services.corpus.corpora import create_corpus
from datasets_app.services.corpus.queries import delete_query
from datasets_app.services.jobs import run_job
from tests.integration.admin.corpus_pages import EVIL, chunks_of, make_query, make_source
from tests.integration.admin.retrieval_pages import (
    COMPARE,
    RUNS,
    START,
    make_model,
    make_run,
    run_page,
)


@pytest.fixture
def source(db: None) -> Analysis:
    """A source of three chunks, and two queries: one finds its chunk by words, the other cannot."""
    EmbeddingModel.objects.update(is_current=False)
    source = make_source("json")
    make_query(source, "json 0", difficulty="easy")
    make_query(source, f"unheard {EVIL}", tags=["odd"], difficulty="hard", category="=1+1")
    return source


# --- the list -----------------------------------------------------------------------------------------------------
def test_runs__without_any__tell_what_they_are(client_of: Callable[..., Client]) -> None:
    body = client_of("viewer").get(RUNS).content.decode()
    assert "No evaluation yet" in body
    assert not Corpus.objects.exists()


def test_runs__listed__with_figures_and_a_chart_from_two_on(
    client_of: Callable[..., Client], source: Analysis
) -> None:
    client = client_of("viewer")
    first = make_run(source.corpus, name=f"one {EVIL}")
    response = client.get(RUNS)
    assert response.context["trend"] is None
    second = make_run(source.corpus, k=1)
    response = client.get(RUNS)
    assert [dot.is_alike for dot in response.context["trend"].lines[0].dots] == [False, True]  # k differs
    rows = response.context["rows"]
    assert [(row.run.pk, row.share.text, row.ndcg) for row in rows] == [
        (second.pk, "50.0%", pytest.approx(0.5)),
        (first.pk, "50.0%", pytest.approx(0.5)),
    ]
    body = response.content.decode()
    assert body.count("<polyline") == 2
    assert "<title id=" in body
    assert "<script>alert" not in body


def test_runs__of_another_corpus__are_not_among_them(
    client_of: Callable[..., Client], source: Analysis
) -> None:
    other = create_corpus(name="other & more", actor=None)
    make_query(make_source("re", corpus=other), "re 0")
    run = make_run(other)
    make_run(source.corpus)
    response = client_of("viewer").get(RUNS, {"corpus": other.name})
    assert [row.run.pk for row in response.context["rows"]] == [run.pk]
    assert client_of("viewer").get(RUNS, {"corpus": "gone"}).status_code == 404


def test_runs__many__are_paged_in_few_statements(
    client_of: Callable[..., Client], source: Analysis, django_assert_max_num_queries: Callable[..., object]
) -> None:
    run = make_run(source.corpus)
    copies = []
    for _ in range(29):
        run.pk = None
        copies.append(RetrievalRun(**{f.attname: getattr(run, f.attname) for f in run._meta.fields}))
    RetrievalRun.objects.bulk_create(copies)
    client = client_of("viewer")
    client.get(RUNS)
    with django_assert_max_num_queries(14):  # type: ignore[attr-defined]
        page = client.get(RUNS)
    assert (len(page.context["rows"]), page.context["newer_query"]) == (25, "")
    older = client.get(f"{RUNS}?{page.context['older_query']}")
    assert (len(older.context["rows"]), older.context["older_query"]) == (5, "")
    back = client.get(f"{RUNS}?{older.context['newer_query']}")
    assert [row.run.pk for row in back.context["rows"]] == [row.run.pk for row in page.context["rows"]]


# --- starting -----------------------------------------------------------------------------------------------------
def test_start__by_a_curator__leads_to_a_job_that_makes_the_run(
    client_of: Callable[..., Client], source: Analysis
) -> None:
    client = client_of("curator", name="corpus-curator")
    assert client.get(START).status_code == 200
    assert not JobRun.objects.exists()
    sent = {
        "corpus": "default",
        "k": "5",
        "legs": "lexical",
        "title": "0.5",
        "name": "with titles",
        "tags": "basics, ",
        "difficulty": "easy",
    }
    response = client.post(START, sent)
    job = JobRun.objects.get()
    assert response["Location"] == f"/admin/datasets_app/jobrun/{job.pk}/change/"
    run_job(job_id=job.pk)
    run = RetrievalRun.objects.get()
    assert (run.name, run.k, run.query_count, run.created_by.username) == (
        "with titles",
        5,
        1,
        "corpus-curator",
    )
    assert run.options["search"]["boosts"]["title"] == 0.5
    assert run.options["queries"] == {"tags": ["basics"], "difficulty": "easy", "category": "", "ids": None}
    assert run_page(run) in client.get(response["Location"]).content.decode()


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"k": "0"}, "k: found “0”, expected a whole number from 1 to 1,000."),
        ({"k": "many"}, "k: found “many”, expected a whole number from 1 to 1,000."),
        ({"tags": "no such"}, "found no test query that expects a chunk, expected at least one."),
        ({"difficulty": "odd"}, "expected one of easy, medium, hard."),
        ({"name": "x" * 201}, "A run&#x27;s name has at most 200 characters"),
        ({"model": "gone"}, "There is no embedding model “gone”."),
    ],
)
def test_start__with_what_cannot_be__tells_and_starts_nothing(
    client_of: Callable[..., Client], source: Analysis, sent: dict[str, str], said: str
) -> None:
    response = client_of("curator").post(START, {"k": "7", "category": "", **sent})
    body = response.content.decode()
    assert said in body
    assert f'value="{sent.get("k", "7")}"' in body
    assert not JobRun.objects.exists()


def test_start__from_a_run__begins_with_its_options(
    client_of: Callable[..., Client], source: Analysis
) -> None:
    run = make_run(source.corpus, k=3, rrf_k=20, name="mine")
    response = client_of("curator").get(START, {"from": run.pk})
    form = response.context["form"]
    assert (form.cells["k"], form.cells["rrf_k"], form.cells["legs"]) == ("3", "20", "lexical")
    assert response.context["name"] == "mine"
    make_model("second")
    chosen = client_of("curator").get(START, {"model": "second"}).content.decode()
    assert '<option value="second" selected>' in chosen


def test_start__by_a_viewer__is_refused(client_of: Callable[..., Client], source: Analysis) -> None:
    assert client_of("viewer").post(START, {"k": "5"}).status_code == 403
    assert not JobRun.objects.exists()


# --- one run ------------------------------------------------------------------------------------------------------
def test_run__page__has_metrics_groups_and_failing_queries(
    client_of: Callable[..., Client], source: Analysis
) -> None:
    run = make_run(source.corpus)
    response = client_of("viewer").get(run_page(run))
    context = response.context
    assert [row.name for row in context["metrics"]][:3] == ["Pass rate", "nDCG@10", "Precision@10"]
    assert [
        (table.by, [(row.value, row.passed, row.n) for row in table.rows]) for table in context["groups"]
    ] == [
        ("tag", [("basics", 1, 1), ("odd", 0, 1)]),
        ("difficulty", [("easy", 1, 1), ("hard", 0, 1)]),
        ("category", [("=1+1", 0, 1)]),
    ]
    failing = context["failing"]
    assert [(one["query"].text, [e.rank for e in one["query"].expected]) for one in failing] == [
        (f"unheard {EVIL}", [None])
    ]
    body = response.content.decode()
    assert "<script>alert" not in body
    assert "<img src=x" not in body
    assert "Start an evaluation" not in body
    assert "Run again" not in body


def test_run__queries__by_result_and_text_with_deleted_ones(
    client_of: Callable[..., Client], source: Analysis
) -> None:
    run = make_run(source.corpus)
    client = client_of("viewer")
    page = run_page(run, "queries")
    shown = {
        show: [row["query"].text for row in client.get(page, {"show": show}).context["rows"]]
        for show in ("failed", "passed", "nonsense")
    }
    assert shown == {
        "failed": [f"unheard {EVIL}"],
        "passed": ["json 0"],
        "nonsense": [f"unheard {EVIL}"],
    }
    assert len(client.get(page, {"show": "all"}).context["rows"]) == 2
    assert client.get(page, {"show": "all", "q": "JSON"}).context["rows"][0]["query"].text == "json 0"


def test_run__queries__say_by_which_rule_they_are_judged(
    client_of: Callable[..., Client], source: Analysis
) -> None:
    first, second, _ = chunks_of(source)
    rule = {"rule": "recall", "k": 1, "at_least": 1.0}
    make_query(source, "json one", expected={first.pk: 1, second.pk: 1}, pass_rule=rule)
    run = make_run(source.corpus)
    rows = client_of("viewer").get(run_page(run, "queries")).context["rows"]
    assert {row["query"].text: (row["rule"], row["depth"]) for row in rows} == {
        "json one": ("recall ≥ 1.0 in the top 1", 1),
        f"unheard {EVIL}": ("one in the top 10", 10),
    }


def test_run__whose_query_and_chunk_are_gone__still_tells(
    client_of: Callable[..., Client], source: Analysis
) -> None:
    run = make_run(source.corpus)
    for query in TestQuery.objects.all():
        delete_query(query=query, actor=None)
    delete_analysis(analysis=source, actor=None)
    body = client_of("viewer").get(run_page(run, "queries"), {"show": "all"}).content.decode()
    assert "a chunk that is gone" in body
    assert body.count(">deleted<") == 2


@pytest.mark.parametrize("key", ["0", "99999", "x", "9" * 30])
def test_run__that_is_not_there__is_not_found(
    client_of: Callable[..., Client], source: Analysis, key: str
) -> None:
    assert client_of("viewer").get(f"{RUNS}{key}/change/").status_code == 404


def test_run__downloaded__as_csv_that_holds_no_formula_and_as_json(
    client_of: Callable[..., Client], source: Analysis
) -> None:
    make_query(source, "=cmd|' /C calc'!A0", tags=[])
    run = make_run(source.corpus, name="all of it")
    client = client_of("viewer")
    response = client.get(run_page(run, "download"), {"as": "csv"})
    assert response["Content-Disposition"] == f'attachment; filename="run-{run.pk}.csv"'
    rows = list(csv.DictReader(io.StringIO(b"".join(response).decode())))
    assert {row["text"] for row in rows} == {"json 0", f"unheard {EVIL}", "'=cmd|' /C calc'!A0"}
    by_text = {row["text"]: row for row in rows}
    first = by_text["json 0"]
    assert (first["passed"], first["ndcg@10"], first["ranks"]) == ("yes", "1.0", "1")
    assert first["expected"] == str(chunks_of(source)[0].pk)
    document = json.loads(b"".join(client.get(run_page(run, "download"), {"as": "json"})))
    assert (document["run"], document["name"], len(document["results"])) == (run.pk, "all of it", 3)
    assert client.get(run_page(run, "download"), {"as": "xls"}).status_code == 400


# --- two runs -----------------------------------------------------------------------------------------------------
def test_compare__two_ticked_runs__says_differences_flips_and_settings(
    client_of: Callable[..., Client], source: Analysis
) -> None:
    first = make_run(source.corpus, k=1)
    make_query(source, "json 2 Text", expected={chunks_of(source)[0].pk: 1})
    second = make_run(source.corpus, k=3)
    third = make_run(source.corpus, k=1)
    client = client_of("viewer")
    response = client.get(f"{COMPARE}?run={third.pk}&run={second.pk}")
    context = response.context
    assert (context["base"].pk, context["other"].pk) == (second.pk, third.pk)
    assert [one["flip"].text for one in context["lost"]] == ["json 2 Text"]
    assert context["won"] == []
    assert context["settings"] == [("k", "3", "1")]
    assert f"k differs: 3 in run {second.pk}, 1 in run {third.pk}." in response.content.decode()
    swapped = client.get(f"{COMPARE}?{context['swapped']}").context
    assert [one["flip"].text for one in swapped["won"]] == ["json 2 Text"]
    grown = client.get(f"{COMPARE}?base={first.pk}&other={third.pk}").content.decode()
    assert "The queries, their expected chunks or their pass rules differ" in grown


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("run={0}", 400),
        ("run={0}&run={0}", 400),
        ("base={0}&other=x", 404),
        ("base={0}&other=9999", 404),
    ],
)
def test_compare__with_what_cannot_be_compared__tells(
    client_of: Callable[..., Client], source: Analysis, query: str, status: int
) -> None:
    run = make_run(source.corpus)
    assert client_of("viewer").get(f"{COMPARE}?{query.format(run.pk)}").status_code == status


def test_compare__runs_without_a_common_query__says_so(
    client_of: Callable[..., Client], source: Analysis
) -> None:
    other = create_corpus(name="other", actor=None)
    make_query(make_source("re", corpus=other), "re 0")
    runs = make_run(source.corpus), make_run(other)
    response = client_of("viewer").get(f"{COMPARE}?base={runs[0].pk}&other={runs[1].pk}")
    assert (response.status_code, "found none" in response.content.decode()) == (409, True)
