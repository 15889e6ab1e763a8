"""Intervals and paired tests, against published tables, hand counts and scipy."""

import numpy as np
import pytest

from datasets_app.domain.retrieval.significance import (
    Estimate,
    bootstrap_means,
    mcnemar,
    permutation_test,
    share_estimate,
)


def test_share_estimate__a_published_example__to_its_digits() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3 (score): 81/263 → .2553 to .3662,
    # 15/148 → .0624 to .1605, 0/20 → 0 to .1611, 1/29 → .0061 to .1718
    table = [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]
    for successes, n, low, high in table:
        found = share_estimate(successes, n)
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@pytest.mark.parametrize(("successes", "n"), [(186, 203), (0, 1), (1, 1), (203, 203), (0, 203), (7, 20)])
def test_share_estimate__any_share__is_scipys_interval(successes: int, n: int) -> None:
    from scipy.stats import binomtest

    theirs = binomtest(successes, n).proportion_ci(method="wilson")
    ours = share_estimate(successes, n)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert ours.low <= ours.mean <= ours.high


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (2, 1), (-1, 5)])
def test_share_estimate__no_share__is_refused(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="0 ≤ successes ≤ n"):
        share_estimate(successes, n)


def test_bootstrap_means__a_skewed_sample__agrees_with_scipys_bca() -> None:
    from scipy.stats import bootstrap

    sample = np.random.default_rng(3).beta(2, 0.7, size=200)
    theirs = bootstrap((sample,), np.mean, method="BCa", n_resamples=20_000, rng=np.random.default_rng(1))
    (ours,) = bootstrap_means(sample[:, None], seed=1, resamples=20_000)
    assert ours.mean == pytest.approx(sample.mean())
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.002)


def test_bootstrap_means__the_same_seed__gives_the_same_digits() -> None:
    values = np.random.default_rng(5).random((50, 3))
    assert bootstrap_means(values, seed=7) == bootstrap_means(values, seed=7)
    assert bootstrap_means(values, seed=7) != bootstrap_means(values, seed=8)


def test_bootstrap_means__in_blocks__is_an_interval_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets_app.domain.retrieval.significance._BLOCK_CELLS", 1000)
    (found,) = bootstrap_means(np.linspace(0, 1, 101)[:, None], seed=1)
    # the normal interval: .5 ± 1.96 × .2915 / √101 = .4431 to .5569
    assert (found.low, found.high) == pytest.approx((0.4431, 0.5569), abs=0.005)


def test_bootstrap_means__degenerate_samples__say_what_can_be_said() -> None:
    assert bootstrap_means(np.array([[0.25]]), seed=1) == [Estimate(0.25, 0.0, 1.0, 1)]
    assert bootstrap_means(np.array([[0.25]]), seed=1, bounds=(-1, 1)) == [Estimate(0.25, -1, 1, 1)]
    assert bootstrap_means(np.full((4, 1), 0.5), seed=1) == [Estimate(0.5, 0.5, 0.5, 4)]
    with pytest.raises(ValueError, match="no queries"):
        bootstrap_means(np.empty((0, 2)), seed=1)


def test_permutation_test__three_differences__counts_all_sign_patterns() -> None:
    # sums of ±1 ±2 ±3: -6 -4 -2 0 0 2 4 6; observed 6
    assert permutation_test([1, 2, 3], seed=1) == 2 / 8
    assert permutation_test([1, 2, 3], seed=1, alternative="greater") == 1 / 8
    assert permutation_test([1, 2, 3], seed=1, alternative="less") == 1.0


def test_permutation_test__fishers_darwin_data__gives_his_count() -> None:
    # Darwin's Zea mays, Fisher, The Design of Experiments (1935), § 21: differences in eighths of an inch, sum 314;
    # of 32,768 sign patterns 1,726 reach it in size, p = .05267
    darwin = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    assert permutation_test(darwin, seed=1) == pytest.approx(1726 / 32768, abs=0.007)


def test_permutation_test__many_differences__agrees_with_scipy() -> None:
    from scipy.stats import permutation_test as theirs

    sample = np.random.default_rng(11).normal(0.05, 0.3, size=80)
    p = theirs(
        (sample,), np.mean, permutation_type="samples", n_resamples=9999, rng=np.random.default_rng(2)
    ).pvalue
    assert permutation_test(sample, seed=2) == pytest.approx(p, abs=0.015)


def test_permutation_test__the_same_seed__gives_the_same_p() -> None:
    sample = np.random.default_rng(11).normal(0.05, 0.3, size=80)
    assert permutation_test(sample, seed=2) == permutation_test(sample, seed=2)


@pytest.mark.parametrize("differences", [[], [0.0], [0.0] * 50])
def test_permutation_test__no_difference__gives_one(differences: list[float]) -> None:
    assert permutation_test(differences, seed=1) == 1.0


def test_permutation_test__one_difference__cannot_be_significant() -> None:
    assert permutation_test([0.7, 0.0], seed=1) == 1.0
    assert permutation_test([-0.7], seed=1, alternative="less") == 0.5


def test_mcnemar__exact__as_counted_by_hand() -> None:
    # 1 won of 8 flips: P(X ≤ 1) = (1 + 8) / 256
    assert mcnemar(lost=7, won=1, alternative="less") == pytest.approx(9 / 256)
    assert mcnemar(lost=7, won=1) == pytest.approx(18 / 256)
    assert mcnemar(lost=1, won=7, alternative="greater") == pytest.approx(9 / 256)
    assert mcnemar(lost=4, won=4) == 1.0
    assert mcnemar(lost=0, won=0) == 1.0
    assert mcnemar(lost=0, won=0, alternative="less") == 1.0


def test_mcnemar__a_negative_count__is_refused() -> None:
    with pytest.raises(ValueError, match="counts"):
        mcnemar(-1, 0)
