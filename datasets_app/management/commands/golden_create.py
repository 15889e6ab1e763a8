"""golden_create: make a dataset, empty or from a version of another."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from datasets_app.domain.roles import Action
from datasets_app.management.dataset_command import DatasetCommand, allow, count, line
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.types import get_type
from datasets_app.services.versioning.refs import parse_dataset_ref
from datasets_app.services.versioning.worktrees import row_count
from goldenproject.kit.commands import Outcome


class Command(DatasetCommand):
    help = "Make a dataset, empty or from a version of another one."

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dataset", metavar="DATASET", help="name of the new dataset")
        parser.add_argument("--description", default="", help="what it is for")
        parser.add_argument("--type", metavar="TYPE", help="example type of rows that name none")
        parser.add_argument(
            "--parent", default="", metavar="DATASET@REF", help="start with the examples of this version"
        )
        parser.add_argument(
            "--tag", action="append", default=[], metavar="WORD", help="a word to find it by (repeatable)"
        )

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        allow(actor, Action.EDIT, None)
        if options["parent"]:
            allow(actor, Action.VIEW, parse_dataset_ref(options["parent"]).dataset)
        dataset = create_dataset(
            name=options["dataset"],
            description=options["description"],
            actor=actor,
            parent_version=options["parent"],
            default_type=get_type(options["type"]) if options["type"] else None,
            tags=options["tag"],
        )
        rows = row_count(dataset.main)
        return Outcome(
            {
                "id": str(dataset.pk),
                "name": dataset.name,
                "parent_version": dataset.parent_version,
                "examples": rows,
            },
            line(f"Made dataset “{dataset.name}”" + (f" with {count(rows, 'example')}." if rows else ".")),
        )
