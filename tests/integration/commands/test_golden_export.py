"""golden_export: exact bytes, splits, refusals, what was redacted."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.integration.commands.conftest import Run, relabelled, write_jsonl

LINES = (
    '{"id":"a1","input":{"text":"my card is lost"},"output":{"label":"card_lost"}}\n'
    '{"id":"a2","input":{"text":"where is my money"},"output":{"label":"transfer"},"labels":{"hard":true}}\n'
    '{"id":"a3","input":{"text":"top up failed"},"output":{"label":"topup"}}\n'
)


def test_golden_export__version__exact_bytes_in_the_order_of_import(
    run: Run, emails: str, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    ran = run("golden_export", emails, "--output", output, "--json")
    assert output.read_text() == LINES
    assert ran.document["rows"] == 3
    assert ran.document["files"][0]["sha256"] == hashlib.sha256(LINES.encode()).hexdigest()
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_golden_export__uncommitted_edit__is_not_in_it(run: Run, emails: str, tmp_path: Path) -> None:
    run("golden_import", emails, relabelled(tmp_path / "edit.jsonl", {"a1": "lost"}))
    assert run("golden_export", emails, "--output", "-").out == LINES


def test_golden_export__old_tag__is_as_it_was(run: Run, emails: str, tmp_path: Path) -> None:
    run("golden_tag", emails, "v1.0")
    run("golden_import", emails, relabelled(tmp_path / "edit.jsonl", {"a1": "lost"}))
    run("golden_commit", emails, "-m", "second")
    assert run("golden_export", "emails@v1.0", "--output", "-").out == LINES
    assert run("golden_export", "emails@HEAD", "--output", "-").out == LINES.replace("card_lost", "lost")


def test_golden_export__exported_file_imported_again__changes_nothing(
    run: Run, emails: str, tmp_path: Path
) -> None:
    run("golden_export", emails, "--output", tmp_path / "out.jsonl")
    document = run("golden_import", emails, tmp_path / "out.jsonl", "--json").document
    assert (document["unchanged"], document["changed"], document["added"]) == (3, 0, 0)


def test_golden_export__existing_file__refused_and_kept_then_forced(
    run: Run, emails: str, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text("mine")
    ran = run("golden_export", emails, "--output", output)
    assert ran.err == f"{output} is there already.\nChoose another path, or say --force to replace it.\n"
    assert (ran.code, output.read_text()) == (1, "mine")
    assert run("golden_export", emails, "--output", output, "--force").code == 0
    assert output.read_text() == LINES


def test_golden_export__missing_folder__is_named(run: Run, emails: str, tmp_path: Path) -> None:
    ran = run("golden_export", emails, "--output", tmp_path / "no" / "out.jsonl")
    assert ran.code == 1
    assert f"there is no directory {tmp_path / 'no'}." in ran.err


def test_golden_export__directory__has_card_and_checksums(run: Run, emails: str, tmp_path: Path) -> None:
    ran = run("golden_export", emails, "--output", f"{tmp_path}/release/")
    assert ran.code == 0
    folder = tmp_path / "release"
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "SHA256SUMS", "examples.jsonl"]
    for row in (folder / "SHA256SUMS").read_text().splitlines():
        digest, name = row.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert '| "transfer" | 1 |' in (folder / "README.md").read_text()


def test_golden_export__directory_twice__same_bytes(run: Run, emails: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        run("golden_export", emails, "--output", tmp_path / name, "--split", "train=.5,test=.5")
    assert (tmp_path / "one" / "SHA256SUMS").read_bytes() == (tmp_path / "two" / "SHA256SUMS").read_bytes()


@pytest.fixture
def hundred(run: Run, tmp_path: Path) -> str:
    rows = [
        {
            "id": f"r{n}",
            "input": {"text": f"text {n}"},
            "output": {"label": "rare" if n % 10 == 0 else "common"},
        }
        for n in range(100)
    ]
    file = write_jsonl(tmp_path / "hundred.jsonl", rows)
    run("golden_import", "hundred", file, "--create", "--type", "text_classification")
    run("golden_commit", "hundred", "-m", "first")
    return "hundred"


def test_golden_export__split__parts_are_disjoint_ordered_and_whole(
    run: Run, hundred: str, tmp_path: Path
) -> None:
    run(
        "golden_export",
        hundred,
        "--output",
        tmp_path / "out",
        "--split",
        "train=.8,val=.1,test=.1",
        "--seed",
        "3",
    )
    parts = {p: (tmp_path / "out" / f"{p}.jsonl").read_text().splitlines() for p in ("train", "val", "test")}
    ids = {name: [int(json.loads(row)["id"][1:]) for row in rows] for name, rows in parts.items()}
    assert sorted(n for found in ids.values() for n in found) == list(range(100))
    assert all(found == sorted(found) for found in ids.values())


def test_golden_export__stratified__each_part_has_its_share_of_each_class(
    run: Run, hundred: str, tmp_path: Path
) -> None:
    ran = run(
        "golden_export",
        hundred,
        "--output",
        tmp_path / "out",
        "--split",
        "train=.8,test=.2",
        "--stratify",
        "--json",
    )
    assert {file["name"]: file["classes"] for file in ran.document["files"]} == {
        "train.jsonl": {'"common"': 72, '"rare"': 8},
        "test.jsonl": {'"common"': 18, '"rare"': 2},
    }


def test_golden_export__shares_below_one__counts_what_is_in_no_part(
    run: Run, hundred: str, tmp_path: Path
) -> None:
    ran = run("golden_export", hundred, "--output", tmp_path / "out", "--split", "train=.3", "--json")
    assert ran.document["rows"] + ran.document["in_no_part"] == 100


def test_golden_export__status_and_type__choose(run: Run, emails: str, tmp_path: Path) -> None:
    ran = run("golden_export", emails, "--output", tmp_path / "v.jsonl", "--status", "validated", "--json")
    assert (ran.document["rows"], ran.document["filtered"]) == (0, 3)
    ran = run(
        "golden_export", emails, "--output", tmp_path / "t.jsonl", "--type", "text_classification", "--json"
    )
    assert (ran.document["rows"], ran.document["filtered"]) == (3, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "train=.8,test=.3"], "The shares are 1.1 together; at most 1 is there to share."),
        (["--split", "../x=.8"], "“../x” cannot name a part, because a file will be called so."),
        (["--stratify"], "Only a split can be stratified."),
        (["--status", "good"], "Found status “good”, expected one of pending, validated, rejected."),
        (["--type", "nope"], "There is no example type “nope”."),
    ],
)
def test_golden_export__wrong_option__is_refused_and_nothing_written(
    run: Run, emails: str, tmp_path: Path, arguments: list[str], message: str
) -> None:
    ran = run("golden_export", emails, "--output", tmp_path / "out", *arguments)
    assert (ran.code, ran.err.splitlines()[0]) == (1, message)
    assert not (tmp_path / "out").exists()


def test_golden_export__redacted__is_left_out_and_named(run: Run, emails: str, tmp_path: Path) -> None:
    run("golden_redact", emails, "a2", "--reason", "a name", "--yes")
    ran = run("golden_export", emails, "--output", tmp_path / "out.jsonl")
    assert ran.out.splitlines()[-1] == "1 redacted, so left out: a2"
    assert (tmp_path / "out.jsonl").read_text() == LINES.splitlines(True)[0] + LINES.splitlines(True)[2]


def test_golden_export__numbers__are_as_the_schema_types_them(run: Run, tmp_path: Path) -> None:
    row = {
        "id": "s",
        "input": {"fit_score": 75.0, "engagement_score": 2},
        "output": {"lead_score": 80, "priority": "hot"},
    }
    file = write_jsonl(tmp_path / "scores.jsonl", [row])
    run("golden_import", "scores", file, "--create", "--type", "lead_score")
    run("golden_commit", "scores", "-m", "first")
    assert run("golden_export", "scores", "--output", "-").out == (
        '{"id":"s","input":{"engagement_score":2.0,"fit_score":75.0},"output":{"lead_score":80.0,"priority":"hot"}}\n'
    )


def test_golden_export__without_output_and_without_id__keep_their_line(run: Run, tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "rows.jsonl", [{"input": {"text": 'a "{brace}" \\ é 🙂'}}])
    run("golden_import", "odd", file, "--create", "--type", "text_classification")
    run("golden_commit", "odd", "-m", "first")
    line = json.loads(run("golden_export", "odd", "--output", "-").out)
    assert (line["input"], line["output"]) == ({"text": 'a "{brace}" \\ é 🙂'}, None)
