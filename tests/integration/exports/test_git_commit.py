"""golden_backup --git-commit: one commit when something changed, none when nothing did, and nothing of others."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command, load_command_class

from datasets_app.services.curation.manager import DatasetManager
from exports_app.errors import GitFailed
from tests.integration.backup_data import documents
from tests.template_database import ROOT


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    for kind in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{kind}_NAME", "backup")
        monkeypatch.setenv(f"GIT_{kind}_EMAIL", "backup@localhost")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    git(folder, "init", "--quiet", "--initial-branch=main")
    return folder


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    ).stdout


def backup(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    call_command("golden_backup", "--output", str(folder), "--git-commit", "--json", *arguments)
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_git_commit__backup_after_backup__commits_what_changed_with_the_counts(
    committed_db: str, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = repository / "backups"
    (repository / "work.txt").write_text("somebody's work")
    git(repository, "add", "work.txt")
    manager = DatasetManager.create("words", type="text_classification")
    manager.add_examples(documents(5))
    first = backup(capsys, folder)
    assert first["git_commit"] == git(repository, "rev-parse", "HEAD").strip()
    subject, _, body = git(repository, "log", "-1", "--format=%B").strip().partition("\n\n")
    assert subject.startswith("Backup: ")
    assert "1 datasets, 5 examples" in subject
    assert "5 examples added" in body
    names = git(repository, "show", "--name-only", "--format=", "HEAD").split()
    assert names == ["backups/golden_dataset_backup.json", "backups/golden_dataset_metadata.json"]
    assert git(repository, "status", "--porcelain").strip() == "A  work.txt"

    assert backup(capsys, folder)["git_commit"] is None
    assert git(repository, "rev-list", "--count", "HEAD").strip() == "1"

    manager.add_examples(documents(7)[5:])
    second = backup(capsys, folder, "--single-file-limit", "1")
    assert second["git_commit"] is not None
    assert "golden_dataset_shards/" in git(repository, "show", "--name-only", "--format=", "HEAD")
    backup(capsys, folder)  # in one file again: the shards go
    assert "golden_dataset_shards" not in git(repository, "ls-files")
    assert git(repository, "status", "--porcelain").strip() == "A  work.txt"


def test_git_commit__no_repository__says_so_and_the_backup_is_whole(
    committed_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    with pytest.raises(GitFailed, match="git rev-parse failed: .*not a git repository"):
        call_command("golden_backup", "--output", str(tmp_path / "b"), "--git-commit")
    call_command("golden_verify", str(tmp_path / "b"))


def test_git_commit__hook_that_refuses__is_told_and_the_next_run_commits(
    committed_db: str, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = repository / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(GitFailed, match="git commit failed: not today"):
        call_command("golden_backup", "--output", str(repository), "--git-commit")
    hook.unlink()
    assert backup(capsys, repository)["git_commit"] is not None


def test_weekly_workflow__commands_and_times__are_those_that_the_guide_tells() -> None:
    text = (ROOT / ".github" / "workflows" / "weekly-backup.yml").read_text()
    workflow = yaml.safe_load(text)
    triggers = workflow[True]  # YAML 1.1 reads "on" as a truth value
    assert triggers["schedule"] == [{"cron": "0 2 * * 0"}]
    assert "workflow_dispatch" in triggers
    steps = workflow["jobs"]["backup"]["steps"]
    runs = [step["run"] for step in steps if "golden_" in step.get("run", "")]
    assert [run.partition("manage.py ")[2].split()[0] for run in runs] == ["golden_backup", "golden_verify"]
    for run in runs:
        name, *arguments = shlex.split(run.partition("manage.py ")[2])
        load_command_class("exports_app", name).create_parser("manage.py", name).parse_args(arguments)
    assert "${{ inputs" not in "".join(runs)  # what a person typed is never part of a shell's program
