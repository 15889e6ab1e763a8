"""golden_import and golden_create: files in, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datasets_app.models import Dataset, Example, ExampleIdentity
from tests.integration.commands.conftest import ROWS, Run, write_jsonl


def test_golden_import__new_dataset_with_create__is_made_and_filled(run: Run, tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "rows.jsonl", ROWS)
    ran = run("golden_import", "emails", file, "--create", "--type", "text_classification", "--json")
    assert ran.code == 0
    assert ran.document == {
        "dataset": "emails",
        "branch": "main",
        "created": True,
        "read": 3,
        "added": 3,
        "changed": 0,
        "unchanged": 0,
        "refused": 0,
        "report": None,
        "first_refusals": [],
    }
    assert Dataset.objects.get(name="emails").default_type.name == "text_classification"  # type: ignore[union-attr]


def test_golden_import__same_file_again__changes_nothing(run: Run, emails: str, tmp_path: Path) -> None:
    ran = run("golden_import", emails, write_jsonl(tmp_path / "again.jsonl", ROWS))
    assert (ran.code, ran.out) == (
        0,
        "Read 3 rows into emails@main: 0 added, 0 changed, 3 unchanged, 0 refused.\n",
    )
    assert run("golden_status", emails, "--json").document["clean"] is True


def test_golden_import__unknown_dataset__says_how_to_make_it(run: Run, emails: str, tmp_path: Path) -> None:
    ran = run("golden_import", "email", write_jsonl(tmp_path / "rows.jsonl", ROWS))
    assert ran.code == 1
    assert ran.err == "There is no dataset “email”.\nDatasets: emails. Say --create to make it.\n"


def test_golden_import__create_and_bad_row__leaves_no_dataset_behind(run: Run, tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "rows.jsonl", [ROWS[0], {"id": "b", "input": {"text": 5}}])
    ran = run("golden_import", "emails", file, "--create", "--type", "text_classification", "--json")
    assert ran.code == 1
    assert (ran.out, ran.error["code"], ran.error["details"]["line"]) == ("", "malformed_row", 2)
    assert "$.input.text" in ran.error["message"]
    assert not Dataset.objects.exists()
    assert not ExampleIdentity.objects.exists()


def test_golden_import__on_error_skip__takes_the_rest_and_names_the_refused(
    run: Run, emails: str, tmp_path: Path
) -> None:
    file = tmp_path / "mixed.jsonl"
    file.write_text('{"input":{"text":"fine"},"output":{"label":"x"}}\n{"input": NaN}\n')
    ran = run("golden_import", emails, file, "--on-error", "skip", "--json")
    assert (ran.code, ran.document["added"], ran.document["refused"]) == (0, 1, 1)
    assert ran.document["first_refusals"][0].startswith("line 2")


def test_golden_import__on_error_report__writes_the_refused_rows(
    run: Run, emails: str, tmp_path: Path
) -> None:
    file = tmp_path / "mixed.jsonl"
    file.write_text('{"input":{"text":"fine"},"output":{"label":"x"}}\n{"input": 5}\n')
    report = tmp_path / "refused.jsonl"
    ran = run("golden_import", emails, file, "--on-error", "report", "--report", report)
    assert ran.code == 0
    assert ran.out.endswith(f"The refused rows are in {report}.\n")
    assert [json.loads(row)["line"] for row in report.read_text().splitlines()] == [2]


def test_golden_import__csv_with_map__puts_columns_where_told(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("words,verdict,by\nhello,greeting,anna\n")
    mapping = ["--map", "words=input.text", "--map", "verdict=output.label", "--map", "by=-"]
    ran = run("golden_import", "mails", file, "--create", "--type", "text_classification", *mapping)
    assert ran.code == 0
    example = Example.objects.get()
    assert (example.input_data, example.expected_output, example.metadata) == (
        {"text": "hello"},
        {"label": "greeting"},
        {},
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rows.jsonl", "--map", "text"], "--map text: expected COLUMN=FIELD, such as text=input.text."),
        (["-"], "Standard input has no name to tell its format by."),
        (["rows.jsonl", "--report", "x"], "--report goes with --on-error report."),
        (["rows.jsonl", "--user", "nobody-here"], "There is no user “nobody-here”."),
    ],
)
def test_golden_import__wrong_usage__exits_with_2(run: Run, arguments: list[str], message: str) -> None:
    ran = run("golden_import", "emails", *arguments)
    assert (ran.code, ran.err.splitlines()[0]) == (2, message)


def test_golden_import__missing_file__is_named(run: Run, emails: str) -> None:
    ran = run("golden_import", emails, "/nowhere/rows.jsonl")
    assert (ran.code, ran.err) == (1, "/nowhere/rows.jsonl cannot be read: No such file or directory.\n")


def test_golden_create__parent__starts_with_its_examples(run: Run, emails: str) -> None:
    ran = run("golden_create", "fork", "--parent", "emails@main", "--json")
    assert (ran.code, ran.document["examples"]) == (0, 3)
    assert ran.document["parent_version"].startswith("emails@")


def test_golden_create__name_taken__is_refused(run: Run, emails: str) -> None:
    ran = run("golden_create", "emails")
    assert (ran.code, ran.err) == (1, "There is a dataset “emails” already.\nChoose another name.\n")


def test_golden_type__from_file__is_made_and_shown(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "type.json"
    file.write_text(
        '{"input_schema": {"type": "object"}, "output_schema": {"type": "object"}, "class_field": "y"}'
    )
    assert run("golden_type", "own", "--from", file).out == "Made the type “own”.\n"
    assert run("golden_type", "own", "--json").document["class_field"] == "y"


def test_golden_type__bad_schema__names_the_place(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "type.json"
    file.write_text('{"input_schema": {"type": "objekt"}, "output_schema": {}}')
    ran = run("golden_type", "own", "--from", file, "--json")
    assert (ran.code, ran.error["code"]) == (1, "invalid_schema")
