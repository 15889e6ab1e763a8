"""golden_diff: the examples in which two versions differ, field by field."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from datasets_app.domain.roles import Action
from datasets_app.management.dataset_command import (
    DatasetCommand,
    change_document,
    change_lines,
    changes_summary,
    comparison_document,
    limit_argument,
    line,
    lines,
    rest_line,
)
from datasets_app.models import Branch
from datasets_app.services.versioning.comparing import WORKING_COPY, Comparison, compare, compare_working_copy
from datasets_app.services.versioning.refs import get_branch, resolve
from datasets_app.services.versioning.touched import touched_page
from datasets_app.services.versioning.working_comparison import compare_version_with_working_copy
from datasets_app.services.versioning.worktrees import EXACT_ROWS, status
from goldenproject.kit.commands import Outcome


class Command(DatasetCommand):
    help = "Show the examples in which two versions differ, field by field. A and B are versions, or one argument A..B."

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        self.add_dataset(parser, branch=True)
        parser.add_argument(
            "a", nargs="?", metavar="A", help="the old version (default: the branch's commit)"
        )
        parser.add_argument("b", nargs="?", metavar="B", help="the new version (default: the working copy)")
        parser.add_argument("--stat", action="store_true", help="only how many changes of each kind")
        parser.add_argument("--exit-code", action="store_true", help="exit with 1 if there are differences")
        limit_argument(parser, 50, "changed examples")

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        dataset = self.dataset_for(actor, Action.VIEW, options)
        branch = get_branch(dataset, options["branch"])
        if options["a"] is None and branch.is_open and options["limit"] and branch.dirty.count() > EXACT_ROWS:
            return _first_of_many(branch, options)
        comparison = _comparison(branch, *_sides(options["a"], options["b"]))
        limit = options["limit"] or None
        changes = [] if options["stat"] else comparison.page(0, limit)
        summary = changes_summary(comparison.added, comparison.modified, comparison.removed)
        rows = [line((f"{dataset}: {comparison.old_name} → {comparison.new_name}", "bold"), f": {summary}")]
        rows += [row for change in changes for row in change_lines(change)]
        if not options["stat"]:
            rows += rest_line(len(comparison), len(changes))
        differs = bool(len(comparison)) and options["exit_code"]
        document = {"dataset": dataset.name, **comparison_document(comparison, changes)}
        return Outcome(document, lines(rows), 1 if differs else 0)


def _first_of_many(branch: Branch, options: dict[str, Any]) -> Outcome:
    """Show the first uncommitted changes of a great many, whose contents would not all fit in memory."""
    state = status(branch)
    page = touched_page(branch, limit=options["limit"])
    changes = [] if options["stat"] else [touched.diff for touched in page.examples]
    old = branch.commit.short_hash if branch.commit else "nothing"
    document = {
        "dataset": branch.dataset.name,
        "old": old,
        "new": WORKING_COPY,
        "added": state.added,
        "modified": state.modified,
        "removed": state.removed,
        "exact": False,
        "shown": len(changes),
        "changes": [change_document(change) for change in changes],
    }
    summary = changes_summary(state.added, state.modified, state.removed)
    rows = [line((f"{branch.dataset}: {old} → {WORKING_COPY}", "bold"), f": {summary} (touched rows)")]
    rows += [row for change in changes for row in change_lines(change)]
    if not options["stat"]:
        rows += rest_line(state.added + state.modified + state.removed, len(changes))
    return Outcome(document, lines(rows), 1 if options["exit_code"] else 0)


def _sides(a: str | None, b: str | None) -> tuple[str | None, str | None]:
    if a and b is None and ".." in a:
        old, _, new = a.partition("..")
        return old or "HEAD", new or "HEAD"
    return a, b


def _comparison(branch: Branch, a: str | None, b: str | None) -> Comparison:
    if a is None:
        return compare_working_copy(branch)
    old = resolve(branch.dataset, a, head=branch)
    if b is None:
        return compare_version_with_working_copy(branch, old)
    return compare(branch.dataset, old, resolve(branch.dataset, b, head=branch))
