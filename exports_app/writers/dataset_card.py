"""The README.md beside an export: what the data are, where they come from, what is in each file.

Its first part is the metadata that the Hugging Face hub and `datasets.load_dataset` read. It holds no time of export:
the same version gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

_MOST_CLASSES = 100


@dataclass(frozen=True)
class CardPart:
    """A file of the export: the split it is, its name, its rows, and class → rows."""

    split: str
    file_name: str
    rows: int
    classes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    """What a dataset card tells. `choices` are the options that shaped the export, in words."""

    name: str
    description: str
    ref: str
    commit_hash: str
    commit_message: str
    author: str
    committed_at: datetime
    parts: Sequence[CardPart]
    choices: Sequence[str] = ()
    redacted: int = 0


def card_text(card: Card) -> str:
    """Return the card as Markdown with its YAML head."""
    files = "\n".join(f"      - split: {part.split}\n        path: {part.file_name}" for part in card.parts)
    # a JSON string is a YAML string, whatever the name holds
    head = f"---\npretty_name: {json.dumps(card.name)}\nconfigs:\n  - config_name: default\n    data_files:\n{files}\n---\n"
    rows = "\n".join(f"| {part.split} | {part.file_name} | {part.rows} |" for part in card.parts)
    body = [
        f"# {_inline(card.name)}",
        card.description.strip(),
        f"Version {_inline(card.ref)}, commit `{card.commit_hash}`\nby {_inline(card.author)}, "
        f"{card.committed_at:%Y-%m-%d}: {_inline(card.commit_message.splitlines()[0])}",
        f"| split | file | examples |\n| --- | --- | ---: |\n{rows}",
        "Each line is a JSON object with `id`, `input`, `output` and, where there are any, `labels` and `metadata`.\n"
        "`sha256sum -c SHA256SUMS` checks the files.",
    ]
    if card.choices:
        body.append("\n".join(f"- {_inline(choice)}" for choice in card.choices))
    if card.redacted:
        body.append(f"{card.redacted} redacted example(s) of this version are not in the files.")
    body += _class_tables(card)
    return head + "\n" + "\n\n".join(text for text in body if text) + "\n"


def _class_tables(card: Card) -> list[str]:
    totals: dict[str, int] = {}
    for part in card.parts:
        for name, rows in part.classes.items():
            totals[name] = totals.get(name, 0) + rows
    if not totals:
        return []
    shown = sorted(totals, key=lambda name: (-totals[name], name))[:_MOST_CLASSES]
    head = "| class | " + " | ".join(part.split for part in card.parts) + " |"
    rule = "| --- |" + " ---: |" * len(card.parts)
    lines = [
        f"| {_inline(name)} | " + " | ".join(str(part.classes.get(name, 0)) for part in card.parts) + " |"
        for name in shown
    ]
    more = [f"\n… and {len(totals) - len(shown)} more classes."] if len(totals) > len(shown) else []
    return ["## Classes", "\n".join([head, rule, *lines, *more])]


def _inline(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
