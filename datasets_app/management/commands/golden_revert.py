"""golden_revert: undo what one version did, by a new version."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from datasets_app.domain.roles import Action
from datasets_app.management.dataset_command import DatasetCommand
from datasets_app.management.merge_text import merge_outcome
from datasets_app.services.versioning.merging import MergeOptions, revert
from goldenproject.kit.commands import Outcome


class Command(DatasetCommand):
    help = (
        "Undo what a version did, by a new version. What was changed again since then is a conflict (exit code 3), "
        "settled with golden_merge."
    )

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        self.add_dataset(parser, branch=True)
        parser.add_argument("ref", metavar="REF", help="the version to undo")
        parser.add_argument("-m", "--message", default="", help="message of the new version")
        parser.add_argument(
            "--author", metavar="NAME", help="author as it will stand in the log (default: who acts)"
        )
        favor = parser.add_mutually_exclusive_group()
        favor.add_argument(
            "--ours",
            dest="favor",
            action="store_const",
            const="ours",
            help="at a conflict keep the present value",
        )
        favor.add_argument(
            "--theirs",
            dest="favor",
            action="store_const",
            const="theirs",
            help="at a conflict go back to the old value",
        )

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        branch = self.branch_for(actor, Action.MERGE, options)
        merge_options = MergeOptions(
            message=options["message"], author=options["author"], favor=options["favor"]
        )
        result = revert(branch=branch, ref=options["ref"], actor=actor, options=merge_options)
        return merge_outcome(branch, options["ref"], result)
