"""How a merge or a revert is told: what was made, or which conflicts wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from datasets_app.management.dataset_command import commit_document, count, line, lines, shown
from datasets_app.models import Branch, ExampleIdentity, Merge, MergeConflict
from datasets_app.services.versioning.merging import MergeOutcome
from goldenproject.kit.commands import EXIT_CONFLICTS, Outcome

MOST_SHOWN = 50


def merge_outcome(branch: Branch, source: str, result: MergeOutcome) -> Outcome:
    """Return what to say of a merge that was just made, or that just stopped at conflicts (exit code 3)."""
    if result.merge is not None and result.has_conflicts:
        return conflicts_outcome(branch, result.merge)
    document: dict[str, Any] = {
        "dataset": branch.dataset.name,
        "branch": branch.name,
        "source": source,
        "commit": commit_document(result.commit) if result.commit else None,
        "fast_forward": result.fast_forward,
        "up_to_date": result.up_to_date,
        "kept_uncommitted": result.kept_uncommitted,
        "conflicts": [],
    }
    if result.up_to_date:
        return Outcome(document, f"{branch} holds “{source}” already; nothing to merge.")
    how = " (fast-forward)" if result.fast_forward else ""
    rows = [line(f"{branch} is now ", (result.commit.short_hash if result.commit else "", "yellow"), how)]
    if result.kept_uncommitted:
        rows.append(
            line(
                f"{count(result.kept_uncommitted, 'example')} keep uncommitted edits of fields that came in too; look at golden_diff."
            )
        )
    return Outcome(document, lines(rows))


def conflicts_outcome(branch: Branch, merging: Merge) -> Outcome:
    """Return the list of an open merge's conflicts, and how to go on."""
    conflicts = list(merging.conflicts.all())
    names = _names(conflicts)
    unresolved = sum(not c.resolution for c in conflicts)
    document = {
        "dataset": branch.dataset.name,
        "branch": branch.name,
        "source": merging.source_ref,
        "kind": merging.kind,
        "commit": None,
        "unresolved": unresolved,
        "conflicts": [_document(c, names) for c in conflicts],
    }
    rows = [
        line(
            f"{count(len(conflicts), 'conflict')} in {count(len(names), 'example')}, {unresolved:,} not resolved: "
            f"the {merging.kind} of “{merging.source_ref}” into {branch} waits.",
        )
    ]
    for conflict in conflicts[:MOST_SHOWN]:
        rows += _lines(conflict, names)
    if len(conflicts) > MOST_SHOWN:
        rows.append(line(f"… and {len(conflicts) - MOST_SHOWN:,} more (--json lists all)"))
    rows.append(line())
    if unresolved:
        rows.append(
            line(
                "Settle each with --resolve EXAMPLE PATH ours|theirs|base|=JSON, or the rest with --ours or --theirs;"
            )
        )
    rows.append(line("then golden_merge --continue writes the commit; --abort gives it up."))
    return Outcome(document, lines(rows), EXIT_CONFLICTS if unresolved else 0)


def _names(conflicts: Sequence[MergeConflict]) -> dict[Any, str]:
    known = ExampleIdentity.objects.filter(pk__in={c.example_id for c in conflicts})
    return {identity.pk: str(identity) for identity in known}


def _document(conflict: MergeConflict, names: dict[Any, str]) -> dict[str, Any]:
    sides = {
        side: getattr(conflict, side)["value"]
        for side in ("base", "ours", "theirs")
        if getattr(conflict, side)
    }
    return {
        "id": str(conflict.example_id),
        "example": names.get(conflict.example_id),
        "path": conflict.path,
        **sides,
        "resolution": conflict.resolution,
        **({"value": conflict.value["value"]} if conflict.value else {}),
    }


def _lines(conflict: MergeConflict, names: dict[Any, str]) -> list[Text]:
    state = f"  resolved: {conflict.resolution}" if conflict.resolution else ""
    sides = [("base", "dim"), ("ours", "cyan"), ("theirs", "magenta")]
    return [
        line(
            (names.get(conflict.example_id, str(conflict.example_id)), "bold"),
            f"  {conflict.path}",
            (state, "green"),
        ),
        *(
            line(f"    {side:<7}", (shown(value["value"]) if value else "(absent)", style))
            for side, style in sides
            for value in [getattr(conflict, side)]
        ),
    ]
