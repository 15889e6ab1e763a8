"""What becomes of an example once its labels are there: adopted, or a question to a reviewer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datasets_app.domain.json_path import MISSING, get_path
from labeling_app.domain.answers import with_part

SINGLE, UNANIMOUS, CONSENSUS, ADJUDICATED = "single", "unanimous", "consensus", "adjudicated"
_NEVER, _BY_CONSENSUS = "never", "consensus"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether labels are adopted without a reviewer, how they came to their answer, and why not, in words."""

    adopts: bool
    origin: str
    disagree: bool
    why: str


def verdict(
    *, labels: int, agreement: float | None, confidence: float | None, adopts: str, threshold: float
) -> Verdict:
    """Judge labels by what the queue adopts: "never", "unanimous" or "consensus" of at least `threshold` (0–1).

    `agreement` is the share of pairs of labelers who agree (None below two labels), `confidence` the share behind the
    consensus, or its probability. One label alone is all there is, so it is adopted unless the queue never adopts.
    A consensus needs more than one half, whatever the threshold: a tie is none.
    """
    origin = SINGLE if labels < 2 else UNANIMOUS if agreement == 1 else CONSENSUS
    disagree = origin == CONSENSUS
    if adopts == _NEVER:
        why = "The labelers disagree." if disagree else "A reviewer decides each example of this queue."
        return Verdict(False, origin, disagree, why)
    if not disagree:
        return Verdict(True, origin, False, "")
    if adopts != _BY_CONSENSUS:
        return Verdict(False, origin, True, "The labelers disagree.")
    share = confidence or 0.0
    if share > 0.5 and share >= threshold:
        return Verdict(True, origin, True, "")
    return Verdict(
        False, origin, True, f"{share:.0%} are behind the consensus, {max(threshold, 0.5):.0%} are asked for."
    )


def label_provenance(
    *,
    origin: str,
    labels: int,
    agreement: float | None,
    method: str | None,
    queue: str,
    field_path: str = "",
) -> dict[str, Any]:
    """Return what an example tells of where its answer comes from; it is content, so it names no person.

    `field` is there where only a part of the output was asked for.
    """
    told: dict[str, Any] = {"origin": origin, "labels": labels, "queue": queue}
    if field_path:
        told["field"] = field_path
    if agreement is not None:
        told["agreement"] = round(agreement, 4)
    if method is not None:
        told["method"] = method
    return told


def part_in(document: Any, path: str) -> Any:
    """Return the part of an output that a queue asks for ("" is the whole), MISSING when it is not there."""
    if document is None:
        return MISSING
    return get_path(document, tuple(path.split("."))) if path else document


def composed(document: Any, path: str, value: Any) -> Any:
    """Return the output with `value` as the part at `path`; the rest stays."""
    return with_part(document if isinstance(document, dict) else {}, path, value) if path else value


def without_part(document: Any, path: str) -> Any:
    """Return the output without the part at `path`; objects that this leaves empty stay."""
    first, _, rest = path.partition(".")
    if not path or not isinstance(document, Mapping) or first not in document:
        return None if not path else document
    kept = dict(document)
    if rest:
        kept[first] = without_part(kept[first], rest)
    else:
        del kept[first]
    return kept
