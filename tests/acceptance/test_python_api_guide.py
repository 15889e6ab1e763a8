"""The guide to the Python API and the README's tour do what they say."""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "goldenproject" / "guide" / "python-api.md"


def python_blocks(page: Path) -> list[tuple[int, str]]:
    """Return (1-based line, source) of each fenced python block."""
    text = page.read_text()
    return [
        (text.count("\n", 0, match.start(1)) + 1, match[1])
        for match in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    ]


@pytest.mark.django_db
def test_python_api_guide__its_blocks_in_order__run() -> None:
    blocks = python_blocks(GUIDE)
    assert len(blocks) >= 8
    names: dict[str, Any] = {}
    for line, source in blocks:
        # blank lines in front, so that a failure names the line of the guide
        exec(compile("\n" * (line - 1) + source, str(GUIDE), "exec"), names)


@pytest.mark.django_db
def test_readme__commands_of_the_tour__run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    prompt = "$ .venv/bin/python manage.py "
    commands = [
        line.removeprefix(prompt)
        for line in (ROOT / "README.md").read_text().splitlines()
        if line.startswith(prompt)
    ]
    assert len(commands) == 11
    said = {}
    for command in commands:
        name, *arguments = shlex.split(command.replace("messages-v1.0.jsonl", str(tmp_path / "out.jsonl")))
        out = io.StringIO()
        call_command(name, *arguments, stdout=out)
        said[name] = out.getvalue()
    assert '    $.output.label  "refund" → "billing"' in said["golden_diff"]
    assert "Charges belong to billing" in said["golden_log"]
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert lines[2] == '{"id":"m3","input":{"text":"I was charged twice"},"output":{"label":"refund"}}'
    assert len(lines) == 4
