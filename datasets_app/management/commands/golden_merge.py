"""golden_merge: merge a version into a branch, settle conflicts, complete or give up."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from datasets_app.domain.roles import Action
from datasets_app.domain.strict_json import loads_strict
from datasets_app.errors import InvalidJson, MergeState
from datasets_app.management.dataset_command import DatasetCommand, commit_document, line
from datasets_app.management.merge_text import conflicts_outcome, merge_outcome
from datasets_app.models import Branch, Merge
from datasets_app.services.versioning.log import find_example
from datasets_app.services.versioning.merging import (
    MergeOptions,
    abort_merge,
    complete_merge,
    merge,
    resolve_all,
    resolve_conflict,
)
from datasets_app.services.versioning.refs import get_branch
from goldenproject.kit.audit import acting
from goldenproject.kit.commands import Outcome, UsageError

SIDES = ("ours", "theirs", "base")


class Command(DatasetCommand):
    help = (
        "Merge a version into a branch, field by field. Where both sides changed the same field in different ways, "
        "nothing is written and the conflicts are listed (exit code 3); settle them, then --continue or --abort. "
        "Conflicts of golden_revert are settled here too."
    )

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        self.add_dataset(parser)
        parser.add_argument("source", nargs="?", metavar="SOURCE", help="branch, tag or commit to merge")
        parser.add_argument(
            "--into",
            dest="branch",
            metavar="BRANCH",
            help="merge into this branch (default: the default branch)",
        )
        favor = parser.add_mutually_exclusive_group()
        favor.add_argument(
            "--ours", dest="favor", action="store_const", const="ours", help="at a conflict take our side"
        )
        favor.add_argument(
            "--theirs",
            dest="favor",
            action="store_const",
            const="theirs",
            help="at a conflict take their side",
        )
        parser.add_argument(
            "--no-ff", action="store_true", help="make a merge commit even where the branch could just move"
        )
        parser.add_argument("-m", "--message", default="", help="message of the merge commit")
        parser.add_argument(
            "--author", metavar="NAME", help="author as it will stand in the log (default: who acts)"
        )
        parser.add_argument(
            "--resolve",
            nargs=3,
            action="append",
            default=[],
            metavar=("EXAMPLE", "PATH", "CHOICE"),
            help="settle one conflict: ours, theirs, base, or =JSON for a value of its own (repeatable)",
        )
        end = parser.add_mutually_exclusive_group()
        end.add_argument(
            "--continue",
            dest="complete",
            action="store_true",
            help="write the merge commit of the open merge",
        )
        end.add_argument("--abort", action="store_true", help="give the open merge up")

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        dataset = self.dataset_for(actor, Action.MERGE, options)
        branch = get_branch(dataset, options["branch"])
        going_on = options["complete"] or options["abort"] or options["resolve"]
        if options["source"]:
            if going_on:
                raise UsageError(
                    "SOURCE begins a merge; --continue, --abort and --resolve go on with the open one."
                )
            return self._begin(actor, branch, options)
        merging = branch.merges.filter(state=Merge.State.OPEN).first()
        if merging is None:
            if not going_on:
                raise UsageError("Say which version to merge.")
            raise MergeState(f"No merge into “{branch.name}” is open.")
        if options["abort"]:
            abort_merge(merging=merging, actor=actor)
            document = {"dataset": dataset.name, "branch": branch.name, "aborted": merging.source_ref}
            return Outcome(
                document, f"Gave the {merging.kind} of “{merging.source_ref}” up; {branch} is as it was."
            )
        return _go_on(actor, branch, merging, options)

    def _begin(self, actor: Any, branch: Branch, options: dict[str, Any]) -> Outcome:
        result = merge(
            branch=branch,
            source=options["source"],
            actor=actor,
            options=MergeOptions(
                message=options["message"],
                author=options["author"],
                favor=options["favor"],
                fast_forward=not options["no_ff"],
            ),
        )
        return merge_outcome(branch, options["source"], result)


def _go_on(actor: Any, branch: Branch, merging: Merge, options: dict[str, Any]) -> Outcome:
    # one transaction: of several --resolve either all are taken or none
    with acting(actor, f"resolve {merging.kind} {merging.source_ref}"):
        for example, path, choice in options["resolve"]:
            _resolve(actor, merging, example, path, choice)
        if options["favor"]:
            resolve_all(merging=merging, resolution=options["favor"], actor=actor)
    if not options["complete"] or merging.conflicts.filter(resolution="").exists():
        return conflicts_outcome(branch, merging)
    made = complete_merge(
        merging=merging, actor=actor, message=options["message"] or None, author=options["author"]
    )
    document = {
        "dataset": branch.dataset.name,
        "branch": branch.name,
        "commit": commit_document(made),
        "conflicts": [],
    }
    return Outcome(
        document, line(f"{branch} is now ", (made.short_hash, "yellow"), f": {made.message.splitlines()[0]}")
    )


def _resolve(actor: Any, merging: Merge, example: str, path: str, choice: str) -> None:
    identity = find_example(merging.branch.dataset, example)
    wanted = path if path.startswith("$") else f"$.{path}"
    conflict = merging.conflicts.filter(example_id=identity.pk, path=wanted).first()
    if conflict is None:
        paths = merging.conflicts.filter(example_id=identity.pk).values_list("path", flat=True)
        raise MergeState(
            f"Example “{example}” has no conflict at {wanted}.",
            hint=f"It has: {', '.join(paths)}." if paths else "It has no conflict at all.",
        )
    if choice in SIDES:
        resolve_conflict(conflict=conflict, resolution=choice, actor=actor)
        return
    if not choice.startswith("="):
        raise UsageError(
            f"“{choice}” settles nothing.", hint="Say ours, theirs, base, or =JSON such as ='\"billing\"'."
        )
    resolve_conflict(conflict=conflict, resolution="value", actor=actor, value=_value(choice[1:]))


def _value(text: str) -> Any:
    try:
        return loads_strict(text)
    except InvalidJson as error:
        raise UsageError(
            f"={text} is not JSON: {error.message}", hint="A text needs quotes: ='\"billing\"'."
        ) from error
