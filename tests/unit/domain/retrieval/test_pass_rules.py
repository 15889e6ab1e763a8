"""The rules by which test queries pass, on rankings judged by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.domain.retrieval.pass_rules import PassRule, checked_rule, depth, ndcg, passes
from datasets_app.errors import InvalidPassRule


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        ({}, PassRule("any")),
        ({"rule": "any"}, PassRule("any")),
        ({"k": 5}, PassRule("any", 5)),
        ({"rule": "all", "k": 3.0}, PassRule("all", 3)),
        ({"rule": "recall", "k": 20, "at_least": 0.5}, PassRule("recall", 20, 0.5)),
        ({"rule": "ndcg", "at_least": 1, "k": None}, PassRule("ndcg", None, 1.0)),
    ],
)
def test_checked_rule__a_usable_document__gives_the_rule(document: dict, rule: PassRule) -> None:
    assert checked_rule(document) == rule


@pytest.mark.parametrize(
    ("document", "path", "expected"),
    [
        ([], "$", 'an object such as {"rule": "any", "k": 10}'),
        (None, "$", 'an object such as {"rule": "any", "k": 10}'),
        ({"rule": "most"}, "$.rule", "one of any, all, recall, ndcg"),
        ({"rule": ["any"]}, "$.rule", "one of any, all, recall, ndcg"),
        ({"K": 5}, "$.K", "only the fields rule, k, at_least"),
        ({"k": 0}, "$.k", "a whole number from 1 to 1000"),
        ({"k": -1}, "$.k", "a whole number from 1 to 1000"),
        ({"k": 1001}, "$.k", "a whole number from 1 to 1000"),
        ({"k": 2.5}, "$.k", "a whole number from 1 to 1000"),
        ({"k": True}, "$.k", "a whole number from 1 to 1000"),
        ({"k": "10"}, "$.k", "a whole number from 1 to 1000"),
        ({"rule": "any", "at_least": 0.5}, "$.at_least", "nothing: the rule any has no threshold"),
        ({"rule": "recall"}, "$.at_least", "a number above 0 and at most 1, for the rule recall"),
        (
            {"rule": "ndcg", "at_least": 0},
            "$.at_least",
            "a number above 0 and at most 1, for the rule ndcg",
        ),
        (
            {"rule": "ndcg", "at_least": math.nan},
            "$.at_least",
            "a number above 0 and at most 1, for the rule ndcg",
        ),
        (
            {"rule": "ndcg", "at_least": True},
            "$.at_least",
            "a number above 0 and at most 1, for the rule ndcg",
        ),
    ],
)
def test_checked_rule__an_unusable_document__is_refused_with_path_found_and_expected(
    document: object, path: str, expected: str
) -> None:
    with pytest.raises(InvalidPassRule) as refused:
        checked_rule(document)
    assert refused.value.code == "invalid_pass_rule"
    assert (refused.value.details["path"], refused.value.details["expected"]) == (path, expected)
    assert refused.value.message.startswith(f"Pass rule, {path}: found ")


_RULES = st.one_of(
    st.builds(PassRule, st.sampled_from(["any", "all"]), st.none() | st.integers(1, 1000)),
    st.builds(
        PassRule,
        st.sampled_from(["recall", "ndcg"]),
        st.none() | st.integers(1, 1000),
        st.floats(0, 1, exclude_min=True),
    ),
)


@given(_RULES)
def test_pass_rule__written_down_and_read__is_the_same(rule: PassRule) -> None:
    assert checked_rule(rule.document()) == rule


def test_pass_rule__the_default__is_written_as_an_empty_object() -> None:
    assert PassRule().document() == {}


RANKED = ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("rule", "expected", "passed"),
    [
        (PassRule("any"), {"c": 1}, True),  # the run's k is 3, and c is third
        (PassRule("any"), {"d": 1}, False),
        (PassRule("any", 4), {"d": 1}, True),
        (PassRule("any", 1), {"b": 1, "c": 2}, False),
        (PassRule("any"), {"a": 0, "z": 1}, False),  # a judgment of 0 says that a is not relevant
        (PassRule("all"), {"a": 1, "c": 1}, True),
        (PassRule("all"), {"a": 1, "d": 1}, False),
        (PassRule("all"), {"a": 1, "e": 0}, True),
        (PassRule("recall", 3, 0.5), {"a": 1, "d": 1}, True),  # 1 of 2
        (PassRule("recall", 3, 0.51), {"a": 1, "d": 1}, False),
        (PassRule("recall", 5, 1.0), {"a": 1, "d": 1}, True),
        (PassRule("ndcg", 3, 1.0), {"a": 2, "b": 1}, True),
        # relevant second of one: DCG = 1/log2(3) = .6309, ideal 1
        (PassRule("ndcg", 3, 0.63), {"b": 1}, True),
        (PassRule("ndcg", 3, 0.64), {"b": 1}, False),
    ],
)
def test_passes__a_ranking__by_each_rule(rule: PassRule, expected: dict[str, int], passed: bool) -> None:
    assert passes(rule, expected, RANKED, default_k=3) is passed


def test_passes__nothing_relevant__is_no_question() -> None:
    with pytest.raises(ValueError, match="neither pass nor fail"):
        passes(PassRule(), {"a": 0}, RANKED, 10)


def test_passes__an_empty_ranking__fails() -> None:
    assert not any(
        passes(PassRule(name, None, at), {"a": 1}, [], 10)
        for name, at in [("any", None), ("all", None), ("recall", 0.1), ("ndcg", 0.1)]
    )


def test_ndcg__graded_relevance__as_derived_by_hand() -> None:
    # ranking a b c, relevance b 3, c 1, z 2: DCG = 3/log2(3) + 1/log2(4) = 1.892789 + .5 = 2.392789;
    # ideal 3, 2, 1: 3 + 2/log2(3) + 1/2 = 4.761860; quotient .502490
    assert ndcg({"b": 3, "c": 1, "z": 2}, ["a", "b", "c"], 3) == pytest.approx(0.502490, abs=1e-6)


def test_ndcg__nothing_relevant__is_no_number() -> None:
    with pytest.raises(ValueError, match="without a relevant chunk"):
        ndcg({"a": 0}, ["a"], 10)


def test_depth__the_rules_own_k__goes_before_the_runs() -> None:
    assert (depth(PassRule(), 10), depth(PassRule(k=3), 10)) == (10, 3)


def test_pass_rule__in_words__says_how_deep_and_how_much() -> None:
    assert str(PassRule()) == "an expected chunk in the top k"
    assert str(PassRule("recall", 20, 0.5)) == "recall of at least 0.5 in the top 20"
