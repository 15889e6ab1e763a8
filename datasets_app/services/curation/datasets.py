"""Datasets: made with their main branch, changed, started from a version of another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, transaction

from datasets_app.models import Branch, Dataset, ExampleType
from datasets_app.services.access import record
from datasets_app.services.curation.forking import copy_version
from datasets_app.services.versioning.refs import parse_dataset_ref, resolve
from goldenproject.kit.audit import acting, known_person
from goldenproject.kit.errors import BadInput, Conflict
from goldenproject.kit.retries import retried

MAIN = "main"
_CHANGEABLE = frozenset({"name", "description", "tags", "metadata", "is_active", "default_type"})


@retried()
def create_dataset(
    *,
    name: str,
    actor: Any,
    description: str = "",
    parent_version: str = "",
    default_type: ExampleType | None = None,
    tags: Iterable[str] = (),
    metadata: dict[str, Any] | None = None,
) -> Dataset:
    """Make a dataset with its branch main. With `parent_version` (DATASET@REF) it starts from that version's examples.

    Raises Conflict when the name is taken, BadInput when it cannot be a name.
    """
    checked = _checked_name(name)
    with acting(actor, f"create dataset {checked}"):
        parent = parse_dataset_ref(parent_version) if parent_version else None
        start = resolve(parent.dataset, parent.ref) if parent else None
        dataset = Dataset(
            name=checked,
            description=description,
            parent_version=f"{parent.dataset.name}@{start.commit_hash}" if parent and start else "",
            default_type=default_type,
            tags=list(tags),
            metadata=metadata or {},
            created_by=known_person(actor),
        )
        _save(dataset)
        main = Branch.objects.create(
            dataset=dataset,
            name=MAIN,
            is_default=True,
            worktree=Branch.Worktree.OPEN,
            created_by=dataset.created_by,
        )
        record(actor, "dataset.create", dataset, checked)
        if start is not None:
            copy_version(start, main, actor=actor)
    return dataset


@retried()
def update_dataset(*, dataset: Dataset, actor: Any, **fields: Any) -> Dataset:
    """Change name, description, tags, metadata, is_active or default_type of a dataset."""
    unknown = fields.keys() - _CHANGEABLE
    if unknown:
        raise BadInput(f"{', '.join(sorted(unknown))} of a dataset cannot be changed.")
    if "name" in fields:
        fields["name"] = _checked_name(fields["name"])
    with acting(actor, "edit dataset"):
        current = Dataset.objects.select_for_update().get(pk=dataset.pk)
        for name, value in fields.items():
            setattr(current, name, value)
        _save(current)
        record(actor, "dataset.update", current, ", ".join(sorted(fields)))
    return current


def _save(dataset: Dataset) -> None:
    try:
        with transaction.atomic():
            dataset.save()
    except IntegrityError as error:
        if "name" not in str(error):
            raise
        raise Conflict(
            f"There is a dataset “{dataset.name}” already.", hint="Choose another name."
        ) from error


def _checked_name(name: str) -> str:
    checked = name.strip()
    if not checked or len(checked) > 200:
        raise BadInput(f"A dataset's name has 1 to 200 characters; this one has {len(checked)}.")
    if "\x00" in checked or not checked.isprintable():
        raise BadInput("A dataset's name cannot hold control characters.")
    return checked
