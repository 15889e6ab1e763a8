"""Wilson's interval at its edges; its digits are held by the estimates that evaluations make of it."""

import pytest

from datasets_app.domain.intervals import wilson


def test_wilson__20_of_20__does_not_claim_certainty() -> None:
    # n / (n + 1.96²)
    assert wilson(1.0, 20) == (pytest.approx(20 / (20 + 3.8414588)), 1.0)


def test_wilson__nothing_known__is_all() -> None:
    assert wilson(0.0, 0) == (0.0, 1.0)
