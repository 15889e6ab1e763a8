"""golden_redact: erase the content of an example in every version."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from datasets_app.domain.roles import Action
from datasets_app.management.dataset_command import DatasetCommand, count, line, lines
from datasets_app.services.versioning.log import find_example
from datasets_app.services.versioning.redacting import redact
from goldenproject.kit.commands import Outcome


class Command(DatasetCommand):
    help = (
        "Erase what an example ever held, in all versions, in its history, in the working copies, and what labelers and "
        "reviewers said of it. The hashes stay, so versions still verify. This cannot be undone, and older backups still "
        "hold the text."
    )

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        self.add_dataset(parser)
        parser.add_argument(
            "example", metavar="EXAMPLE", help="id of the example from its import, or its UUID"
        )
        parser.add_argument(
            "--reason", required=True, help="why; it stands in the place of the text for ever"
        )
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        dataset = self.dataset_for(actor, Action.REDACT, options)
        identity = find_example(dataset, options["example"])
        self.confirm(f"Erase example “{identity}” of “{dataset}” for ever?", yes=options["yes"])
        result = redact(dataset=dataset, example=identity.pk, reason=options["reason"], actor=actor)
        document = {
            "dataset": dataset.name,
            "id": str(result.example_id),
            "contents": list(result.blobs),
            "working_rows": result.working_rows,
            "history_rows": result.history_rows,
            "also_in": list(result.also_in),
            "elsewhere": result.elsewhere,
        }
        rows = [
            line(
                f"Erased {count(len(result.blobs), 'content')} of “{identity}”, {count(result.working_rows, 'working row')} "
                f"and {count(result.history_rows, 'row')} of history."
            )
        ]
        if result.elsewhere:
            told = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in result.elsewhere.items())
            rows.append(line(f"Of what was said about it: {told}."))
        if result.also_in:
            rows.append(
                line((f"These had the very same text and lost it too: {', '.join(result.also_in)}", "yellow"))
            )
        rows.append(line("Backups made before still hold the text: make a new one and destroy those."))
        return Outcome(document, lines(rows))
