"""What the commands on datasets share: rights, arguments, and how commits, values and differences are shown."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from rich.text import Text

from datasets_app.domain.field_diff import FieldChange
from datasets_app.domain.json_path import MISSING
from datasets_app.domain.roles import Action
from datasets_app.models import Branch, Dataset, DatasetCommit
from datasets_app.services.access import require
from datasets_app.services.versioning.comparing import Comparison, ExampleDiff
from datasets_app.services.versioning.refs import get_branch, get_dataset
from goldenproject.kit.commands import GoldenCommand, printable

VALUE_WIDTH = 100
SIGNS = {
    "added": ("+", "green"),
    "removed": ("-", "red"),
    "modified": ("~", "yellow"),
    "changed": ("~", "yellow"),
}

Part = str | tuple[str, str] | Text


class DatasetCommand(GoldenCommand):
    """Base of the commands on one dataset: the first argument is its name or UUID."""

    def add_dataset(self, parser: ArgumentParser, *, branch: bool = False) -> None:
        parser.add_argument("dataset", metavar="DATASET", help="name or UUID of the dataset")
        if branch:
            parser.add_argument(
                "--branch", metavar="NAME", help="work on this branch (default: the default branch)"
            )

    def dataset_for(self, actor: Any, action: Action, options: Mapping[str, Any]) -> Dataset:
        """Return the dataset of the command line. Raises Forbidden when `actor` may not do `action` in it."""
        dataset = get_dataset(options["dataset"])
        allow(actor, action, dataset)
        return dataset

    def branch_for(self, actor: Any, action: Action, options: Mapping[str, Any]) -> Branch:
        return get_branch(self.dataset_for(actor, action, options), options.get("branch"))


def allow(actor: Any, action: Action, dataset: Dataset | None) -> None:
    """Check the rights of a person; the system (None), which runs on the machine of the data, may do all."""
    if actor is not None:
        require(actor, action, dataset)


def line(*parts: Part) -> Text:
    """Return one line of text; a part may carry a style."""
    return Text.assemble(*(_clean(part) for part in parts))


def lines(rows: Iterable[Text]) -> Text:
    return Text("\n").join(rows)


def _clean(part: Part) -> Part:
    if isinstance(part, str):
        return printable(part)
    return part if isinstance(part, Text) else (printable(part[0]), part[1])


def shown(value: Any, width: int = VALUE_WIDTH) -> str:
    """Return a JSON value as one line of at most `width` characters."""
    if value is MISSING:
        return "(absent)"
    text = orjson.dumps(value, default=str).decode()
    return text if len(text) <= width else text[: width - 1] + "…"


def count(number: int, one: str, many: str | None = None) -> str:
    """Return "1 example", "2 examples"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def changes_summary(added: int, modified: int, removed: int) -> str:
    return f"{added:,} added, {modified:,} modified, {removed:,} removed"


def commit_document(commit: DatasetCommit) -> dict[str, Any]:
    return {
        "hash": commit.commit_hash,
        "short_hash": commit.short_hash,
        "parents": list(commit.parents),
        "author": commit.author,
        "committed_at": commit.committed_at,
        "message": commit.message,
        "added": commit.examples_added,
        "modified": commit.examples_modified,
        "removed": commit.examples_removed,
        "examples": commit.example_count,
        "root": commit.root_hash,
    }


def subject(commit: DatasetCommit) -> str:
    return commit.message.splitlines()[0]


def commit_lines(commit: DatasetCommit, refs: list[str]) -> list[Text]:
    """Return the head of a commit as `git show` would print it."""
    names = f" ({', '.join(refs)})" if refs else ""
    rows = [line((f"commit {commit.commit_hash}", "yellow"), (names, "cyan"))]
    if len(commit.parents) > 1:
        rows.append(line("Merge:    " + " ".join(parent[:12] for parent in commit.parents)))
    rows += [
        line(f"Author:   {commit.author}"),
        line(f"Date:     {commit.committed_at:%Y-%m-%d %H:%M:%S %Z}"),
        line(
            "Changes:  "
            + changes_summary(commit.examples_added, commit.examples_modified, commit.examples_removed)
            + f"; {count(commit.example_count, 'example')} in all"
        ),
        line(),
    ]
    return rows + [line(f"    {text}") for text in commit.message.splitlines()]


def comparison_document(comparison: Comparison, shown_changes: list[ExampleDiff]) -> dict[str, Any]:
    return {
        "old": comparison.old_name,
        "new": comparison.new_name,
        "added": comparison.added,
        "modified": comparison.modified,
        "removed": comparison.removed,
        "shown": len(shown_changes),
        "changes": [change_document(change) for change in shown_changes],
    }


def change_document(change: ExampleDiff) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": str(change.uuid),
        "external_id": change.external_id,
        "change": change.change_type,
    }
    if change.change_type == "modified":
        document["fields"] = [field_document(field) for field in change.fields]
    else:
        document["content"] = change.new if change.change_type == "added" else change.old
    return document


def field_document(field: FieldChange) -> dict[str, Any]:
    sides = {"old": field.old, "new": field.new}
    present = {name: value for name, value in sides.items() if value is not MISSING}
    return {"path": field.path, "kind": field.kind, **present}


def change_lines(change: ExampleDiff) -> list[Text]:
    """Return one changed example: its name, and what changed field by field."""
    sign, style = SIGNS[change.change_type]
    if change.change_type != "modified":
        content = change.new if change.change_type == "added" else change.old
        return [line((f"{sign} {change.name}", style), f"  {_excerpt(content)}")]
    rows = [line((f"{sign} {change.name}", style))]
    for field in change.fields:
        rows += _field_lines(field)
    return rows


def _excerpt(content: Mapping[str, Any] | None) -> str:
    parts = {name: value for name, value in (content or {}).items() if name in ("input", "output")}
    return shown(parts or content)


def _field_lines(field: FieldChange) -> list[Text]:
    if field.kind != "changed":
        sign, style = SIGNS[field.kind]
        value = field.new if field.kind == "added" else field.old
        return [line(f"    {field.path}  ", (f"{sign} {shown(value)}", style))]
    old, new = shown(field.old, 400), shown(field.new, 400)
    if len(old) + len(new) <= VALUE_WIDTH:
        return [line(f"    {field.path}  ", (old, "red"), " → ", (new, "green"))]
    return [line(f"    {field.path}"), line((f"      - {old}", "red")), line((f"      + {new}", "green"))]


def rest_line(total: int, displayed: int) -> list[Text]:
    """Say how much was left out, and how to see it."""
    left = total - displayed
    return [line((f"… and {left:,} more (--limit 0 shows all)", "dim"))] if left > 0 else []


def limit_argument(parser: ArgumentParser, default: int, what: str) -> None:
    parser.add_argument(
        "--limit",
        type=_limit,
        default=default,
        metavar="N",
        help=f"show at most N {what}, 0 for all (default {default})",
    )


def _limit(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number
