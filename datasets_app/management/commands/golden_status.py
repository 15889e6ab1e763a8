"""golden_status: what is uncommitted in a working copy, or a line for each dataset."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from rich.text import Text

from datasets_app.domain.roles import Action
from datasets_app.management.dataset_command import (
    SIGNS,
    DatasetCommand,
    changes_summary,
    commit_document,
    count,
    limit_argument,
    line,
    lines,
    subject,
)
from datasets_app.models import Branch, Dataset, Merge
from datasets_app.services.access import allowed_datasets
from datasets_app.services.versioning.comparing import ExampleDiff, compare_working_copy
from datasets_app.services.versioning.worktrees import Status, is_dirty, row_count, status
from goldenproject.kit.commands import Outcome

SEVERAL = 0


class Command(DatasetCommand):
    help = "Tell what is uncommitted in a working copy; without a dataset, list the datasets."

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dataset", nargs="?", metavar="DATASET", help="name or UUID (default: list all)")
        parser.add_argument("--branch", metavar="NAME", help="this branch (default: the default branch)")
        parser.add_argument("--exit-code", action="store_true", help="exit with 1 if anything is uncommitted")
        limit_argument(parser, 10, "changed examples")

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        if not options["dataset"]:
            return _all_datasets(actor)
        branch = self.branch_for(actor, Action.VIEW, options)
        state = status(branch)
        names = _changed(branch, state, options["limit"] or None)
        merging = branch.merges.filter(state=Merge.State.OPEN).first()
        document = {
            "dataset": branch.dataset.name,
            "branch": branch.name,
            "worktree": branch.worktree,
            "commit": commit_document(branch.commit) if branch.commit else None,
            "rows": state.rows,
            "clean": state.is_clean,
            "added": state.added,
            "modified": state.modified,
            "removed": state.removed,
            "exact": state.exact,
            "touched_by": [{"user": name, "examples": n} for name, n in _people(state).items()],
            "changes": [
                {"id": str(c.uuid), "external_id": c.external_id, "change": c.change_type} for c in names
            ],
            "open_merge": merging.source_ref if merging else None,
        }
        dirty = options["exit_code"] and not state.is_clean
        return Outcome(document, _text(branch, state, names, merging), 1 if dirty else 0)


def _all_datasets(actor: Any) -> Outcome:
    datasets = Dataset.objects.order_by("name") if actor is None else allowed_datasets(actor).order_by("name")
    rows, documents = [], []
    for dataset in datasets:
        main = dataset.main
        dirty = is_dirty(main)
        examples = row_count(main)
        documents.append(
            {
                "name": dataset.name,
                "version": dataset.version,
                "rows": examples,
                "uncommitted": dirty,
                "id": str(dataset.pk),
            }
        )
        mark = ("  uncommitted changes", "yellow") if dirty else ""
        rows.append(
            line((dataset.name, "bold"), f"  {dataset.version or 'no tag'}  {count(examples, 'row')}", mark)
        )
    return Outcome(
        {"datasets": documents}, lines(rows) if rows else "There is no dataset yet; golden_create makes one."
    )


def _changed(branch: Branch, state: Status, limit: int | None) -> list[ExampleDiff]:
    if state.is_clean or not state.exact or not branch.is_open:
        return []
    return compare_working_copy(branch).page(0, limit)


def _people(state: Status) -> dict[str, int]:
    known = dict(
        get_user_model()
        ._default_manager.filter(pk__in=[k for k in state.touched_by if k])
        .values_list("pk", "username")
    )
    known[SEVERAL] = "several people"
    return {
        "unknown or the system" if key is None else known.get(key, f"user {key}"): n
        for key, n in state.touched_by.items()
    }


def _text(branch: Branch, state: Status, names: list[ExampleDiff], merging: Merge | None) -> Text:
    at = f"{branch.commit.short_hash} “{subject(branch.commit)}”" if branch.commit else "no commit yet"
    rows = [line((str(branch), "bold"), f" at {at}")]
    if merging:
        rows.append(
            line(
                (
                    f"A {merging.kind} of “{merging.source_ref}” waits for its conflicts to be resolved.",
                    "yellow",
                )
            )
        )
    if not branch.is_open:
        rows.append(line("It has no working copy; golden_branch --open gives it one."))
        return lines(rows)
    rows.append(line(f"{count(state.rows, 'row')} in the working copy"))
    if state.is_clean:
        rows.append(line("Nothing is uncommitted."))
        return lines(rows)
    about = "" if state.exact else " (touched rows; equal ones are sorted out at the commit)"
    rows.append(line(f"Uncommitted: {changes_summary(state.added, state.modified, state.removed)}{about}"))
    rows += [line("  ", (f"{SIGNS[c.change_type][0]} {c.name}", SIGNS[c.change_type][1])) for c in names]
    total = state.added + state.modified + state.removed
    if total > len(names):
        rows.append(line((f"  … and {total - len(names):,} more (golden_diff shows them)", "dim")))
    rows.append(line("Touched by: " + ", ".join(f"{name} {n:,}" for name, n in _people(state).items())))
    return lines(rows)
