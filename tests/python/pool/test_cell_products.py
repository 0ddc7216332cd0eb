"""The products of the core that cells are made of, against NumPy, and their bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skmm_fast import _core

DTYPES = (np.float32, np.float64)


def rows_of(N, k, dtype, seed=0):
    return np.random.default_rng(seed).standard_t(3, size=(N, k)).astype(dtype)


@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.sampled_from([1, 2, 127, 128, 129, 300]),
    st.sampled_from([1, 3, 31, 32, 33, 64]),
    st.sampled_from([1, 2, 15, 16, 17, 70]),
    st.integers(1, 3),
    st.sampled_from(DTYPES),
)
def test_the_nearest_centre(seed, N, k, columns, n_sets, dtype):
    rng = np.random.default_rng(seed)
    Z = rows_of(N, k, dtype, seed)
    first = np.append(0, np.cumsum(columns + rng.integers(0, 2 * N, n_sets)))
    first_centre = np.append(0, np.cumsum(rng.integers(1, columns + 1, n_sets)))
    rows = rng.integers(0, N, first[-1])
    centres = rng.standard_normal((first_centre[-1], k))
    which, product = _core.nearest_centre(Z, rows, first, first_centre, centres)
    for g in range(n_sets):
        mine = slice(first[g], first[g + 1])
        P = Z.astype(float)[rows[mine]] @ centres[first_centre[g] : first_centre[g + 1]].T
        size = np.abs(Z[rows[mine]]).sum(axis=1) * np.abs(centres).max()
        assert np.all(np.abs(product[mine] - P.max(axis=1)) <= 1e-5 * size)
        best = P[np.arange(len(P)), which[mine]]
        assert np.all(P.max(axis=1) - best <= 1e-5 * size)


@pytest.mark.parametrize("dtype", DTYPES)
def test_ties_go_to_the_first_centre(dtype):
    def nearest(Z, centres):
        all_rows, one_set = np.arange(len(Z)), np.array([0, len(Z)])
        return _core.nearest_centre(Z, all_rows, one_set, np.array([0, len(centres)]), centres)

    Z, centres = rows_of(200, 5, dtype), rows_of(40, 5, np.float64, 1)
    which, _ = nearest(Z, centres)
    twice, product = nearest(Z, np.vstack([centres, centres]))
    assert np.array_equal(twice, which)
    zeros = nearest(np.zeros((9, 5), dtype), centres[:9])
    assert not zeros[0].any()
    assert not zeros[1].any()
    negative = nearest(np.ones((9, 5), dtype), -np.ones((3, 5)))
    assert negative[1].tolist() == [-5.0] * 9
    assert product.shape == (200,)


@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.sampled_from([1, 2, 127, 300, 5000]),
    st.sampled_from([1, 3, 32, 33]),
    st.integers(1, 40),
    st.sampled_from(DTYPES),
    st.booleans(),
)
def test_sums_of_unit_rows(seed, N, k, cells, dtype, some):
    rng = np.random.default_rng(seed)
    Z = rows_of(N, k, dtype, seed) * 2.0 ** rng.integers(-20, 20, (N, 1))
    Z = (Z * (rng.random((N, 1)) < 0.9)).astype(dtype)
    rows = rng.integers(0, N, rng.integers(1, N + 1)) if some else None
    X = Z.astype(float)[slice(None) if rows is None else rows]
    cells = min(cells, len(X))
    cell = rng.integers(0, cells, len(X))
    norms = np.linalg.norm(X, axis=1, keepdims=True)
    unit = np.divide(X, norms, out=np.zeros_like(X), where=norms > 0)
    expected = np.zeros((cells, k))
    np.add.at(expected, cell, unit)
    sums = _core.sum_unit_rows(Z, cell, cells, rows)
    np.testing.assert_allclose(sums, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_for_any_number_of_threads(dtype):
    Z, D = rows_of(9000, 33, dtype), rows_of(33, 32, np.float64, 1)
    out = np.empty((9000, 32), dtype)
    sets = np.arange(9000), np.array([0, 4000, 9000]), np.array([0, 20, 32])
    cell = np.random.default_rng(2).integers(0, 32, 9000)
    for call in (
        lambda threads: _core.nearest_centre(Z, *sets, np.ascontiguousarray(D.T), threads)[1],
        lambda threads: _core.multiply_rounded(Z, D, None, out, threads) or out.copy(),
        lambda threads: _core.sum_unit_rows(Z, cell, 32, None, threads),
    ):
        one, *others = (call(threads) for threads in (1, 2, 3, 4))
        for other in others:
            assert np.array_equal(one, other)
