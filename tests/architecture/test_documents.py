"""The documents name only what exists: commands and their options, settings, files."""

from __future__ import annotations

import re
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md"]
DOCUMENTS += sorted((ROOT / "goldenproject" / "guide").glob("*.md"))
DOCUMENTS += sorted((ROOT / "goldenproject" / "decisions").glob("*.md"))
names = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


@cache
def sources() -> str:
    """Return the Python text of the project without its tests."""
    folders = ("goldenproject", "datasets_app", "labeling_app", "exports_app")
    files = [
        path for folder in folders for path in (ROOT / folder).rglob("*.py") if "guide" not in path.parts
    ]
    return "\n".join(path.read_text() for path in files)


@cache
def options_of(command: str) -> frozenset[str]:
    parser = load_command_class(get_commands()[command], command).create_parser("manage.py", command)
    return frozenset(_options(parser))


def _options(parser: ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, _SubParsersAction):
            for below in action.choices.values():
                yield from _options(below)


@names
def test_documents__commands__exist(document: Path) -> None:
    named = set(re.findall(r"\bgolden_[a-z]+\b(?!/)", document.read_text()))
    commands = {name for name in get_commands() if name.startswith("golden_")}
    # functions, roles and files of the project are called golden_… too; they stand in its sources
    known = commands | {"golden_owner"}
    sql = (ROOT / "datasets_app" / "sql" / "functions.sql").read_text()
    assert {name for name in named - known if name not in sources() and name not in sql} == set()


@names
def test_documents__options_of_commands__exist(document: Path) -> None:
    wrong = []
    text = document.read_text().replace("\\\n", " ")
    for match in re.finditer(r"manage\.py (golden_[a-z_]+)([^\n`|;&#]*)", text):
        used = re.findall(r"(?<!\S)--?[a-z][a-z-]*", match[2])
        wrong += [f"{match[1]} {option}" for option in used if option not in options_of(match[1])]
    assert wrong == []


@names
def test_documents__settings_of_the_environment__are_read(document: Path) -> None:
    named = set(re.findall(r"\b(?:GOLDEN_[A-Z_]+[A-Z]|DATABASE_URL)\b", document.read_text()))
    # a variable that the reader's own shell needs in an example
    own = {"GOLDEN_TOKEN", "GOLDEN_URL"}
    assert {name for name in named - own if f'"{name}"' not in sources()} == set()


def test_operations__settings_that_are_read__are_all_in_the_table() -> None:
    read = set(re.findall(r'"((?:GOLDEN_[A-Z_]+[A-Z]|DATABASE_URL))"', sources()))
    settings = set(re.findall(r'environ(?:ment)?\.\w+\(\s*"([A-Z_]+)"', sources()))
    settings |= set(re.findall(r'environ\["([A-Z_]+)"\]', sources()))
    wanted = {name for name in settings & read if name.startswith(("GOLDEN_", "DATABASE_"))}
    page = (ROOT / "goldenproject" / "guide" / "operations.md").read_text()
    assert {name for name in wanted if f"`{name}`" not in page} == set()


@names
def test_documents__links_to_files__lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []
