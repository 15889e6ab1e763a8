"""golden_merge and golden_revert: conflicts are listed, settled field by field, completed or given up."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets_app.models import DatasetCommit
from tests.integration.commands.conftest import Run, relabelled


@pytest.fixture
def clash(run: Run, emails: str, tmp_path: Path) -> str:
    """Branch side and main both changed the label of a1; side also changed a3's."""
    run("golden_branch", emails, "side", "--open")
    run(
        "golden_import",
        emails,
        relabelled(tmp_path / "side.jsonl", {"a1": "stolen", "a3": "failed"}),
        "--branch",
        "side",
    )
    run("golden_commit", emails, "--branch", "side", "-m", "theirs")
    run("golden_import", emails, relabelled(tmp_path / "main.jsonl", {"a1": "lost"}))
    run("golden_commit", emails, "-m", "ours")
    return emails


def _labels(run: Run, dataset: str) -> dict[str, str]:
    return {
        example: run("golden_show", dataset, "HEAD", example, "--json").document["content"]["output"]["label"]
        for example in ("a1", "a3")
    }


def test_golden_merge__conflict__listed_with_exit_3_and_nothing_written(run: Run, clash: str) -> None:
    before = DatasetCommit.objects.count()
    ran = run("golden_merge", clash, "side")
    assert ran.code == 3
    assert ran.out.splitlines()[:5] == [
        "1 conflict in 1 example, 1 not resolved: the merge of “side” into emails@main waits.",
        "a1  $.output.label",
        '    base   "card_lost"',
        '    ours   "lost"',
        '    theirs "stolen"',
    ]
    assert DatasetCommit.objects.count() == before
    assert run("golden_status", clash, "--json").document["open_merge"] == "side"


def test_golden_merge__continue_with_unresolved__exits_with_3(run: Run, clash: str) -> None:
    run("golden_merge", clash, "side")
    ran = run("golden_merge", clash, "--continue", "--json")
    assert (ran.code, ran.document["unresolved"]) == (3, 1)


@pytest.mark.parametrize(
    ("choice", "label"), [("ours", "lost"), ("theirs", "stolen"), ("base", "card_lost"), ('="both"', "both")]
)
def test_golden_merge__each_resolution__ends_in_the_commit(
    run: Run, clash: str, choice: str, label: str
) -> None:
    run("golden_merge", clash, "side")
    ran = run(
        "golden_merge",
        clash,
        "--resolve",
        "a1",
        "output.label",
        choice,
        "--continue",
        "-m",
        "joined",
        "--json",
    )
    assert (ran.code, ran.document["commit"]["message"], len(ran.document["commit"]["parents"])) == (
        0,
        "joined",
        2,
    )
    assert _labels(run, clash) == {"a1": label, "a3": "failed"}


def test_golden_merge__theirs__settles_at_once(run: Run, clash: str) -> None:
    assert run("golden_merge", clash, "side", "--theirs").code == 0
    assert _labels(run, clash) == {"a1": "stolen", "a3": "failed"}


def test_golden_merge__abort__leaves_all_as_it_was(run: Run, clash: str) -> None:
    run("golden_merge", clash, "side")
    assert (
        run("golden_merge", clash, "--abort").out
        == "Gave the merge of “side” up; emails@main is as it was.\n"
    )
    assert _labels(run, clash) == {"a1": "lost", "a3": "topup"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--resolve", "a1", "output.text", "ours"], 1, "Example “a1” has no conflict at $.output.text."),
        (["--resolve", "a3", "output.label", "ours"], 1, "Example “a3” has no conflict at $.output.label."),
        (["--resolve", "a1", "output.label", "mine"], 2, "“mine” settles nothing."),
        (
            ["side", "--continue"],
            2,
            "SOURCE begins a merge; --continue, --abort and --resolve go on with the open one.",
        ),
    ],
)
def test_golden_merge__wrong_resolution__is_told_and_changes_nothing(
    run: Run, clash: str, arguments: list[str], code: int, message: str
) -> None:
    run("golden_merge", clash, "side")
    ran = run("golden_merge", clash, *arguments)
    assert (ran.code, ran.err.splitlines()[0]) == (code, message)
    assert run("golden_merge", clash, "--continue", "--json").document["unresolved"] == 1


def test_golden_merge__no_open_merge__is_told(run: Run, emails: str) -> None:
    assert run("golden_merge", emails, "--continue").err == "No merge into “main” is open.\n"
    assert run("golden_merge", emails).code == 2


def test_golden_merge__fast_forward_and_up_to_date__are_told(run: Run, emails: str, tmp_path: Path) -> None:
    run("golden_branch", emails, "side", "--open")
    run("golden_import", emails, relabelled(tmp_path / "side.jsonl", {"a3": "failed"}), "--branch", "side")
    run("golden_commit", emails, "--branch", "side", "-m", "theirs")
    assert run("golden_merge", emails, "side", "--json").document["fast_forward"] is True
    assert run("golden_merge", emails, "side").out == "emails@main holds “side” already; nothing to merge.\n"


def test_golden_log__graph_of_a_merge__is_drawn(run: Run, clash: str) -> None:
    run("golden_merge", clash, "side", "--ours")
    lines = run("golden_log", clash, "--graph", "--oneline").out.splitlines()
    assert [row[:3] for row in lines] == ["●  ", "├─╮", "● │", "│ ●", "├─╯", "●  "]


def test_golden_revert__newest_version__brings_the_old_value_back(run: Run, clash: str) -> None:
    ran = run("golden_revert", clash, "HEAD", "--json")
    assert (ran.code, ran.document["commit"]["message"].splitlines()[0]) == (0, "Revert “ours”")
    assert _labels(run, clash)["a1"] == "card_lost"


def test_golden_revert__changed_since__is_a_conflict(run: Run, clash: str, tmp_path: Path) -> None:
    run("golden_import", clash, relabelled(tmp_path / "more.jsonl", {"a1": "gone"}))
    run("golden_commit", clash, "-m", "more")
    ran = run("golden_revert", clash, "HEAD~1", "--json")
    assert (ran.code, ran.document["kind"], ran.document["unresolved"]) == (3, "revert", 1)
    assert run("golden_merge", clash, "--theirs", "--continue").code == 0
    assert _labels(run, clash)["a1"] == "card_lost"
