"""Fixed-size draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from support.reference import one_group

import skmm_fast as skmm
from skmm_fast import _core
from skmm_fast.methods.sampling import walk_order

WALKS = {"pivotal": _core.draw_pivotal, "systematic": _core.draw_systematic}


def feasible(rng, N, n):
    """A point of the capped simplex with zeros, full and fractional entries."""
    v = rng.exponential(size=N) * (rng.random(N) < 0.8)
    return _core.project(0.4 * v / n, one_group(N, n), 1 / n, 1)


@pytest.mark.parametrize("method", WALKS)
@pytest.mark.parametrize(("ordered", "times"), [(False, 100_000), (True, 30_000)])
def test_inclusion_frequencies(method, ordered, times):
    """Many draws: the frequencies equal n·s by a chi-square test.

    The rows of one draw depend on each other, so the statistic is T dᵀ C⁺ d for the deviations d of
    the frequencies and the covariance C of one draw: chi-square with rank(C) degrees of freedom.
    """
    N, n = 40, 11
    rng = np.random.default_rng(4)
    s = feasible(rng, N, n)
    pi = n * s
    order = rng.permutation(N) if ordered else None
    together = np.zeros((N, N))
    for seed in range(times):
        rows = WALKS[method](pi, n, seed, order)
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


@settings(max_examples=150)
@given(
    st.integers(0, 2**32),
    st.integers(1, 200),
    st.sampled_from(["pivotal", "systematic", "top"]),
    st.booleans(),
    st.data(),
)
def test_always_n_distinct_rows(seed, N, method, ordered, data):
    n = data.draw(st.integers(1, N))
    rng = np.random.default_rng(seed)
    s = feasible(rng, N, n)
    order = rng.permutation(N) if ordered and method != "top" else None
    rows = skmm.draw(s, n, method=method, seed=seed, order=order)
    assert rows.dtype == np.int64
    assert len(rows) == n
    assert np.all(np.diff(rows) > 0)
    if method != "top":
        assert np.all(s[rows] > 0)
        assert set(np.flatnonzero(s * n == 1)) <= set(rows)
    assert np.array_equal(rows, skmm.draw(s, n, method=method, seed=seed, order=order))


def test_top_takes_the_largest_ties_to_the_lowest_row():
    s = np.array([0.1, 0.2, 0.2, 0.05, 0.25, 0.2])
    assert skmm.draw(s, 3, method="top").tolist() == [1, 2, 4]


@settings(max_examples=50)
@given(st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.5 + 1e-9, 1.0]), min_size=1), st.data())
def test_top_is_the_head_of_a_stable_sort(weights, data):
    n = data.draw(st.integers(1, len(weights)))
    s = _core.project(np.array(weights) / n, one_group(len(weights), n), 1 / n, 1)
    best = np.argsort(-s, kind="stable")[:n]
    assert np.array_equal(skmm.draw(s, n, method="top"), np.sort(best))


@pytest.mark.parametrize("method", WALKS)
def test_an_order_renames_the_rows(method):
    rng = np.random.default_rng(2)
    N, n = 300, 40
    pi, names = n * feasible(rng, N, n), rng.permutation(N)
    renamed = np.empty(N)
    renamed[names] = pi
    for seed in range(20):
        rows = WALKS[method](pi, n, seed)
        assert np.array_equal(rows, WALKS[method](pi, n, seed, np.arange(N)))
        assert np.array_equal(names[rows], WALKS[method](renamed, n, seed, names))


@pytest.mark.parametrize("method", WALKS)
def test_draws_do_not_hang_on_the_last_bit(method):
    """Probabilities of 1/4 meet 1 at every fourth row, to rounding: either side gives one draw."""
    rng = np.random.default_rng(3)
    pi = np.concatenate([np.full(200, 0.25), rng.permutation(np.repeat([0.1, 0.4], 100))])
    for seed in range(200):
        off = pi * (1 + 1e-15 * rng.uniform(-1, 1, 400))
        assert np.array_equal(WALKS[method](pi, 100, seed), WALKS[method](off, 100, seed))


def test_seeds_differ():
    s = np.full(100, 0.01)
    for method in ("pivotal", "systematic"):
        assert len({tuple(skmm.draw(s, 10, method=method, seed=seed)) for seed in range(20)}) > 5


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


@pytest.mark.parametrize("method", WALKS)
def test_float32_and_a_million_rows(method):
    N = 1_000_000
    s = np.full(N, 1 / N, np.float32)
    assert len(np.unique(skmm.draw(s, 12_345, method=method))) == 12_345


@pytest.mark.parametrize("method", WALKS)
def test_thirty_million_rows(method):
    """Of rows of probability 0.1, 2²⁴ and more on the way, any head has its share to one row."""
    N, n = 30_000_000, 3_000_000
    rows = WALKS[method](np.full(N, 0.1), n, 5)
    assert len(rows) == n
    assert np.all(np.diff(rows) == 10) or method == "pivotal"
    rows.sort()
    assert np.all(np.diff(rows) > 0)
    assert np.abs(np.arange(n) - rows / 10).max() < 2


@pytest.mark.parametrize("beyond", [-1e-11, 1e-11])
def test_systematic_walks_do_not_drift(beyond):
    """After 3·10⁷ rows one row ends so far beyond a lattice point: drawn, or just not."""
    N, seed, one = 30_000_000, 11, 2**61
    words = _core.philox((0, 0, 0, 4), seed)
    start = (2 * ((words[0] << 32 | words[1]) >> 12) + 1) * 2**8
    pi = np.full(N, 0.1)
    summed = (N - 2) * int(0.1 * one)
    pi[-2] = -(start + summed) % one / one + beyond
    summed += int(pi[-2] * one)
    pi[-1] = -summed % one / one
    rows = _core.draw_systematic(pi, -(-summed // one), seed)
    assert (N - 2 in rows[-2:]) == (beyond > 0)


def test_walk_orders():
    values = np.array([3, 1, 2, 2, 5, 4, 1, 0, 2], np.float32)
    classes = np.array([0, 0, 1, 1, 1, 2, 2, 2, 0])
    assert walk_order(values).tolist() == [7, 1, 6, 2, 3, 8, 0, 5, 4]
    assert walk_order(values, classes).tolist() == [1, 8, 0, 4, 2, 3, 7, 6, 5]
    assert walk_order(values[:1], classes[:1]).tolist() == [0]


def test_an_order_cuts_the_moment_error():
    """Over 200 draws the mean error of Σ̃_S about Zᵀ diag(s) Z, beside weighted choice."""
    rng = np.random.default_rng(0)
    N, m, n = 2000, 8, 100
    classes = rng.integers(0, 10, N)
    Z = 2 * rng.standard_normal((10, m))[classes] + 0.3 * rng.standard_normal((N, m))
    s = feasible(rng, N, n)
    order = walk_order(Z @ np.linalg.svd(Z, full_matrices=False)[2][0], classes)
    relaxed = Z.T @ (s[:, None] * Z)

    def error(rows):
        return np.linalg.norm(Z[rows].T @ Z[rows] / n - relaxed)

    weighted, unordered, ordered = np.mean(
        [
            [
                error(rng.choice(N, n, replace=False, p=s)),
                error(skmm.draw(s, n, method="systematic", seed=k)),
                error(skmm.draw(s, n, method="systematic", seed=k, order=order)),
            ]
            for k in range(200)
        ],
        axis=0,
    )
    assert ordered < 0.5 * min(weighted, unordered)
