"""golden_eval_retrieval on the command line: what it prints, its exit codes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import User

from datasets_app.models import RetrievalRun
from tests.integration.commands.conftest import Run
from tests.integration.evaluation.conftest import FakeSearch, Judged, judged, search

__all__ = ["judged", "search"]

NAME = "golden_eval_retrieval"


@pytest.fixture
def docs(judged: Judged, search: FakeSearch) -> str:
    """Ten queries of which nine find their chunk first; returns the corpus' name."""
    for number in range(10):
        judged.query(
            f"question {number}",
            {number: 1},
            tags=["even"] if number % 2 == 0 else ["odd"],
            difficulty="hard" if number == 9 else "easy",
            external_id=f"q{number}",
        )
        search.lexical[f"question {number}"] = [number] if number < 9 else [0]
    return judged.corpus.name


def test_eval__without_a_terminal__prints_one_line(docs: str, run: Run) -> None:
    ran = run(NAME, "--corpus", docs, "--legs", "lexical")
    stored = RetrievalRun.objects.get()
    assert (ran.code, ran.err) == (0, "")
    # Wilson for 9 of 10: 59.6 to 98.2
    assert ran.out.startswith(
        "Evaluation done: 9 of 10 queries (90.0 %, 95 % interval 59.6 to 98.2 %), nDCG@10 0.9000, MRR 0.9000; "
        f"run {stored.pk}, "
    )
    assert ran.out.endswith(" queries/s.\n") and ran.out.count("\n") == 1


def test_eval__floors_that_hold__passes(docs: str, run: Run) -> None:
    ran = run(NAME, "--corpus", docs, "--legs", "lexical", "--fail-under", "pass_rate=0.9,ndcg@3=0.5")
    assert ran.code == 0
    assert ran.out.startswith("Evaluation passed: 9 of 10 queries")
    assert "ndcg@3" in RetrievalRun.objects.get().metrics


def test_eval__a_floor_that_does_not_hold__ends_with_1_and_the_figures(docs: str, run: Run) -> None:
    ran = run(
        NAME,
        "--corpus",
        docs,
        "--legs",
        "lexical",
        "--fail-under",
        "pass_rate=0.95",
        "--fail-under",
        "mrr=.1",
    )
    assert ran.code == 1
    gate, last = ran.out.splitlines()
    assert gate == "Gate: pass_rate is 0.9000 (95 % interval 0.5958 to 0.9821), below 0.95."
    assert last.startswith("Evaluation failed: 9 of 10 queries")
    assert RetrievalRun.objects.count() == 1  # a run that fails a gate is kept all the same


def test_eval__as_json__tells_all_of_it(docs: str, run: Run) -> None:
    ran = run(
        NAME,
        "--corpus",
        docs,
        "--legs",
        "lexical",
        "--fail-under",
        "mrr=1",
        "--failing",
        "3",
        "--name",
        "nightly",
        "--json",
    )
    document = ran.document
    assert ran.code == 1
    assert (document["valid"], document["passed"], document["queries"], document["name"]) == (
        False,
        9,
        10,
        "nightly",
    )
    assert list(document["metrics"])[:2] == ["pass_rate", "ndcg@10"]
    assert document["gates"][0]["gate"] == "mrr>=1"
    assert [query["text"] for query in document["failing"]] == ["question 9"]
    assert document["failing"][0]["found"][0]["title"] == "Section 0"


def test_eval__failing__shows_what_was_found_instead(docs: str, run: Run) -> None:
    ran = run(NAME, "--corpus", docs, "--legs", "lexical", "--failing", "5")
    query, expected, found, *_ = ran.out.splitlines()
    assert query.startswith("✗ question 9")
    assert expected.split() == [
        "expected",
        "not",
        "found",
        "Section",
        "9",
        "https://docs.python.org/3/library/json.html",
    ]
    assert found.split()[:2] == ["found", "1"] and "Section 0" in found


