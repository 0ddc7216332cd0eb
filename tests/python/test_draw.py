"""Fixed-size draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

import skmm_fast as skmm
from skmm_fast import _core


def feasible(rng, N, n):
    """A point of the capped simplex with zeros, full and fractional entries."""
    v = rng.exponential(size=N) * (rng.random(N) < 0.8)
    return _core.project_capped_simplex(0.4 * v / n, 1 / n, 1.0, 1)


@pytest.mark.parametrize("method", ["pivotal", "systematic"])
def test_inclusion_frequencies(method):
    """10⁵ draws: the frequencies equal n·s by a chi-square test.

    The rows of one draw depend on each other, so the statistic is T dᵀ C⁺ d for the deviations d of
    the frequencies and the covariance C of one draw: chi-square with rank(C) degrees of freedom.
    """
    N, n, times = 40, 11, 100_000
    s = feasible(np.random.default_rng(4), N, n)
    pi = n * s
    draw = getattr(_core, f"draw_{method}")
    together = np.zeros((N, N))
    for seed in range(times):
        rows = draw(pi, n, seed)
        assert len(rows) == n
        together[np.ix_(rows, rows)] += 1
    frequency = together.diagonal() / times
    assert np.all(frequency[pi == 0] == 0)
    assert np.all(frequency[pi == 1] == 1)
    assert ((pi > 0) & (pi < 1)).sum() >= 12
    covariance = together / times - np.outer(frequency, frequency)
    lam, V = np.linalg.eigh(covariance)
    random = lam > 1e-9
    d = V.T @ (frequency - pi)
    np.testing.assert_allclose(d[~random], 0, atol=1e-9)
    assert times * (d[random] ** 2 / lam[random]).sum() < chi2.ppf(1 - 1e-3, random.sum())


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 200),
    st.sampled_from(["pivotal", "systematic", "top"]),
    st.data(),
)
def test_always_n_distinct_rows(seed, N, method, data):
    n = data.draw(st.integers(1, N))
    s = feasible(np.random.default_rng(seed), N, n)
    rows = skmm.draw(s, n, method=method, seed=seed)
    assert rows.dtype == np.int64
    assert len(rows) == n
    assert np.all(np.diff(rows) > 0)
    if method != "top":
        assert np.all(s[rows] > 0)
        assert set(np.flatnonzero(s * n == 1)) <= set(rows)
    assert np.array_equal(rows, skmm.draw(s, n, method=method, seed=seed))


def test_top_takes_the_largest_ties_to_the_lowest_row():
    s = np.array([0.1, 0.2, 0.2, 0.05, 0.25, 0.2])
    assert skmm.draw(s, 3, "top").tolist() == [1, 2, 4]


def test_seeds_differ():
    s = np.full(100, 0.01)
    for method in ("pivotal", "systematic"):
        assert len({tuple(skmm.draw(s, 10, method, seed)) for seed in range(20)}) > 5


def test_expected_second_moment_is_the_relaxed_one():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((30, 3))
    s = feasible(rng, 30, 8)
    mean = np.mean(
        [Z[r].T @ Z[r] / 8 for r in (skmm.draw(s, 8, seed=k) for k in range(20_000))], axis=0
    )
    np.testing.assert_allclose(mean, Z.T @ np.diag(s) @ Z, atol=0.02)


def test_uniform_subsets():
    hits = np.zeros(20)
    for seed in range(20_000):
        rows = _core.draw_subset(20, 5, seed)
        assert len(set(rows.tolist())) == 5
        hits[rows] += 1
    z2 = (hits - 5000) ** 2 / (20_000 * 0.25 * 0.75)
    assert z2.sum() < chi2.ppf(1 - 1e-4, 20)


def test_float32_and_a_million_rows():
    N = 1_000_000
    s = np.full(N, 1 / N, np.float32)
    for method in ("pivotal", "systematic"):
        assert len(np.unique(skmm.draw(s, 12_345, method))) == 12_345
