"""golden_branch: list branches, make one, give it a working copy or take it away, close it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from datasets_app.domain.roles import Action
from datasets_app.management.dataset_command import DatasetCommand, count, line, lines, subject
from datasets_app.models import Branch, Dataset
from datasets_app.services.versioning.refs import create_branch, get_branch
from datasets_app.services.versioning.worktrees import close_worktree, is_dirty, open_worktree, row_count
from goldenproject.kit.commands import Outcome, UsageError


class Command(DatasetCommand):
    help = (
        "List the branches of a dataset, or make the branch NAME. With --open a branch (made if need be) gets a working "
        "copy; --delete-worktree takes it away; --close takes it away and closes the branch."
    )

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        self.add_dataset(parser)
        parser.add_argument("name", nargs="?", metavar="NAME", help="the branch (default: list all)")
        parser.add_argument(
            "--start", metavar="REF", help="where a new branch starts (default: the default branch)"
        )
        act = parser.add_mutually_exclusive_group()
        act.add_argument("--open", action="store_true", help="give it a working copy")
        act.add_argument(
            "--close", action="store_true", help="take its working copy away and close it; its commits stay"
        )
        act.add_argument(
            "--delete-worktree", action="store_true", help="take its working copy away; the branch stays"
        )
        parser.add_argument(
            "--force",
            action="store_true",
            help="with --close or --delete-worktree: throw uncommitted changes away",
        )

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        name = options["name"]
        taking = options["close"] or options["delete_worktree"]
        if options["force"] and not taking:
            raise UsageError("--force goes with --close or --delete-worktree.")
        if name is None:
            if taking or options["open"] or options["start"]:
                raise UsageError("Say which branch.")
            return _all_branches(self.dataset_for(actor, Action.VIEW, options))
        dataset = self.dataset_for(actor, Action.EDIT, options)
        if taking:
            branch = close_worktree(
                branch=get_branch(dataset, name),
                actor=actor,
                discard=options["force"],
                close_branch=options["close"],
            )
            done = "closed; its commits stay" if options["close"] else "there, but without a working copy"
            return Outcome(_document(branch), f"Branch “{name}” is {done}.")
        there = dataset.branches.filter(name=name).exists()
        if options["open"] and there:
            if options["start"]:
                raise UsageError(f"Branch “{name}” is there already, so --start says nothing.")
            branch = get_branch(dataset, name)
        else:
            branch = create_branch(dataset=dataset, name=name, start=options["start"], actor=actor)
        if options["open"]:
            branch = open_worktree(branch=branch, actor=actor)
        return Outcome(_document(branch), line(("Branch " if there else "New branch "), _about(branch)))


def _about(branch: Branch) -> Any:
    at = (
        line((branch.commit.short_hash, "yellow"), f" “{subject(branch.commit)}”")
        if branch.commit
        else "no commit yet"
    )
    rows = (
        f", {count(row_count(branch), 'row')} in its working copy" if branch.is_open else ", no working copy"
    )
    dirty = ", uncommitted changes" if is_dirty(branch) else ""
    marks = (", default" if branch.is_default else "") + (", closed" if branch.is_closed else "")
    return line((branch.name, "bold"), " at ", at, rows, (dirty, "yellow"), marks)


def _all_branches(dataset: Dataset) -> Outcome:
    branches = list(dataset.branches.select_related("commit", "dataset"))
    return Outcome(
        {"dataset": dataset.name, "branches": [_document(branch) for branch in branches]},
        lines(_about(branch) for branch in branches),
    )


def _document(branch: Branch) -> dict[str, Any]:
    return {
        "branch": branch.name,
        "commit": branch.commit.commit_hash if branch.commit else None,
        "default": branch.is_default,
        "closed": branch.is_closed,
        "worktree": branch.worktree,
        "rows": row_count(branch),
        "uncommitted": is_dirty(branch),
    }
