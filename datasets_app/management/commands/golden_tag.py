"""golden_tag: list tags, name a version for ever, or delete a tag."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from datasets_app.domain.roles import Action
from datasets_app.management.dataset_command import DatasetCommand, line, lines
from datasets_app.models import Dataset, Tag
from datasets_app.services.versioning.refs import create_tag, delete_tag
from goldenproject.kit.commands import Outcome, UsageError


class Command(DatasetCommand):
    help = "List the tags of a dataset, give a version a name that never moves, or delete a tag."

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        self.add_dataset(parser)
        parser.add_argument(
            "name", nargs="?", metavar="NAME", help="the tag, such as v1.0 (default: list all)"
        )
        parser.add_argument(
            "ref", nargs="?", metavar="REF", help="the version (default: the default branch's)"
        )
        parser.add_argument("-m", "--message", default="", help="what the tag stands for")
        parser.add_argument("--delete", action="store_true", help="delete the tag; its commit stays")

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        name = options["name"]
        if name is None:
            if options["delete"] or options["message"]:
                raise UsageError("Say which tag.")
            return _all_tags(self.dataset_for(actor, Action.VIEW, options))
        dataset = self.dataset_for(actor, Action.TAG, options)
        if options["delete"]:
            if options["ref"] or options["message"]:
                raise UsageError("--delete takes only the name of the tag.")
            delete_tag(dataset=dataset, name=name, actor=actor)
            return Outcome(
                {"dataset": dataset.name, "deleted": name}, f"Deleted the tag “{name}”; its commit stays."
            )
        tag = create_tag(
            dataset=dataset, name=name, ref=options["ref"], message=options["message"], actor=actor
        )
        return Outcome(
            {"dataset": dataset.name, **_document(tag)},
            line(f"“{name}” names ", (tag.commit.short_hash, "yellow"), f" of “{dataset}” from now on."),
        )


def _all_tags(dataset: Dataset) -> Outcome:
    tags = list(dataset.version_tags.select_related("commit").order_by("-id"))
    rows = [
        line(
            (tag.name, "bold"),
            " ",
            (tag.commit.short_hash, "yellow"),
            f"  {tag.message.splitlines()[0] if tag.message else ''}",
        )
        for tag in tags
    ]
    document = {"dataset": dataset.name, "tags": [_document(tag) for tag in tags]}
    return Outcome(document, lines(rows) if rows else f"“{dataset}” has no tag yet.")


def _document(tag: Tag) -> dict[str, Any]:
    return {"tag": tag.name, "commit": tag.commit.commit_hash, "message": tag.message}
