"""golden_log: the versions of a dataset, newest first."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from datasets_app.domain.commits import GraphCommit
from datasets_app.domain.roles import Action
from datasets_app.management.dataset_command import (
    DatasetCommand,
    commit_document,
    commit_lines,
    count,
    limit_argument,
    line,
    lines,
    subject,
)
from datasets_app.management.log_graph import drawn
from datasets_app.models import DatasetCommit
from datasets_app.services.versioning.log import graph, log, refs_by_commit
from datasets_app.services.versioning.refs import resolve
from goldenproject.kit.commands import Outcome, UsageError

_ALL = 1_000_000_000


class Command(DatasetCommand):
    help = "Show the versions of a dataset, newest first; on a terminal as a graph."

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        self.add_dataset(parser)
        parser.add_argument("ref", nargs="?", metavar="REF", help="start here (default: the default branch)")
        parser.add_argument("--all", action="store_true", help="the versions of all branches")
        parser.add_argument("--oneline", action="store_true", help="a line for each version")
        parser.add_argument(
            "--graph", action="store_true", default=None, help="draw the graph (default on a terminal)"
        )
        parser.add_argument("--no-graph", action="store_false", dest="graph", help="do not draw the graph")
        parser.add_argument("--after", metavar="HASH", help="go on behind this commit of an earlier log")
        limit_argument(parser, 20, "versions")

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        dataset = self.dataset_for(actor, Action.VIEW, options)
        if options["all"] and (options["ref"] or options["after"]):
            raise UsageError("--all shows every branch, so REF and --after do not go with it.")
        limit = options["limit"] or _ALL
        if options["all"]:
            commits = [logged.commit for logged in graph(dataset, limit=limit)]
        else:
            after = resolve(dataset, options["after"]).commit_hash if options["after"] else None
            commits = _log(dataset, options["ref"], limit, after)
        branches, tags = refs_by_commit(dataset)
        names = {c.pk: [*branches.get(c.pk, []), *(f"tag {t}" for t in tags.get(c.pk, []))] for c in commits}
        with_graph = self.on_terminal if options["graph"] is None else options["graph"]
        document = {
            "dataset": dataset.name,
            "commits": [
                {**commit_document(c), "branches": branches.get(c.pk, []), "tags": tags.get(c.pk, [])}
                for c in commits
            ],
        }
        if not commits:
            return Outcome(document, f"“{dataset}” has no version yet; golden_commit makes one.")
        entries = [
            [_oneline(c, names[c.pk])] if options["oneline"] else [*commit_lines(c, names[c.pk]), line()]
            for c in commits
        ]
        return Outcome(document, _text(commits, entries, with_graph=with_graph))


def _log(dataset: Any, ref: str | None, limit: int, after: str | None) -> list[DatasetCommit]:
    if ref is None and dataset.main.commit is None:
        return []
    return log(dataset, resolve(dataset, ref), limit=limit, after=after)


def _oneline(commit: DatasetCommit, names: list[str]) -> Text:
    return line(
        (commit.short_hash, "yellow"),
        (f" ({', '.join(names)})" if names else "", "cyan"),
        f" {subject(commit)}",
        (
            f"  {commit.author}, {commit.committed_at:%Y-%m-%d}, {count(commit.example_count, 'example')}",
            "dim",
        ),
    )


def _text(commits: Sequence[DatasetCommit], entries: list[list[Text]], *, with_graph: bool) -> Text:
    if not with_graph:
        return lines(row for entry in entries for row in entry)
    drawing = drawn([GraphCommit(c.commit_hash, c.parents, c.generation) for c in commits])
    rows = []
    for (first, further, join), entry in zip(drawing, entries, strict=True):
        rows.append(line((first, "magenta"), " ", entry[0]))
        if join:
            rows.append(line((join, "magenta"), " ", entry[1] if len(entry) > 1 else ""))
            rows += [line((further, "magenta"), " ", text) for text in entry[2:]]
        else:
            rows += [line((further, "magenta"), " ", text) for text in entry[1:]]
    return lines(rows)
