"""The guide's Python and the README's tour do what they say."""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from datasets_app.services.curation.manager import DatasetManager
from datasets_app.services.demo_corpus import load_demo_corpus

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
def test_guide_to_versions__its_functions__give_the_hashes_of_the_engine() -> None:
    names: dict[str, Any] = {}
    for _, source in python_blocks(GUIDE.with_name("how-versions-work.md")):
        exec(source, names)
    words = DatasetManager.create("outsider", type="text_classification")
    rows: list[dict[str, Any]] = [
        {"id": f"e{n}", "input": {"text": f"Wörter {n}"}, "output": {"label": "a"}} for n in range(700)
    ]
    rows += [{"input": {"text": "twice"}, "output": {"label": "b"}}] * 2
    words.add_examples(rows)
    first = words.commit("first", author="Ada")
    words.add_examples([{**rows[5], "labels": {"edge_case": True}}])
    second = words.commit("second", author="Ada")

    def document(row: dict[str, Any]) -> dict[str, Any]:
        return {"type": "text_classification", **{k: v for k, v in row.items() if k != "id"}}

    dataset = words.dataset.pk
    contents = {
        names["example_uuid"](dataset, external_id=row["id"]): names["content_hash"](document(row))
        for row in rows[:700]
    }
    for occurrence in (0, 1):
        twice = names["example_uuid"](dataset, input={"text": "twice"}, occurrence=occurrence)
        contents[twice] = names["content_hash"](document(rows[-1]))
    parents: list[str] = []
    for commit, counts in ((first, (702, 0, 0)), (second, (0, 0, 1))):
        if commit is second:
            changed = document({**rows[5], "labels": {"edge_case": True}})
            contents[names["example_uuid"](dataset, external_id="e5")] = names["content_hash"](changed)
        root = names["root_hash"](contents)
        assert root.hex() == commit.root_hash
        digest = names["commit_hash"](
            parents=parents,
            root=root,
            added=counts[0],
            removed=counts[1],
            modified=counts[2],
            author="Ada",
            message=commit.message,
            committed_at=commit.committed_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        )
        assert digest == commit.commit_hash
        parents = [digest]


@pytest.mark.django_db
def test_readme__commands_of_the_tour__run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    prompt = "$ .venv/bin/python manage.py "
    commands = [
        line.removeprefix(prompt)
        for line in (ROOT / "README.md").read_text().splitlines()
        if line.startswith(prompt)
    ]
    assert len(commands) == 13
    load_demo_corpus(actor=None)  # as the first start does; without vectors, which take their time
    said = {}
    for command in commands:
        name, *arguments = shlex.split(command.replace("messages-v1.0.jsonl", str(tmp_path / "out.jsonl")))
        out = io.StringIO()
        call_command(name, *arguments, stdout=out)
        said[name] = out.getvalue()
    assert '    $.output.label  "refund" → "billing"' in said["golden_diff"]
    assert "Charges belong to billing" in said["golden_log"]
    assert "heapq" in said["golden_search"]
    assert "Evaluation passed: " in said["golden_eval_retrieval"]
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert lines[2] == '{"id":"m3","input":{"text":"I was charged twice"},"output":{"label":"refund"}}'
    assert len(lines) == 4