def test_eval__not_worse_than_last__compares_with_the_newest_of_the_same_choice(
    docs: str, run: Run, search: FakeSearch
) -> None:
    first = run(NAME, "--corpus", docs, "--legs", "lexical", "--not-worse-than", "last")
    assert first.code == 0
    assert "no earlier run" in first.out
    base = RetrievalRun.objects.get()
    other_choice = run(
        NAME, "--corpus", docs, "--legs", "lexical", "--queries", "tag=even", "--compare", "last"
    )
    assert other_choice.code == 0
    assert "Warning: there is no earlier run over the same choice of queries and k" in other_choice.out
    search.lexical = {}
    ran = run(NAME, "--corpus", docs, "--legs", "lexical", "--not-worse-than", "last", "--compare", base.pk)
    assert ran.code == 1
    assert (
        f"Gate: The pass rate fell from 90.0% in run {base.pk} to 0.0%: 9 queries fail that passed" in ran.out
    )
    assert "pass_rate         0.9000 → 0.0000  -0.9000" in ran.out
    assert "- question 3" in ran.out


@pytest.mark.parametrize(
    ("queries", "count"),
    [("tag=even", 5), ("tag=odd,difficulty=hard", 1), ("difficulty=easy", 9), (" tag = odd ", 5)],
)
def test_eval__queries_by_filter__asks_these(docs: str, run: Run, queries: str, count: int) -> None:
    assert run(NAME, "--corpus", docs, "--queries", queries, "--json").document["queries"] == count


def test_eval__queries_from_a_file__asks_these(docs: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "ids.txt"
    file.write_text("q1\n\nq2\n")
    assert run(NAME, "--corpus", docs, "--queries", file, "--json").document["queries"] == 2


def test_eval__how_to_search__reaches_the_search(docs: str, run: Run, search: FakeSearch) -> None:
    run(
        NAME, "--corpus", docs, "--fusion", "convex", "--weights", "lexical=0.3,vector=0.7", "--boosts", "title=0.5",
        "--candidates", "150", "--exact", "--k", "5",
    )  # fmt: skip
    (asked,) = search.asked
    assert (asked.fusion, asked.weights, asked.boosts.title, asked.candidates, asked.exact) == (
        "convex",
        {"lexical": 0.3, "vector": 0.7},
        0.5,
        150,
        True,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--queries", "nowhere.txt"], 2, "found 'nowhere.txt', which is neither a file nor a filter"),
        (["--queries", "difficulty=hard,difficulty=easy"], 2, "found difficulty more than once"),
        (["--queries", "difficulty=extreme"], 1, "found 'extreme', expected one of easy, medium, hard"),
        (["--weights", "lexical=much"], 2, "found 'lexical=much', expected NAME=NUMBER"),
        (["--boosts", "colour=1"], 2, "found 'colour=1', expected NAME=NUMBER with a name of title, path"),
        (["--legs", "smell"], 1, "expected lexical, vector or both"),
        (["--fail-under", "pass_rate=90"], 1, "expected METRIC=FLOOR"),
        (["--fail-under", "quality=.5"], 1, "found 'quality'"),
        (["--not-worse-than", "99999"], 1, "There is no run 99999 of the corpus “docs”"),
        (["--compare", "x"], 1, "There is no run x of the corpus “docs”"),
        (["--k", "0"], 1, "k: found 0"),
        (["--corpus", "nowhere"], 1, "There is no corpus “nowhere”"),
        (["--queries", "tag=absent"], 1, "found 0 test queries"),
    ],
)
def test_eval__what_it_cannot_use__is_told_and_nothing_is_stored(
    docs: str, run: Run, arguments: list[str], code: int, message: str
) -> None:
    ran = run(NAME, "--corpus", docs, *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err
    assert not RetrievalRun.objects.exists()


def test_eval__by_a_reader__is_forbidden(docs: str, run: Run) -> None:
    User.objects.create_user("reader")
    ran = run(NAME, "--corpus", docs, "--user", "reader")
    assert ran.code == 1
    assert "You may not “edit”" in ran.err
