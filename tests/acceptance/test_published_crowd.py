"""Dawid–Skene, the weighted vote and majority against published figures.

Dawid and Skene, Applied Statistics 28 (1979), table 1 and the estimates from it. Snow et al. 2008 (rte): majority of ten
is right in 89.7 %. Zheng et al., PVLDB 10 (2017), tweet sentiment: majority 93.31 %, Dawid–Skene 96.00 %. rte .9275 and web
.8285 by Dawid–Skene are what crowd-kit 1.4.2 computes.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from labeling_app.domain.agreement import krippendorff_alpha
from labeling_app.domain.dawid_skene import Errors, dawid_skene, vote_shares
from labeling_app.domain.method_choice import advise_on_classes, tied_right
from labeling_app.domain.ratings import FloatArray, IntArray, RatingTable, table_from_columns


class Crowd(NamedTuple):
    table: RatingTable
    gold_units: IntArray
    gold: IntArray


@pytest.fixture
def agreement_folder(shared_data: Path) -> Path:
    folder = shared_data / "agreement"
    if not folder.is_dir():
        pytest.skip(f"the published tables of agreement are not at {folder}")
    return folder


@pytest.fixture
def crowd_folder(shared_data: Path) -> Path:
    folder = shared_data / "crowd"
    if not folder.is_dir():
        pytest.skip(f"the crowd labels with gold are not at {folder}")
    return folder


def read(path: Path, unit: str, rater: str, label: str) -> tuple[RatingTable, list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [sorted({row[column] for row in rows}) for column in (unit, rater, label)]
    units, raters, values = (
        np.array([names[n].index(row[column]) for row in rows])
        for n, column in enumerate((unit, rater, label))
    )
    table, ids = table_from_columns(units, raters, values, names[1], names[2])
    return table, [names[0][place] for place in ids]


def crowd(folder: Path, name: str) -> Crowd:
    table, items = read(folder / name / "label.csv", "item", "worker", "label")
    with (folder / name / "truth.csv").open(encoding="utf-8", newline="") as file:
        truth = {row["item"]: table.value_names.index(row["truth"]) for row in csv.DictReader(file)}
    units = [unit for unit, item in enumerate(items) if item in truth]
    return Crowd(table, np.array(units), np.array([truth[items[unit]] for unit in units]))


def right_by(data: Crowd, errors: Errors) -> FloatArray:
    return tied_right(dawid_skene(data.table, errors=errors).posterior[data.gold_units], data.gold)


def majority_right(data: Crowd) -> FloatArray:
    return tied_right(vote_shares(data.table)[data.gold_units], data.gold)


# --- the paper's own table ------------------------------------------------------------------------------------------
def test_dawid_skene__patients_of_1979__has_the_published_estimates(agreement_folder: Path) -> None:
    table, _ = read(agreement_folder / "dawid_skene_1979.csv", "patient", "observer", "label")
    expected = json.loads((agreement_folder / "dawid_skene_1979_expected.json").read_text())
    computed = expected["computed_em"]

    model = dawid_skene(table, smoothing=0, tolerance=1e-10)

    assert len(table) == 315
    assert model.converged
    assert model.class_prior.round(2).tolist() == expected["published_class_marginals"]
    assert model.class_prior == pytest.approx(np.array(computed["class_marginals"]), abs=1e-4)
    assert model.log_likelihood == pytest.approx(computed["log_likelihood"], abs=1e-4)
    assert model.confusion[0, 0].round(2).tolist() == [0.89, 0.11, 0.0, 0.0]
    error_rates = np.array(computed["error_rates_observer_true_reported"])
    assert model.confusion == pytest.approx(error_rates, abs=1e-3)


def test_dawid_skene__the_variant_with_one_other_label__has_the_same_consensus(
    agreement_folder: Path,
) -> None:
    table, _ = read(agreement_folder / "dawid_skene_1979.csv", "patient", "observer", "label")
    variant, _ = read(
        agreement_folder / "dawid_skene_1979_variant_rater_pkg.csv", "patient", "observer", "label"
    )
    model, other = dawid_skene(table, smoothing=0), dawid_skene(variant, smoothing=0)

    assert other.confusion[0, 0].round(3).tolist() == [0.907, 0.093, 0.0, 0.0]
    assert other.posterior.argmax(1).tolist() == model.posterior.argmax(1).tolist()


# --- crowds with gold -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "at_least"), [("rte", 0.9275), ("d_sentiment", 0.96), ("web", 0.82), ("SP_amt", 0.944)]
)
def test_dawid_skene__crowd_labels__is_as_right_as_published(
    crowd_folder: Path, name: str, at_least: float
) -> None:
    assert right_by(crowd(crowd_folder, name), Errors.FULL).mean() >= at_least


@pytest.mark.parametrize(
    ("name", "known"), [("rte", 0.8969), ("web", 0.7307), ("SP_amt", 0.9430), ("d_sentiment", 0.9335)]
)
def test_majority__crowd_labels__is_as_right_as_published(
    crowd_folder: Path, name: str, known: float
) -> None:
    # of n tied classes each is taken in one case of n
    assert majority_right(crowd(crowd_folder, name)).mean() == pytest.approx(known, abs=5e-5)


@pytest.mark.parametrize(
    ("name", "known"), [("rte", 0.241), ("web", 0.210), ("SP_amt", 0.738), ("d_sentiment", 0.149)]
)
def test_alpha__crowd_labels__is_as_others_compute_it(crowd_folder: Path, name: str, known: float) -> None:
    assert krippendorff_alpha(crowd(crowd_folder, name).table).value == pytest.approx(known, abs=0.0005)


# --- which method to trust ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["rte", "web", "d_sentiment"])
def test_advice__crowd_labels_without_gold__trusts_a_method_better_than_majority(
    crowd_folder: Path, name: str
) -> None:
    data = crowd(crowd_folder, name)

    advice = advise_on_classes(data.table, {})

    assert (advice.method, advice.rests_on) == ("dawid_skene", "prediction")
    assert right_by(data, Errors.FULL).mean() > majority_right(data).mean()


@pytest.mark.parametrize(("name", "trusted"), [("web", {"weighted"}), ("d_sentiment", {"dawid_skene"})])
def test_advice__crowd_labels_with_gold__trusts_what_gold_says(
    crowd_folder: Path, name: str, trusted: set[str]
) -> None:
    data = crowd(crowd_folder, name)
    right: dict[str, Any] = {
        "majority": majority_right(data),
        "weighted": right_by(data, Errors.OWN_ACCURACY),
        "dawid_skene": right_by(data, Errors.FULL),
    }

    advice = advise_on_classes(data.table, right)

    assert advice.method in trusted
    assert advice.rests_on == "gold"
    assert f"{right[advice.method].mean():.1%}" in advice.why


def test_advice__three_labels_an_item__stays_with_the_vote(crowd_folder: Path) -> None:
    # 143 workers with ten labels each: too few to learn anybody's errors from
    data = crowd(crowd_folder, "SP_amt")
    place = (
        np.arange(len(data.table))
        - np.concatenate(([0], np.cumsum(data.table.unit_sizes)[:-1]))[data.table.units]
    )

    assert advise_on_classes(data.table.where(place < 3), {}).method == "majority"
