"""The history of versions: log, graph, blame, and what happened to one example."""

from __future__ import annotations

import heapq
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from datasets_app.domain.canonical import loads_stored, same_json
from datasets_app.domain.commits import GraphCommit, GraphRow, graph_rows
from datasets_app.domain.json_path import MISSING, format_path
from datasets_app.errors import UnknownExample
from datasets_app.models import Dataset, DatasetCommit, ExampleChange, ExampleIdentity
from datasets_app.services.versioning.label_sources import LabelBehind, label_behind, labels_of
from datasets_app.services.versioning.store import blob_texts

_LOADED_COMMITS = 200


def log(
    dataset: Dataset, start: DatasetCommit, *, limit: int = 50, after: str | None = None
) -> list[DatasetCommit]:
    """Return `start` and its ancestors by all parents, children before parents, newest first.

    `after` is the hash of the last commit that was shown: the list goes on behind it.
    """
    loader = _CommitLoader(dataset)
    loader.add(start)
    queue = [_order(start)]
    seen = {start.commit_hash}
    shown: list[DatasetCommit] = []
    skipping = after is not None
    while queue and len(shown) < limit:
        current = loader.get(heapq.heappop(queue)[-1])
        if not skipping:
            shown.append(current)
        skipping = skipping and current.commit_hash != after
        for parent in current.parents:
            if parent not in seen:
                seen.add(parent)
                heapq.heappush(queue, _order(loader.get(parent)))
    return shown


def _order(commit: DatasetCommit) -> tuple[int, int, str]:
    return (-commit.generation, -commit.pk, commit.commit_hash)


class _CommitLoader:
    """Reads commits of one dataset in runs, because a log asks for neighbours."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._known: dict[str, DatasetCommit] = {}

    def add(self, commit: DatasetCommit) -> None:
        self._known[commit.commit_hash] = commit

    def get(self, commit_hash: str) -> DatasetCommit:
        if commit_hash not in self._known:
            wanted = DatasetCommit.objects.get(commit_hash=commit_hash)
            for commit in self._dataset.commits.filter(pk__lte=wanted.pk).order_by("-pk")[:_LOADED_COMMITS]:
                self._known[commit.commit_hash] = commit
        return self._known[commit_hash]


@dataclass(frozen=True)
class LoggedCommit:
    """A commit in the drawn log, with its place in the lanes and the refs that name it."""

    commit: DatasetCommit
    row: GraphRow
    branches: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)


def graph(dataset: Dataset, *, limit: int = 50, before_id: int | None = None) -> list[LoggedCommit]:
    """Return the newest commits of all branches, laid out in lanes. `before_id` is the id of the last one shown."""
    commits = dataset.commits.order_by("-id")
    if before_id is not None:
        commits = commits.filter(pk__lt=before_id)
    page = list(commits[:limit])
    rows = graph_rows([GraphCommit(c.commit_hash, c.parents, c.generation) for c in page])
    branches, tags = refs_by_commit(dataset)
    return [
        LoggedCommit(commit, row, branches.get(commit.pk, []), tags.get(commit.pk, []))
        for commit, row in zip(page, rows, strict=True)
    ]


def refs_by_commit(dataset: Dataset) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """Return commit id → names of branches, and commit id → names of tags."""
    branches: dict[int, list[str]] = defaultdict(list)
    for commit_id, name in dataset.branches.filter(is_closed=False).values_list("commit_id", "name"):
        if commit_id is not None:
            branches[commit_id].append(name)
    tags: dict[int, list[str]] = defaultdict(list)
    for commit_id, name in dataset.version_tags.values_list("commit_id", "name"):
        tags[commit_id].append(name)
    return dict(branches), dict(tags)


def find_example(dataset: Dataset, name: str | uuid.UUID) -> ExampleIdentity:
    """Return the identity of an example by its id from outside or its UUID. Raises UnknownExample."""
    known = ExampleIdentity.objects.filter(dataset=dataset)
    found = known.filter(external_id=str(name)).first()
    if found is None:
        try:
            found = known.filter(pk=uuid.UUID(str(name))).first()
        except ValueError:
            found = None
    if found is None:
        raise UnknownExample(
            f"Dataset “{dataset}” has no example “{name}”.", hint="Give its id from the import, or its UUID."
        )
    return found


def row_history(dataset: Dataset, example: uuid.UUID) -> list[ExampleChange]:
    """Return what each commit did to an example, newest first."""
    changes = ExampleChange.objects.filter(example_id=example, commit__dataset=dataset)
    return list(changes.select_related("commit").order_by("-commit_id"))


@dataclass(frozen=True)
class BlameLine:
    """One field of an example, the commit that gave it its present value, and the label that did, if one did."""

    path: str
    value: Any
    commit: DatasetCommit
    change_type: str
    label: LabelBehind | None = None


def blame(dataset: Dataset, example: uuid.UUID, *, at: DatasetCommit) -> list[BlameLine]:
    """Tell for each field of an example, as it is in version `at`, which commit gave it that value.

    A merge that only brought a value in is passed over in favour of the commit it came from. Raises UnknownExample
    when the version does not hold the example.
    """
    changes = {c.commit.commit_hash: c for c in row_history(dataset, example)}
    texts = blob_texts(bytes(c.new_hash) for c in changes.values() if c.new_hash is not None)
    documents = {
        commit_hash: {} if c.new_hash is None else _fields(loads_stored(texts[bytes(c.new_hash)]))
        for commit_hash, c in changes.items()
    }
    states = _StatesOfExample(_CommitLoader(dataset), changes, documents)
    newest = states.last_change(at.commit_hash)
    if newest is None or changes[newest].new_hash is None:
        raise UnknownExample(f"Version {at.short_hash} of “{dataset}” does not hold this example.")
    labels = labels_of(example)
    return [
        BlameLine(
            path,
            value,
            changes[origin].commit,
            changes[origin].change_type,
            label_behind(labels, path, value, by=changes[origin].commit.committed_at),
        )
        for path, value in documents[newest].items()
        for origin in [states.origin(newest, path, value)]
    ]


class _StatesOfExample:
    """Walks from the changes of one example to the earlier ones, along all parents."""

    def __init__(
        self, loader: _CommitLoader, changes: dict[str, ExampleChange], documents: dict[str, dict[str, Any]]
    ) -> None:
        self._loader = loader
        self._changes = changes
        self._documents = documents
        self._last: dict[str, str | None] = {}

    def last_change(self, commit_hash: str) -> str | None:
        """Return the newest commit at or before `commit_hash`, by first parents, that changed the example."""
        walked = []
        current = commit_hash
        while current and current not in self._changes and current not in self._last:
            walked.append(current)
            current = self._loader.get(current).parent_commit_hash
        found = self._last.get(current, current or None)
        self._last.update(dict.fromkeys(walked, found))
        return found

    def origin(self, commit_hash: str, path: str, value: Any) -> str:
        """Return the first commit from which on the field has had this value."""
        current = commit_hash
        while True:
            for parent in self._loader.get(current).parents:
                earlier = self.last_change(parent)
                if earlier is not None and same_json(self._documents[earlier].get(path, MISSING), value):
                    current = earlier
                    break
            else:
                return current


def _fields(document: dict[str, Any]) -> dict[str, Any]:
    """Return path → value for the parts of a content document, objects opened once."""
    fields = {}
    for name, value in document.items():
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                fields[format_path([name, key])] = inner
        else:
            fields[format_path([name])] = value
    return fields
