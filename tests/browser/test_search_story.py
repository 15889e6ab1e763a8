"""A curator asks the corpus, sees why a chunk came, makes a test query of it, and evaluates retrieval."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from datasets_app.models import EmbeddingModel, JobRun, RetrievalRun, TestQuery
from datasets_app.services.corpus.analyses import save_analyses
from datasets_app.services.corpus.corpora import get_corpus
from datasets_app.services.corpus.drafts import AnalysisDraft, ChunkDraft, QueryDraft
from datasets_app.services.corpus.queries import save_query
from datasets_app.services.evaluation.options import EvaluationOptions
from datasets_app.services.evaluation.running import evaluate
from datasets_app.services.jobs import run_job
from datasets_app.services.retrieval.embedding import embed_missing
from datasets_app.services.retrieval.searching import SearchOptions
from tests.browser.conftest import Visitor, make_person

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_RUNS = 'a[href="/admin/datasets_app/retrievalrun/"]'
# module → (name, what it does) of things in it
_LIBRARY = {
    "json": [
        (
            "json.dumps",
            "Serialize an object to a JSON formatted string, with indent and sorted keys on request.",
        ),
        ("json.loads", "Deserialize a string or bytes that hold a JSON document to a Python object."),
        ("json.JSONDecodeError", "Raised when a document is not JSON; tells the line and the column."),
    ],
    "pathlib": [
        (
            "Path.glob",
            "Yield all files below this directory that match a relative pattern, recursively with **.",
        ),
        ("Path.unlink", "Remove this file or symbolic link. For a directory use rmdir instead."),
        ("Path.read_text", "Open the file in text mode, read its whole content as a string and close it."),
    ],
    "collections": [
        (
            "Counter",
            "A dict subclass that counts hashable objects; most_common lists the most frequent elements.",
        ),
        ("OrderedDict", "A dictionary that remembers the order in which its keys were inserted."),
        ("deque", "A list-like container with fast appends and pops at either end, bounded by maxlen."),
    ],
    "datetime": [
        ("datetime.strptime", "Parse a date and time out of a string according to a format."),
        ("timedelta", "The difference between two dates or times, in days, seconds and microseconds."),
        ("timezone.utc", "The UTC time zone, for datetimes that know their offset."),
    ],
}
# question, the thing that answers it, tag, difficulty
_QUESTIONS = [
    ("How do I count how often each word occurs?", "Counter", "containers", "easy"),
    ("delete a file", "Path.unlink", "files", "medium"),
    ("turn text into a point in time", "datetime.strptime", "dates", "hard"),
    ("What tells me where a document is broken?", "json.JSONDecodeError", "formats", "medium"),
    ("queue that forgets its oldest items", "deque", "containers", "hard"),
    ("how long between two moments", "timedelta", "dates", "medium"),
    ("search a folder and everything below it", "Path.glob", "files", "hard"),
    ("dict that keeps its order", "OrderedDict", "containers", "easy"),
]


def fill_corpus() -> list[RetrievalRun]:
    """Make the corpus, its vectors by the built-in model, its test queries, and two runs; return the runs."""
    corpus = get_corpus()
    if corpus.analyses.exists():
        return list(RetrievalRun.objects.order_by("pk")[:2])
    drafts = [
        AnalysisDraft(
            url=f"https://docs.python.org/3/library/{module}.html",
            content_type="reference",
            chunks=[
                ChunkDraft(content=text, section_title=name, section_path=f"library/{module}#{name}")
                for name, text in things
            ],
        )
        for module, things in _LIBRARY.items()
    ]
    save_analyses(corpus=corpus, drafts=drafts, actor=None)
    chunks = {chunk.section_title: chunk.pk for one in corpus.analyses.all() for chunk in one.chunks.all()}
    for text, answer, tag, difficulty in _QUESTIONS:
        draft = QueryDraft(text=text, expected={chunks[answer]: 1}, tags=(tag,), difficulty=difficulty)
        save_query(corpus=corpus, draft=draft, actor=None)
    embed_missing(model=EmbeddingModel.objects.get(is_current=True), actor=None)
    for name, legs in (("words alone", ("lexical",)), ("meaning alone", ("vector",))):
        options = EvaluationOptions(search=SearchOptions(legs=legs), k=1, name=name)
        evaluate(corpus=corpus, options=options, actor=None)
    return list(RetrievalRun.objects.order_by("pk")[:2])


def test_search__asked_explained_kept_as_a_query_and_evaluated(visitor: Callable[..., Visitor]) -> None:
    make_person("mara", "administrator")
    runs = fill_corpus()
    one = visitor("search-light")
    page = one.page
    one.sign_in("mara")

    # ask, and see why each chunk came up
    page.locator('a[href="/admin/corpus/search/"]').first.click()
    page.get_by_role("heading", name="Ask default").wait_for()
    one.shot("ask")
    question = "remove a file from the directory"
    page.get_by_label("Question").fill(question)
    page.get_by_role("button", name="Search", exact=True).click()
    first = page.locator(".r-hit").first
    expect(first.get_by_role("link", name="Path.unlink", exact=True)).to_be_visible()
    expect(first.locator("mark").first).to_be_visible()
    expect(first).to_contain_text("BM25")
    expect(first).to_contain_text("rank 1")
    one.shot("why")
    assert one.overflow() <= 0
    page.get_by_text("How to search").click()
    page.get_by_label("Title boost").fill("0.5")
    one.shot("options")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator(".r-how")).to_contain_text("title boost 0.5")
    page.get_by_role("link", name="Legs side by side").click()
    page.get_by_role("heading", name="Vector alone").wait_for()
    one.shot("legs")
    assert one.overflow() <= 0

    # a test query made of it, and tested
    page.get_by_role("link", name="Why each came").click()
    keep = page.get_by_role("button", name="Make this a test query")
    expect(keep).to_be_disabled()
    page.get_by_label("Expect Path.unlink").check()
    one.shot("ticked")
    keep.click()
    page.get_by_text("The test query was added.").wait_for()
    page.get_by_role("button", name="Test now").click()
    expect(page.get_by_text("Passes", exact=True)).to_be_visible()
    one.shot("query")

    # an evaluation
    page.locator(_RUNS).first.click()
    one.shot("runs")
    assert one.overflow() <= 0
    page.get_by_role("link", name="Start an evaluation").click()
    page.get_by_label("k", exact=True).fill("1")
    page.get_by_label("Name of the run").fill("both legs")
    one.shot("start", whole=True)
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text("Waits for a worker.")).to_be_visible()
    run_job(job_id=JobRun.objects.get(kind="evaluate_retrieval", state="queued").pk)
    page.get_by_role("link", name="See the run").click()
    run = RetrievalRun.objects.order_by("-pk")[0]
    expect(page.locator(".r-figure-first")).to_contain_text(f"{run.passed_count} of {run.query_count}")
    one.shot("run")
    one.shot("run-whole", whole=True)
    assert one.overflow() <= 0

    # what failed, in the run that fails most
    page.locator(_RUNS).first.click()
    page.get_by_role("link", name=f"#{runs[0].pk} words alone").click()
    page.get_by_role("link", name="All failing queries").click()
    expect(page.get_by_text("Found instead").first).to_be_visible()
    one.shot("failing")
    assert one.overflow() <= 0
    one.go(f"/admin/datasets_app/retrievalrun/compare/?base={runs[0].pk}&other={run.pk}")
    page.get_by_role("heading", name="Differences with 95 % intervals").wait_for()
    one.shot("compare", whole=True)
    assert one.overflow() <= 0

    # the models
    page.locator('a[href="/admin/datasets_app/embeddingmodel/"]').first.click()
    expect(page.get_by_text("12 of 12 texts")).to_be_visible()
    one.shot("models")
    page.locator("td a.gd-link").first.click()
    page.get_by_role("button", name="Start embedding").wait_for()
    one.shot("model")
    assert TestQuery.objects.filter(text=question).count() == 1


def test_pages_of_retrieval__in_the_dark__fit_the_window(visitor: Callable[..., Visitor]) -> None:
    make_person("nyx", "administrator")
    runs = fill_corpus()
    one = visitor("search-dark", dark=True)
    one.sign_in("nyx")
    asked = "/admin/corpus/search/?q=delete+a+file"
    run = f"/admin/datasets_app/retrievalrun/{runs[0].pk}"
    model = f"/admin/datasets_app/embeddingmodel/{EmbeddingModel.objects.get(is_current=True).pk}"
    for name, address in (
        ("why", asked),
        ("options", f"{asked}&title=0.5&k=none"),
        ("legs", f"{asked}&show=legs"),
        ("runs", "/admin/datasets_app/retrievalrun/"),
        ("run", f"{run}/change/"),
        ("failing", f"{run}/queries/"),
        ("compare", f"/admin/datasets_app/retrievalrun/compare/?base={runs[0].pk}&other={runs[1].pk}"),
        ("models", "/admin/datasets_app/embeddingmodel/"),
        ("model", f"{model}/change/"),
        ("register", "/admin/datasets_app/embeddingmodel/add/"),
    ):
        one.go(address)
        if name == "models":
            expect(one.page.get_by_text("12 of 12 texts")).to_be_visible()
        one.shot(name)
        assert one.overflow() <= 0, name
