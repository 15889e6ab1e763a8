"""Edit the rows of a working copy: add, change, delete, judge. Every row is checked against its type."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from io import BytesIO
from typing import Any

import orjson
from django.db import connection

from datasets_app.domain.canonical import canonical_bytes, canonical_text
from datasets_app.domain.content import provenance_after_edit
from datasets_app.domain.identity import uuid_of_external_id, uuid_of_input
from datasets_app.domain.strict_json import check_value
from datasets_app.errors import DuplicateExample, EditConflict, UnknownExample, WorktreeClosed
from datasets_app.models import Branch, Example, ExampleIdentity, ExampleType, ValidationStatus
from datasets_app.services.access import record
from datasets_app.services.curation.importing import ImportOptions, ImportResult, import_file
from datasets_app.services.curation.types import check_content
from goldenproject.kit.audit import acting, known_person
from goldenproject.kit.clock import now
from goldenproject.kit.errors import BadInput
from goldenproject.kit.retries import retried

_CONTENT = ("input_data", "expected_output", "labels", "metadata")
_CHANGEABLE = frozenset({*_CONTENT, "example_type", "source_decision_id", "validation_status"})


def _checked_parts(**parts: Any) -> None:
    for name, value in parts.items():
        check_value({name: value})
    for name in ("labels", "metadata"):
        if not isinstance(parts.get(name, {}), dict):
            raise BadInput(f"$.{name}: found {type(parts[name]).__name__}, expected an object.")


def _locked_open(branch: Branch) -> Branch:
    """Return the branch, held open until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT worktree FROM datasets_app_branch WHERE id = %s FOR KEY SHARE", [branch.pk])
        found = cursor.fetchone()
    if found is None or found[0] != Branch.Worktree.OPEN:
        raise WorktreeClosed(
            f"Branch “{branch.name}” has no working copy to edit.", hint="Open it for editing first."
        )
    return branch


@retried()
def add_example(
    *,
    branch: Branch,
    example_type: ExampleType,
    input_data: Any,
    actor: Any,
    expected_output: Any = None,
    external_id: str | None = None,
    labels: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    source_decision_id: str | None = None,
) -> Example:
    """Add one example to a working copy; it is pending.

    Raises SchemaViolation, InvalidJson, DuplicateExample when the id is there already, WorktreeClosed.
    """
    _checked_parts(
        input=input_data, output=expected_output, labels=labels or {}, metadata=metadata or {}, id=external_id
    )
    check_content(example_type, input_data, expected_output)
    with acting(actor, "add example"):
        _locked_open(branch)
        identity = _new_identity(branch, external_id, input_data)
        return Example.objects.create(
            branch=branch,
            identity=identity,
            ordinal=identity.ordinal,
            example_type=example_type,
            input_data=input_data,
            expected_output=expected_output,
            labels=labels or {},
            metadata=metadata or {},
            source_decision_id=source_decision_id,
        )


def _new_identity(branch: Branch, external_id: str | None, input_data: Any) -> ExampleIdentity:
    """Return the identity for a new row: known from another branch or from the past, or made now."""
    dataset = branch.dataset
    if external_id is not None:
        known = ExampleIdentity.objects.filter(dataset=dataset, external_id=external_id).first()
        identity = known or _insert_identity(
            branch, uuid_of_external_id(dataset.pk, external_id), external_id
        )
        if Example.objects.filter(branch=branch, identity=identity).exists():
            raise DuplicateExample(
                f"“{branch}” has an example “{external_id}” already.", hint="Change that one."
            )
        return identity
    canonical = canonical_bytes(input_data)
    occurrence = 0
    while True:
        candidate = uuid_of_input(dataset.pk, canonical, occurrence)
        if not Example.objects.filter(branch=branch, identity_id=candidate).exists():
            known = ExampleIdentity.objects.filter(pk=candidate).first()
            return known or _insert_identity(branch, candidate, None)
        occurrence += 1


def _insert_identity(branch: Branch, identity: uuid.UUID, external_id: str | None) -> ExampleIdentity:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO datasets_app_exampleidentity (id, dataset_id, external_id, ordinal) "
            "VALUES (%s, %s, %s, nextval('golden_ordinal_seq')) ON CONFLICT DO NOTHING",
            [identity, branch.dataset_id, external_id],
        )
    return ExampleIdentity.objects.get(pk=identity)


