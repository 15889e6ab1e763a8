"""When a test query passes: the rule of each query, as it is written down, checked, and applied to a ranking."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from datasets_app.errors import InvalidPassRule

Id = TypeVar("Id", bound=Hashable)

RULES: Final = ("any", "all", "recall", "ndcg")
DEFAULT_RULE: Final = "any"
MAX_K: Final = 1000
_FIELDS: Final = ("rule", "k", "at_least")
_WITH_THRESHOLD: Final = frozenset({"recall", "ndcg"})
_ROUNDING: Final = 1e-9  # a sum of logarithms that equals the threshold on paper must reach it here too


@dataclass(frozen=True)
class PassRule:
    """How a ranking is judged. `k` is None when the run says how deep to look; `at_least` is 0 < x ≤ 1.

    any: a relevant chunk is among the first k · all: every one is · recall: the share of them that is ≥ at_least ·
    ndcg: nDCG@k ≥ at_least.
    """

    rule: str = DEFAULT_RULE
    k: int | None = None
    at_least: float | None = None

    def document(self) -> dict[str, Any]:
        """Return the rule as it is stored: plain JSON, without what is left open; the default rule is {}."""
        found = {"rule": self.rule, "k": self.k, "at_least": self.at_least}
        kept = {name: value for name, value in found.items() if value is not None}
        return {} if kept == {"rule": DEFAULT_RULE} else kept

    def __str__(self) -> str:
        depth = "top k" if self.k is None else f"top {self.k}"
        return {
            "any": f"an expected chunk in the {depth}",
            "all": f"every expected chunk in the {depth}",
            "recall": f"recall of at least {self.at_least} in the {depth}",
            "ndcg": f"nDCG of at least {self.at_least} in the {depth}",
        }[self.rule]


def checked_rule(document: Any) -> PassRule:
    """Return the rule that `document` (as in TestQuery.pass_rule) writes down; {} is the default rule.

    Raises InvalidPassRule (a BadInput) with the details path, found and expected.
    """
    if not isinstance(document, Mapping):
        raise _invalid("$", document, 'an object such as {"rule": "any", "k": 10}')
    for name in document:
        if name not in _FIELDS:
            raise _invalid(f"$.{name}", document[name], f"only the fields {', '.join(_FIELDS)}")
    rule = document.get("rule", DEFAULT_RULE)
    if not isinstance(rule, str) or rule not in RULES:
        raise _invalid("$.rule", rule, f"one of {', '.join(RULES)}")
    return PassRule(rule, _checked_k(document), _checked_threshold(document, rule))


def _checked_k(document: Mapping[str, Any]) -> int | None:
    k = document.get("k")
    if k is None:
        return None
    whole = isinstance(k, int) or (isinstance(k, float) and k.is_integer())
    if isinstance(k, bool) or not whole or not 1 <= k <= MAX_K:
        raise _invalid("$.k", k, f"a whole number from 1 to {MAX_K}")
    return int(k)


def _checked_threshold(document: Mapping[str, Any], rule: str) -> float | None:
    value = document.get("at_least")
    if rule not in _WITH_THRESHOLD:
        if value is not None:
            raise _invalid("$.at_least", value, f"nothing: the rule {rule} has no threshold")
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise _invalid("$.at_least", value, f"a number above 0 and at most 1, for the rule {rule}")
    return float(value)


def _invalid(path: str, found: Any, expected: str) -> InvalidPassRule:
    return InvalidPassRule(
        f"Pass rule, {path}: found {found!r}, expected {expected}.",
        hint='Leave it empty for the default: {"rule": "any"} passes with an expected chunk in the top k.',
        path=path,
        found=found,
        expected=expected,
    )


def depth(rule: PassRule, default_k: int) -> int:
    """Return how many hits the rule looks at in a run whose k is `default_k`."""
    return rule.k or default_k


def passes(rule: PassRule, expected: Mapping[Id, int], ranked: Sequence[Id], default_k: int) -> bool:
    """Tell whether a ranking (ids, best first, each once) passes.

    `expected` is relevance by id; only relevances above 0 count as relevant. Raises ValueError when nothing is
    relevant: such a query can neither pass nor fail.
    """
    relevant = {chunk for chunk, relevance in expected.items() if relevance > 0}
    if not relevant:
        raise ValueError("a query without a relevant chunk can neither pass nor fail")
    k = depth(rule, default_k)
    if rule.rule == "ndcg":
        return ndcg(expected, ranked, k) >= (rule.at_least or 0) - _ROUNDING
    found = len(relevant.intersection(ranked[:k]))
    if rule.rule == "recall":
        return found / len(relevant) >= (rule.at_least or 0) - _ROUNDING
    return found == len(relevant) if rule.rule == "all" else found > 0


def ndcg(expected: Mapping[Id, int], ranked: Sequence[Id], k: int) -> float:
    """Return nDCG@k of one ranking: gain = relevance, discount log2(rank + 1), as trec_eval and ir_measures have it.

    0 to 1. Raises ValueError when nothing is relevant. (Järvelin and Kekäläinen 2002, with trec_eval's discount.)
    """
    ideal = _dcg(sorted((max(relevance, 0) for relevance in expected.values()), reverse=True)[:k])
    if not ideal:
        raise ValueError("nDCG has no meaning without a relevant chunk")
    return _dcg([max(expected.get(chunk, 0), 0) for chunk in ranked[:k]]) / ideal


def _dcg(gains: Sequence[int]) -> float:
    return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
