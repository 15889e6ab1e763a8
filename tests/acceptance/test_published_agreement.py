"""Agreement against published figures, to three decimals.

Krippendorff, Computing Krippendorff's Alpha-Reliability (2011): four observers, twelve units: .743, .815, .849, .797.
The article on the coefficient in Wikipedia: .691 and .811. Fleiss, Psychological Bulletin 76 (1971), 378–382: .430 and
by class .245 .245 .520 .471 .566. Tables of Gwet, Handbook of Inter-Rater Reliability (2014).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labeling_app.domain.agreement import (
    Level,
    cohen_kappa,
    fleiss_by_class,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
)


def three(value: float) -> Any:
    return pytest.approx(value, abs=0.0005)


@pytest.fixture
def folder(shared_data: Path) -> Path:
    found = shared_data / "agreement"
    if not found.is_dir():
        pytest.skip(f"the published tables of agreement are not at {found}")
    return found


def by_unit(folder: Path, name: str) -> dict[int, dict[int, Any]]:
    rows = json.loads((folder / name).read_text())["ratings_rows_are_raters"]
    return {unit: {rater: row[unit] for rater, row in enumerate(rows)} for unit in range(len(rows[0]))}


@pytest.mark.parametrize(
    ("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)]
)
def test_alpha__krippendorff_2011__is_as_published(folder: Path, level: Level, published: float) -> None:
    assert krippendorff_alpha(by_unit(folder, "krippendorff_canonical.json"), level).value == three(published)


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.691), ("interval", 0.811)])
def test_alpha__units_with_one_rating__is_as_published(folder: Path, level: Level, published: float) -> None:
    found = krippendorff_alpha(by_unit(folder, "krippendorff_wikipedia.json"), level)

    assert found.value == three(published)
    assert (found.units, found.raters) == (12, 3)


@pytest.mark.parametrize(
    ("level", "known"),
    [("nominal", 0.480530), ("ordinal", 0.768685), ("interval", 0.771865), ("ratio", 0.679240)],
)
def test_alpha__gwet_five_observers__is_as_others_compute_it(
    folder: Path, level: Level, known: float
) -> None:
    found = krippendorff_alpha(by_unit(folder, "gwet_5observers.json"), level)

    assert found.value == pytest.approx(known, abs=1e-6)


def test_fleiss_and_ac1__krippendorff_2011__are_those_of_gwet(folder: Path) -> None:
    ratings = by_unit(folder, "krippendorff_canonical.json")

    assert fleiss_kappa(ratings).value == pytest.approx(0.76117, abs=5e-6)
    assert gwet_ac1(ratings).value == pytest.approx(0.77544, abs=5e-6)


def test_fleiss_kappa__fleiss_1971__is_as_published(folder: Path) -> None:
    rows = json.loads((folder / "fleiss1971_diagnoses.json").read_text())["ratings"]
    ratings = {unit: dict(enumerate(row)) for unit, row in enumerate(rows)}
    by_class = [found.value for found in fleiss_by_class(ratings).values()]

    assert fleiss_kappa(ratings).value == three(0.430)
    assert by_class == [three(0.245), three(0.245), three(0.520), three(0.471), three(0.566)]


@pytest.mark.parametrize(
    ("name", "known", "units"),
    [("gwet_abstractors_3x3.json", 0.796409, 100), ("gwet_diagnosis_4x4.json", 0.431501, 223)],
)
def test_cohen_kappa__tables_of_gwet__are_as_published(
    folder: Path, name: str, known: float, units: int
) -> None:
    table = json.loads((folder / name).read_text())["table"]
    cells = [
        (row, column) for row, line in enumerate(table) for column, n in enumerate(line) for _ in range(n)
    ]
    found = cohen_kappa(
        {unit: cell[0] for unit, cell in enumerate(cells)}, {unit: cell[1] for unit, cell in enumerate(cells)}
    )

    assert found.value == pytest.approx(known, abs=1e-6)
    assert found.units == units
