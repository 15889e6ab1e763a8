"""What a model says of the items of a queue, for CROWDLAB: from suggestions, or from the vectors of the examples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from django.db import connection

from datasets_app.domain.canonical import loads_stored
from datasets_app.errors import NoCurrentModel
from datasets_app.services.retrieval.embedding_models import get_model
from datasets_app.services.retrieval.example_vectors import read_vectors
from labeling_app.domain.answer_fields import AnswerField, deciding_text
from labeling_app.domain.dawid_skene import vote_shares
from labeling_app.domain.intervals import SEED
from labeling_app.domain.ratings import FloatArray, IntArray, RatingTable
from labeling_app.models import LabelingQueue, QueueItem

MIN_COVERED = 0.8
MIN_PER_CLASS = 5
MAX_UNITS = 20_000

# the source with most suggestions, then what it says; items without an index of their own are few enough to be scanned
_SUGGESTED = """
SELECT s.item_id, s.source, s.value::text, coalesce(s.confidence, 0.9)::float8
FROM labeling_app_suggestion s WHERE s.item_id = ANY(%s) ORDER BY s.source, s.item_id
"""


@dataclass(frozen=True)
class ClassProbabilities:
    """By unit and class what a model says (rows sum to 1), and where it comes from; or why there is none."""

    values: FloatArray | None
    source: str = ""
    why_none: str = ""


def class_probabilities(
    queue: LabelingQueue, table: RatingTable, item_ids: IntArray, fields: list[AnswerField]
) -> ClassProbabilities:
    """Return probabilities for the classes of `table`: suggestions of one source if they cover four fifths of the items.

    A suggestion's confidence is the probability of its class (.9 when it has none); the rest is shared by the others. Else
    a logistic regression on the examples' vectors of the current embedding model, each fifth predicted by the other
    four. Units that neither covers get the frequencies of the classes.
    """
    if table.unit_count > MAX_UNITS:
        return ClassProbabilities(None, why_none=f"There are more than {MAX_UNITS:,} labeled examples.")
    suggested = _from_suggestions(table, item_ids, fields)
    return suggested if suggested is not None else _from_vectors(queue, table, item_ids)


def _from_suggestions(
    table: RatingTable, item_ids: IntArray, fields: list[AnswerField]
) -> ClassProbabilities | None:
    with connection.cursor() as cursor:
        cursor.execute(_SUGGESTED, [item_ids.tolist()])
        rows = cursor.fetchall()
    by_source: dict[str, list[tuple[int, str, float]]] = {}
    for item, source, value, confidence in rows:
        said = deciding_text(fields, loads_stored(value))
        by_source.setdefault(source, []).append((item, said, confidence))
    if not by_source:
        return None
    source = max(sorted(by_source), key=lambda name: len(by_source[name]))
    given = by_source[source]
    if len(given) < MIN_COVERED * table.unit_count:
        return None
    codes = {name: code for code, name in enumerate(table.value_names)}
    place = {item: unit for unit, item in enumerate(item_ids.tolist())}
    found = _frequencies(table)
    for item, said, confidence in given:
        sure = min(max(confidence, 0.01), 0.99)
        if said in codes:
            found[place[item]] = (1 - sure) / max(1, len(codes) - 1)
            found[place[item], codes[said]] = sure
    return ClassProbabilities(found, f"suggestions of {source}")


def _from_vectors(queue: LabelingQueue, table: RatingTable, item_ids: IntArray) -> ClassProbabilities:
    try:
        model = get_model()
    except NoCurrentModel:
        return ClassProbabilities(None, why_none="There are neither suggestions nor an embedding model.")
    items = QueueItem.objects.filter(pk__in=item_ids.tolist()).values_list("example_id", "pk")
    unit_of = {item: unit for unit, item in enumerate(item_ids.tolist())}
    unit_of_example = {example: unit_of[item] for example, item in items}
    ids, vectors = read_vectors(model, list(unit_of_example))
    if len(ids) < MIN_COVERED * table.unit_count:
        return ClassProbabilities(
            None,
            why_none=f"It needs a model's view: suggestions, or vectors of the examples; of {table.unit_count:,} labeled "
            f"examples {len(ids):,} have a vector. Embed the examples of the branch.",
        )
    units = np.array([unit_of_example[example] for example in ids])
    return _regressed(table, units, vectors.astype(np.float64), model.name)


def _regressed(table: RatingTable, units: IntArray, vectors: FloatArray, name: str) -> ClassProbabilities:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    classes = vote_shares(table).argmax(1)[units]
    counts = np.bincount(classes, minlength=len(table.value_names))
    common = np.flatnonzero(counts >= MIN_PER_CLASS)
    taught = np.isin(classes, common)
    if len(common) < 2:
        return ClassProbabilities(
            None, why_none=f"Fewer than two classes have {MIN_PER_CLASS} examples to teach a model with."
        )
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    # a class that is too rare to be taught keeps its frequency
    predicted = cross_val_predict(
        LogisticRegression(C=10.0, max_iter=300),
        vectors[taught],
        classes[taught],
        cv=folds,
        method="predict_proba",
    )
    found = _frequencies(table)
    rare = 1 - found[0, common].sum()
    for column, code in enumerate(common.tolist()):
        found[units[taught], code] = predicted[:, column] * (1 - rare)
    return ClassProbabilities(found, f"a model on vectors of {name}")


def _frequencies(table: RatingTable) -> FloatArray:
    counts = np.bincount(table.values, minlength=len(table.value_names)) + 0.5
    return np.tile(counts / counts.sum(), (table.unit_count, 1))
