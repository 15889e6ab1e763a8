"""What a coefficient means in words, and whose words they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from labeling_app.domain.agreement import Coefficient


@dataclass(frozen=True, slots=True)
class Verdict:
    """A word for a coefficient, what to do, and how good it is: good, fair, poor or unknown."""

    word: str
    advice: str
    tone: str


# J. R. Landis, G. G. Koch, Biometrics 33 (1977), 159–174, table on page 165
_LANDIS_KOCH: Final = (
    (0.0, "poor"),
    (0.2, "slight"),
    (0.4, "fair"),
    (0.6, "moderate"),
    (0.8, "substantial"),
    (1.0, "almost perfect"),
)


def landis_koch(value: float) -> str:
    """Return the word of Landis and Koch for a kappa; each band ends with its upper limit."""
    if value < 0:
        return "poor"
    return next((word for limit, word in _LANDIS_KOCH[1:] if value <= limit + 1e-12), "almost perfect")


def of_alpha(alpha: Coefficient, *, of_numbers: bool = False) -> Verdict:
    """Return the verdict by Krippendorff's limits (Content Analysis, 2004, page 241): .800 and .667.

    It is given of the value, and says so when the interval reaches into the band below.
    """
    if alpha.value is None:
        return Verdict("not known", alpha.why_none, "unknown")
    where = "the labelers who lean to one side" if of_numbers else "the classes that are taken for each other"
    words = "numbers" if of_numbers else "words"
    unsure = ""
    if alpha.low is not None and _band(alpha.low) != _band(alpha.value):
        unsure = f" With {alpha.units:,} examples the interval still reaches down to {alpha.low:.3f}."
    if alpha.value >= 0.8:
        return Verdict("reliable", "These labels can be relied upon." + unsure, "good")
    if alpha.value >= 0.667:
        return Verdict(
            "tentative",
            f"Good for tentative conclusions only: look at {where}, and make the instructions clearer there."
            + unsure,
            "fair",
        )
    return Verdict(
        "unreliable",
        f"Labelers do not mean the same by the same {words}: settle the instructions before more is labeled.",
        "poor",
    )


def _band(value: float) -> int:
    return 2 if value >= 0.8 else 1 if value >= 0.667 else 0
