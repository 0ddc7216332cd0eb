"""Bounds of pools that hardly span, or do not: infinite where no rows that are allowed span, never
above the exact optimum; and whether a matrix is singular is no luck."""

import numpy as np
import pytest
from support.singular_pools import faults

import skmm_fast as skmm
from skmm_fast.pool.inverses import inverse_root, rounding_of_moments


@pytest.mark.parametrize("block", range(4))
def test_small_pools_by_exact_arithmetic(block):
    said = {seed: faults(seed) for seed in range(30 * block, 30 * (block + 1))}
    assert not any(said.values()), {seed: found for seed, found in said.items() if found}


def moments_of_rank(rank, k, seed):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((3 * k, rank)) @ rng.standard_normal((rank, k))
    return rows.T @ rows


@pytest.mark.parametrize("k", [2, 5, 40])
def test_what_is_singular_is_no_luck(k):
    """Matrices of lower rank, changed by what rounding may do, of any unit."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        M = moments_of_rank(k - 1, k, seed) * 10.0 ** rng.integers(-100, 100)
        noise = rng.standard_normal((k, k))
        M += 4e-16 * np.linalg.norm(M, 2) * (noise + noise.T) / np.linalg.norm(noise + noise.T, 2)
        R, regular = inverse_root(M, rounding_of_moments(k) * float(np.linalg.norm(M, 2)))
        assert not regular
        assert np.isfinite(R).all()


@pytest.mark.parametrize("k", [1, 2, 5, 40])
def test_what_is_regular_has_an_inverse(k):
    for seed in range(100):
        rng = np.random.default_rng(seed)
        V = np.linalg.qr(rng.standard_normal((k, k)))[0]
        M = (V * np.logspace(0, -rng.uniform(0, 12), k)) @ V.T * 10.0 ** rng.integers(-100, 100)
        M = (M + M.T) / 2
        largest = float(np.linalg.norm(M, 2))
        R, regular = inverse_root(M, rounding_of_moments(k) * largest)
        assert regular
        assert np.abs(R.T @ M @ R - np.eye(k)).max() < rounding_of_moments(k) * (
            largest * np.linalg.norm(R, 2) ** 2
        )


def test_classes_that_cannot_span_together():
    """All rows of two classes span, but the third direction would need two rows of a class that has
    one (Rado's theorem)."""
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((40, 3))
    Z[:20, 1:] = 0
    Z[20:, 0] = 0
    y = np.arange(40) // 20
    for counts, spans in (((3, 1), False), ((1, 3), True), ((2, 2), True), ((4, 0), False)):
        found = skmm.v_optimal(Z, 4, y=y, per_class=dict(enumerate(counts)))
        assert np.isfinite(found.lower_bound) == spans
        assert (found.ridge == 0) == spans


def test_one_short_row_spans_among_many_long_ones():
    """The only row along a direction is tiny beside a hundred thousand others: still it spans."""
    rng = np.random.default_rng(0)
    Z = np.zeros((100_000, 3))
    Z[:, :2] = rng.standard_normal((100_000, 2))
    Z[777] = 1e-3, 0, 1e-3
    Z[5:9] = np.eye(3)[[2, 2, 2, 0]]
    found = skmm.v_optimal(Z, 10, exclude=range(5, 9))
    assert 777 in found.indices
    assert found.lower_bound <= found.objective < np.inf
