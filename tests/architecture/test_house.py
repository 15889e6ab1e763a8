"""The rules of the house that a linter does not know."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from django.apps import apps
from django.db.models import Model

ROOT = Path(__file__).resolve().parents[2]
# each app may point at those after it, never at those before
DIRECTION = ("exports_app", "labeling_app", "datasets_app")
TOP_LEVEL = {
    *("manage.py", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "Makefile", "requirements.lock"),
    *(
        "goldenproject",
        "datasets_app",
        "labeling_app",
        "exports_app",
        "tests",
        "fixtures",
        ".ci",
        ".github",
        ".gitignore",
    ),
}
MOST_LINES = 470  # a module has one subject and about 400 lines; beyond this it has two subjects
GENERATED = re.compile(r"(/migrations/|\.lock$)")


@cache
def tracked() -> tuple[Path, ...]:
    """Return the tracked files; without git (a source archive), all files of the project's folders."""
    if (ROOT / ".git").exists():
        out = subprocess.run(
            ["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True, check=True
        ).stdout
        names = [name for name in out.split("\0") if name]
    else:
        folders = [path for path in ROOT.iterdir() if path.name in TOP_LEVEL]
        found = [file for path in folders for file in ([path] if path.is_file() else path.rglob("*"))]
        names = [str(file.relative_to(ROOT)) for file in found if "__pycache__" not in file.parts]
    return tuple(ROOT / name for name in names if (ROOT / name).is_file())


def texts() -> list[tuple[str, str]]:
    """Return (name, text) of each tracked file that is text."""
    found = []
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content:
            found.append((str(path.relative_to(ROOT)), content.decode(errors="replace")))
    return found


def test_top_level__tracked_files__are_those_of_the_plan() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in tracked()} <= TOP_LEVEL


def test_files__length__is_that_of_one_subject() -> None:
    long = {
        name: text.count("\n")
        for name, text in texts()
        if Path(name).suffix in {".py", ".sql", ".html", ".css", ".js"}
        and not GENERATED.search(name)
        and text.count("\n") > MOST_LINES
    }
    assert long == {}


def test_files__names__say_what_is_in_them() -> None:
    vague = {"utils.py", "helpers.py", "misc.py", "common.py", "manager2.py"}
    assert [str(path.relative_to(ROOT)) for path in tracked() if path.name in vague] == []


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?<![\w.-])/" + r"(work|root|Users)/\w",
        r"(?<![\w./-])/" + r"home/\w",
        "pypi" + r"\.org|python" + "hosted|--(extra-)?index" + "-url|--find" + "-links",
        r"BEGIN [A-Z ]*PRIVATE " + "KEY",
        r"AKIA" + r"[0-9A-Z]{16}",
    ],
)
def test_files__paths_of_a_machine_index_addresses_and_keys__are_nowhere(pattern: str) -> None:
    hits = [
        f"{name}:{number}"
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert hits == []


def test_domain__imports__know_no_framework() -> None:
    wrong = []
    for path in tracked():
        if path.suffix == ".py" and path.parent.name == "domain" and "tests" not in path.parts:
            for node in ast.walk(ast.parse(path.read_text())):
                names = (
                    [alias.name for alias in node.names]
                    if isinstance(node, ast.Import)
                    else [node.module or ""]
                    if isinstance(node, ast.ImportFrom)
                    else []
                )
                wrong += [
                    f"{path.name}: {name}"
                    for name in names
                    if name.partition(".")[0] in {"django", "rest_framework", "psycopg", "unfold"}
                ]
    assert wrong == []


def against_direction(model: type[Model]) -> list[str]:
    own = model._meta.app_label
    if own not in DIRECTION:
        return []
    allowed = set(DIRECTION[DIRECTION.index(own) :])
    return [
        f"{model.__name__}.{field.name} → {field.related_model._meta.label}"
        for field in model._meta.get_fields(include_hidden=True)
        if field.is_relation
        and not field.auto_created
        and isinstance(field.related_model, type)
        and field.related_model._meta.app_label in set(DIRECTION) - allowed
    ]


def test_foreign_keys__between_apps__go_with_the_direction_of_the_house() -> None:
    assert [
        wrong for model in apps.get_models(include_auto_created=True) for wrong in against_direction(model)
    ] == []
