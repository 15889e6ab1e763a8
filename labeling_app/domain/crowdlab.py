"""CROWDLAB: consensus of raters together with a model's predictions, through cleanlab.

H. W. Goh, U. Tkachenko, J. Mueller, CROWDLAB: Supervised learning to infer consensus labels and quality scores for data
with multiple annotators (2022). It weighs each rater, and the model as if it were one more, by how well they agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from labeling_app.domain.ratings import FloatArray, IntArray, RatingTable

MAX_CELLS: Final = 20_000_000  # units × raters: cleanlab wants them in full


@dataclass(frozen=True)
class Crowdlab:
    """By unit: the code of the consensus class (−1 without ratings) and how likely it is right (0–1)."""

    classes: IntArray
    quality: FloatArray


def why_no_crowdlab(table: RatingTable) -> str:
    """Return why CROWDLAB cannot be computed on these ratings, whatever the model; "" when it can."""
    pairable = table.pairable()
    if not len(pairable):
        return "No example has labels of two labelers."
    if len(np.unique(table.values)) < 2:
        return "Only one class was ever given."
    if not pairable.counts.counts.max() >= 2:
        return "No two labelers ever gave the same answer."
    if table.unit_count * len(table.rater_names) > MAX_CELLS:
        return f"Examples × labelers is above {MAX_CELLS:,}; it needs them as one table in memory."
    return ""


def crowdlab(table: RatingTable, probabilities: FloatArray) -> Crowdlab:
    """Return the consensus of ratings and a model's `probabilities` (units, classes), each row summing to 1.

    The probabilities must come from a model that was not taught the labels of the very unit (cross-validated), or it
    only repeats them. Needs what `why_no_crowdlab` names. Raises ValueError when it lacks.
    """
    why = why_no_crowdlab(table)
    if why:
        raise ValueError(why)
    from cleanlab.multiannotator import get_label_quality_multiannotator

    rated = np.flatnonzero(table.unit_sizes > 0)
    row = np.full(table.unit_count, -1)
    row[rated] = np.arange(len(rated))
    seen = np.unique(table.raters)
    labels = np.full((len(rated), len(seen)), np.nan)
    labels[row[table.units], np.searchsorted(seen, table.raters)] = table.values
    found = get_label_quality_multiannotator(
        labels,
        np.clip(probabilities[rated], 1e-6, None)
        / np.clip(probabilities[rated], 1e-6, None).sum(1, keepdims=True),
        consensus_method="best_quality",
        quality_method="crowdlab",
        return_detailed_quality=False,
        return_annotator_stats=False,
        verbose=False,
    )["label_quality"]
    classes, quality = np.full(table.unit_count, -1, dtype=np.int64), np.zeros(table.unit_count)
    classes[rated] = found["consensus_label"].to_numpy()
    quality[rated] = found["consensus_quality_score"].to_numpy()
    return Crowdlab(classes, quality)