@retried()
def update_example(
    *,
    example: Example,
    actor: Any,
    expected_updated_at: datetime | None = None,
    reason: str = "",
    **fields: Any,
) -> Example:
    """Change fields of a row: input_data, expected_output, labels, metadata, example_type, source_decision_id, validation_status.

    With `expected_updated_at` the change is refused (EditConflict) when somebody saved the row since then.
    A row whose content changes without a word on its status keeps its status; nothing is written if nothing changes.
    """
    unknown = fields.keys() - _CHANGEABLE
    if unknown:
        raise BadInput(f"{', '.join(sorted(unknown))} of an example cannot be changed.")
    with acting(actor, reason or "edit example"):
        current = (
            Example.objects.select_for_update(of=("self",))
            .select_related("example_type", "branch")
            .filter(pk=example.pk)
            .first()
        )
        if current is None:
            raise UnknownExample("This example was removed from the working copy meanwhile.")
        if expected_updated_at is not None and current.updated_at != expected_updated_at:
            raise EditConflict(
                "Somebody else saved this example while you had it open.",
                hint="Compare your values with the ones that are there now and save again.",
            )
        before = current.expected_output
        for name, value in fields.items():
            setattr(current, name, value)
        current.provenance = provenance_after_edit(current.provenance, before, current.expected_output)
        _checked_parts(
            input=current.input_data,
            output=current.expected_output,
            labels=current.labels,
            metadata=current.metadata,
        )
        check_content(current.example_type, current.input_data, current.expected_output)
        if "validation_status" in fields:
            _judge(current, actor)
        if _same_as_stored(current, fields):
            return current
        current.updated_at = now()
        current.save()
    return current


def _same_as_stored(current: Example, fields: dict[str, Any]) -> bool:
    stored = Example.objects.get(pk=current.pk)
    return all(
        canonical_text(getattr(stored, name)) == canonical_text(getattr(current, name))
        if name in _CONTENT
        else getattr(stored, name) == getattr(current, name)
        for name in fields
    )


def _judge(example: Example, actor: Any) -> None:
    if example.validation_status not in ValidationStatus.values:
        raise BadInput(
            f"“{example.validation_status}”: expected one of {', '.join(ValidationStatus.values)}."
        )
    judged = example.validation_status != ValidationStatus.PENDING
    example.validated_by = known_person(actor) if judged else None
    example.validated_at = now() if judged else None


@retried()
def delete_examples(*, branch: Branch, uuids: Iterable[uuid.UUID], actor: Any) -> int:
    """Remove examples from a working copy; versions keep them. Return how many were there."""
    with acting(actor, "remove examples"):
        _locked_open(branch)
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM datasets_app_example WHERE branch_id = %s AND example_id = ANY(%s)",
                [branch.pk, list(uuids)],
            )
            removed: int = cursor.rowcount
        record(actor, "examples.remove", branch.dataset, f"{removed} from {branch.name}")
    return removed


@retried()
def set_status(*, branch: Branch, uuids: Iterable[uuid.UUID], status: str, actor: Any) -> int:
    """Validate, reject or set back examples; return how many changed."""
    if status not in ValidationStatus.values:
        raise BadInput(f"“{status}”: expected one of {', '.join(ValidationStatus.values)}.")
    judged = status != ValidationStatus.PENDING
    with acting(actor, f"status {status}"):
        _locked_open(branch)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE datasets_app_example SET validation_status = %s, validated_by_id = %s, validated_at = %s, "
                "updated_at = statement_timestamp() "
                "WHERE branch_id = %s AND example_id = ANY(%s) AND validation_status <> %s",
                [
                    status,
                    getattr(actor, "pk", None) if judged else None,
                    now() if judged else None,
                    branch.pk,
                    list(uuids),
                    status,
                ],
            )
            changed: int = cursor.rowcount
        record(actor, "examples.status", branch.dataset, f"{changed} {status} on {branch.name}")
    return changed


@retried()
def set_mark(*, branch: Branch, uuids: Iterable[uuid.UUID], name: str, value: Any, actor: Any) -> int:
    """Set the mark `name` in the labels of examples (None takes it away); return how many changed."""
    if not name or len(name) > 100:
        raise BadInput("A mark has a name of 1 to 100 characters.")
    check_value({name: value})
    with acting(actor, f"mark {name}"):
        _locked_open(branch)
        new_labels = "labels - %s" if value is None else "labels || jsonb_build_object(%s::text, %s::jsonb)"
        parameters = [name] if value is None else [name, orjson.dumps(value).decode()]
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE datasets_app_example SET labels = {new_labels}, updated_at = statement_timestamp() "
                "WHERE branch_id = %s AND example_id = ANY(%s) "
                f"AND labels IS DISTINCT FROM {new_labels}",
                [*parameters, branch.pk, list(uuids), *parameters],
            )
            changed: int = cursor.rowcount
        record(actor, "examples.mark", branch.dataset, f"{name} on {changed} of {branch.name}")
    return changed


def bulk_upsert(
    *, branch: Branch, documents: Sequence[Any], actor: Any, options: ImportOptions | None = None
) -> ImportResult:
    """Import documents ({"id", "input", "output", "labels", "metadata", "type"}) that are in memory; all or nothing.

    A refused document is told by its place in the list, as "line" n (from 1).
    """
    for number, document in enumerate(documents, 1):
        check_value([document])
        if not isinstance(document, dict):
            raise BadInput(f"Example {number}: found {type(document).__name__}, expected an object.")
    file = BytesIO(b"\n".join(orjson.dumps(document) for document in documents))
    given = options or ImportOptions()
    return import_file(
        branch=branch,
        source=file,
        actor=actor,
        options=ImportOptions(given.type_name, "jsonl", given.mapping, given.on_error, given.report_path),
    )
