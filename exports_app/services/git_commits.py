"""Commit a backup folder in the git repository that holds it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from exports_app.backup import layout
from exports_app.errors import GitFailed
from exports_app.services.backups import BackupResult, totals_told

_NAMES = (layout.MAIN, layout.METADATA, layout.SHARDS)
_TIMEOUT_S = 600


@dataclass(frozen=True)
class GitCommit:
    """The commit that was made; `hash` is empty when git had nothing to commit."""

    hash: str
    message: str


def commit_backup(result: BackupResult) -> GitCommit:
    """Commit the files of the backup, and nothing else that is changed or staged there, with the counts as the message.

    Ends well and makes no commit when nothing differs from HEAD. Raises GitFailed: no git, no repository, no name of a
    committer, a lock, a hook that refused.
    """
    folder = result.directory
    if _git(folder, "rev-parse", "--is-inside-work-tree").strip() != "true":
        raise GitFailed(f"{folder}: is inside a git repository without a working tree.")
    tracked = _git(folder, "ls-files", "-z", "--", *_NAMES)
    there = [name for name in _NAMES if (folder / name).exists() or _holds(tracked, name)]
    _git(folder, "add", "--all", "--force", "--", *there)
    if not _git(folder, "status", "--porcelain", "--", *there).strip():
        return GitCommit("", "")
    message = commit_message(result)
    _git(folder, "commit", "--quiet", f"--message={message}", "--", *there)
    return GitCommit(_git(folder, "rev-parse", "HEAD").strip(), message)


def commit_message(result: BackupResult) -> str:
    """Return a subject with the counts, and the changes as the body."""
    body = "\n".join(f"- {change['description']}" for change in result.changes)
    return f"Backup: {totals_told(result.totals)}" + (f"\n\n{body}" if body else "")


def _holds(tracked: str, name: str) -> bool:
    return any(path == name or path.startswith(f"{name}/") for path in tracked.split("\0"))


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
        )
    except FileNotFoundError as error:
        raise GitFailed("git is not installed.", hint="Install it, or leave --git-commit out.") from error
    except subprocess.TimeoutExpired as error:
        raise GitFailed(f"git {arguments[0]} did not end within {_TIMEOUT_S} s.") from error
    if done.returncode != 0:
        told = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        raise GitFailed(
            f"{folder}: git {arguments[0]} failed: {told[0]}",
            hint="The backup itself is in the folder and whole; run it again when git can commit there.",
        )
    return done.stdout
