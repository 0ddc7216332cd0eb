"""Frequencies of what uniform, leverage, adaptive and class-balanced draws choose."""

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chi2
from support import baseline_reference as naive

import skmm_fast as skmm

DTYPES = (np.float32, np.float64)
pytestmark = pytest.mark.filterwarnings("ignore:n = .* < rank")

Z12 = np.random.default_rng(0).standard_normal((12, 3))
Z12 *= np.random.default_rng(1).exponential(size=(12, 1))


def draws(Z, n, method, seeds, **options):
    """(seeds, n) rows of as many calls."""
    options["sketch_dim"] = Z.shape[1]
    return np.array(
        [skmm.select(Z, n, method=method, seed=s, **options).indices for s in range(seeds)]
    )


def check_inclusion(rows, probabilities):
    """How often each row occurs is within 4.5 standard deviations; certain ones always, others
    never."""
    T = len(rows)
    counts = np.bincount(rows.ravel(), minlength=len(probabilities))
    error = np.abs(counts - T * probabilities)
    variance = np.clip(probabilities * (1 - probabilities), 0, None)
    assert np.all(error <= 4.5 * np.sqrt(T * variance) + 1e-6 * T)


def check_sets(rows, probabilities):
    """Pearson's test of sets of rows at 1e-5."""
    seen = Counter(map(frozenset, rows.tolist()))
    assert set(seen) <= set(probabilities)
    expected = {s: p * len(rows) for s, p in probabilities.items()}
    statistic = sum((seen[s] - e) ** 2 / e for s, e in expected.items())
    assert statistic < chi2.ppf(1 - 1e-5, len(expected) - 1)


@pytest.mark.parametrize(
    ("n", "rank", "dtype"), [(4, 2, np.float32), (5, 3, np.float64), (9, 1, np.float32)]
)
def test_t_leverage(n, rank, dtype):
    Z = Z12.astype(dtype)
    p = naive.inclusion_probabilities(naive.truncated_leverage(Z, rank), n)
    check_inclusion(draws(Z, n, "t-leverage", 250, rank=rank), p)


@pytest.mark.parametrize(
    ("n", "ridge", "dtype"), [(4, 0.5, np.float64), (5, 1e-9, np.float32), (9, 10.0, np.float64)]
)
def test_r_leverage(n, ridge, dtype):
    Z = Z12.astype(dtype)
    p = naive.inclusion_probabilities(naive.ridge_leverage(Z, ridge), n)
    check_inclusion(draws(Z, n, "r-leverage", 250, ridge=ridge), p)


@pytest.mark.parametrize("method", ["t-leverage", "r-leverage"])
def test_leverage_is_capped_at_one(method):
    """Two rows that nothing else spans are certain; the others share the rest equally."""
    Z = np.zeros((22, 3))
    Z[0, 0], Z[1, 1], Z[2:, 2] = 5, 5, 1
    options = {"rank": 3} if method == "t-leverage" else {"ridge": 1e-9}
    p = np.append([1, 1], np.full(20, 4 / 20))
    check_inclusion(draws(Z, 6, method, 150, **options), p)


def test_classes_are_drawn_independently():
    """Two alike, of a heavy and a light row each, along an axis of their own."""
    Z = np.kron(np.eye(2), np.sqrt([[0.8], [0.2]]))
    options = {"y": [0, 0, 1, 1], "per_class": "balanced"}
    one = {0: 0.8, 1: 0.2}
    both = {frozenset((i, 2 + j)): one[i] * one[j] for i in one for j in one}
    check_sets(draws(Z, 2, "t-leverage", 300, **options), both)


@pytest.mark.parametrize("method", ["t-leverage", "r-leverage", "adaptive"])
def test_zero_rows_come_last(method):
    Z = np.zeros((20, 3))
    Z[5:13] = np.random.default_rng(2).standard_normal((8, 3))
    for seed in range(5):
        options = {"sketch_dim": 3, "seed": seed}
        assert set(skmm.select(Z, 8, method=method, **options).indices) == set(range(5, 13))
        assert set(range(5, 13)) < set(skmm.select(Z, 15, method=method, **options).indices)
        assert len(skmm.select(Z, 20, method=method, **options).indices) == 20


@pytest.mark.parametrize(("n", "dtype"), [(1, np.float64), (2, np.float32)])
def test_adaptive(n, dtype):
    Z = Z12[:6].astype(dtype)
    check_sets(draws(Z, n, "adaptive", 500), naive.adaptive_probabilities(Z, n))


def test_adaptive_begins_anew():
    """Three rows of rank 2: the third by the norms of those left."""
    Z = Z12[:5, :2].astype(np.float32)
    check_sets(draws(Z, 3, "adaptive", 500), naive.adaptive_probabilities(Z, 3))


@pytest.mark.parametrize("dtype", DTYPES)
def test_adaptive_takes_from_each_direction_in_turn(dtype):
    """Duplicates and multiples of three directions, of norms far apart."""
    directions = np.linalg.qr(np.random.default_rng(3).standard_normal((8, 3)))[0].T
    directions = directions * [[1], [30], [1000]]
    Z = (np.repeat(directions, 4, axis=0) * np.tile([1.0, 2.0, 2.0, -1.0], 3)[:, None]).astype(
        dtype
    )
    for n in (3, 6, 9, 12):
        for row in draws(Z, n, "adaptive", 10):
            assert np.bincount(row // 4, minlength=3).tolist() == [n // 3] * 3


@pytest.mark.parametrize("dtype", DTYPES)
def test_adaptive_spans_what_it_can(dtype):
    """A spectrum that falls over five digits: n = rank rows span it, more are distinct."""
    rng = np.random.default_rng(4)
    Z = (rng.standard_normal((400, 12)) * 10.0 ** -np.linspace(0, 5, 12)).astype(dtype)
    for n in (12, 24, 200, 400):
        selection = skmm.select(Z, n, method="adaptive", sketch_dim=12)
        assert len(np.unique(selection.indices)) == n
        assert np.isfinite(selection.diagnosis.v_optimality)


def test_uniform():
    check_inclusion(draws(Z12, 5, "uniform", 300), np.full(12, 5 / 12))
    pairs = {frozenset((i, j)): 1 / 10 for i in range(5) for j in range(i)}
    check_sets(draws(Z12[:5], 2, "uniform", 300), pairs)


def test_class_balanced():
    y = np.array(["a"] * 2 + ["b"] * 4 + ["c"] * 6)
    for n, counts in ((6, (2, 2, 2)), (9, (2, 4, 3)), (12, (2, 4, 6)), (3, (1, 1, 1))):
        rows = draws(Z12, n, "class-balanced", 100, y=y)
        found = [(y[rows] == c).sum(axis=1) for c in "abc"]
        if n != 9:
            assert [set(k.tolist()) for k in found] == [{k} for k in counts]
            check_inclusion(rows, np.repeat(np.array(counts) / (2, 4, 6), (2, 4, 6)))
        else:  # which of b and c has one more is free
            assert set(found[0].tolist()) == {2}
            assert set(found[1].tolist()) <= {3, 4}


@pytest.mark.parametrize(
    "method", ["uniform", "adaptive", "t-leverage", "r-leverage", "k-center", "class-balanced"]
)
def test_a_seed_gives_the_same_again(method):
    Z, y = np.random.default_rng(5).standard_normal((300, 4)), np.arange(300) % 3
    first, second = (draws(Z, 30, method, 4, y=y) for _ in range(2))
    assert np.array_equal(first, second)
    assert len({tuple(rows) for rows in first.tolist()}) == 4
