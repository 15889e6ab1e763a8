"""Run a golden_* command as the command line does: exit code, stdout and stderr."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command, get_commands, load_command_class
from django.core.management.base import BaseCommand


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err)["error"]


Run = Callable[..., Ran]


def run_command(command: BaseCommand, *arguments: str) -> Ran:
    command._called_from_command_line = True  # type: ignore[attr-defined]
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    code = 0
    try:
        call_command(command, *arguments, stdout=out, stderr=err)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return Ran(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))  # type: ignore[attr-defined]


@pytest.fixture
def run(db: None, monkeypatch: pytest.MonkeyPatch) -> Run:
    """run("golden_log", "emails", "--json"): nobody is signed in unless --user says so."""
    monkeypatch.setattr("goldenproject.kit.commands._os_user", lambda: "")

    def run_named(name: str, *arguments: Any) -> Ran:
        command = load_command_class(get_commands()[name], name)
        return run_command(command, *(str(argument) for argument in arguments))

    return run_named


ROWS = [
    {"id": "a1", "input": {"text": "my card is lost"}, "output": {"label": "card_lost"}},
    {
        "id": "a2",
        "input": {"text": "where is my money"},
        "output": {"label": "transfer"},
        "labels": {"hard": True},
    },
    {"id": "a3", "input": {"text": "top up failed"}, "output": {"label": "topup"}},
]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def emails(run: Run, tmp_path: Path) -> str:
    """A dataset of three committed examples a1, a2, a3 in this order; returns its name."""
    file = write_jsonl(tmp_path / "emails.jsonl", ROWS)
    assert run("golden_import", "emails", file, "--create", "--type", "text_classification").code == 0
    assert run("golden_commit", "emails", "-m", "first").code == 0
    return "emails"


def relabelled(path: Path, labels: dict[str, str]) -> Path:
    """Write the rows of `labels` (id → label) with their new labels."""
    return write_jsonl(
        path, [{**row, "output": {"label": labels[row["id"]]}} for row in ROWS if row["id"] in labels]
    )
