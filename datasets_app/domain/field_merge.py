"""Three-way merge of JSON documents, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from datasets_app.domain.canonical import same_json
from datasets_app.domain.json_path import MISSING, format_path, get_path, set_path
from datasets_app.errors import MergeState


@dataclass(frozen=True, slots=True)
class FieldConflict:
    """A field that both sides changed in different ways; MISSING on a side that does not have it."""

    path: str
    base: Any
    ours: Any
    theirs: Any


@dataclass(frozen=True, slots=True)
class Merged:
    """The merged document (MISSING where it is deleted); at each conflict it carries our side."""

    value: Any
    conflicts: tuple[FieldConflict, ...]


@dataclass(frozen=True, slots=True)
class Custom:
    """A resolution by a value of its own; needed only where that value is "ours", "theirs" or "base"."""

    value: Any


def merge_fields(base: Any, ours: Any, theirs: Any) -> Merged:
    """Merge what changed from `base` to `ours` with what changed from `base` to `theirs`.

    Each may be MISSING as a whole (not yet there, or deleted). Objects are merged key by key, an array or a scalar
    as a whole. The same change on both sides is no conflict; deleting what the other side changed is one.
    """
    conflicts: list[FieldConflict] = []
    value = _merge(base, ours, theirs, (), conflicts)
    return Merged(value=value, conflicts=tuple(conflicts))


def resolve(merged: Merged, resolutions: Mapping[str, Any]) -> Merged:
    """Settle conflicts by path: "ours", "theirs", "base", Custom(value), or any other value as itself.

    What is not named stays a conflict. Raises MergeState for a path at which there is no conflict.
    """
    conflicts = {conflict.path: conflict for conflict in merged.conflicts}
    value = merged.value
    for path, resolution in resolutions.items():
        conflict = conflicts.pop(path, None)
        if conflict is None:
            expected = ", ".join(sorted(other.path for other in merged.conflicts)) or "no path at all"
            raise MergeState(f"There is no conflict to resolve at {path}: expected {expected}.", path=path)
        chosen = _chosen(conflict, resolution)
        if chosen is not MISSING or get_path(value, path) is not MISSING:
            value = set_path(value, path, chosen)
    return replace(merged, value=value, conflicts=tuple(conflicts.values()))


def _merge(
    base: Any, ours: Any, theirs: Any, path: tuple[str | int, ...], conflicts: list[FieldConflict]
) -> Any:
    if _same(ours, theirs) or _same(base, theirs):
        return ours
    if _same(base, ours):
        return theirs
    if isinstance(ours, dict) and isinstance(theirs, dict) and (base is MISSING or isinstance(base, dict)):
        return _merge_objects({} if base is MISSING else base, ours, theirs, path, conflicts)
    conflicts.append(FieldConflict(path=format_path(path), base=base, ours=ours, theirs=theirs))
    return ours


def _merge_objects(
    base: dict[str, Any],
    ours: dict[str, Any],
    theirs: dict[str, Any],
    path: tuple[str | int, ...],
    conflicts: list[FieldConflict],
) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for key in sorted(base.keys() | ours.keys() | theirs.keys()):
        before, mine, other = base.get(key, MISSING), ours.get(key, MISSING), theirs.get(key, MISSING)
        value = _merge(before, mine, other, (*path, key), conflicts)
        if value is not MISSING:
            merged[key] = value
    return merged


def _chosen(conflict: FieldConflict, resolution: Any) -> Any:
    if isinstance(resolution, Custom):
        return resolution.value
    if isinstance(resolution, str) and resolution in ("ours", "theirs", "base"):
        return getattr(conflict, resolution)
    return resolution


def _same(left: Any, right: Any) -> bool:
    if left is MISSING or right is MISSING:
        return left is right
    return same_json(left, right)
