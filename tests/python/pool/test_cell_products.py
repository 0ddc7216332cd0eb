"""The products of the core that cells are made of, against NumPy, and their bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skmm_fast import _core

DTYPES = (np.float32, np.float64)


def rows_of(N, k, dtype, seed=0):
    return np.random.default_rng(seed).standard_t(3, size=(N, k)).astype(dtype)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([1, 2, 127, 128, 129, 300]),
    st.sampled_from([1, 3, 31, 32, 33, 64]),
    st.sampled_from([1, 2, 31, 32, 33, 70]),
    st.sampled_from(DTYPES),
    st.booleans(),
)
def test_the_largest_product(seed, N, k, columns, dtype, some):
    rng = np.random.default_rng(seed)
    Z, D = rows_of(N, k, dtype, seed), rng.standard_normal((k, columns))
    rows = rng.integers(0, N, rng.integers(0, 2 * N)) if some else None
    which, product = _core.largest_product(Z, D, rows)
    P = Z.astype(float)[slice(None) if rows is None else rows] @ D
    assert which.shape == product.shape == (len(P),)
    np.testing.assert_allclose(product, P.max(axis=1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(P[np.arange(len(P)), which], product, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_ties_go_to_the_first_column(dtype):
    Z, D = rows_of(200, 5, dtype), rows_of(5, 40, np.float64, 1)
    which, _ = _core.largest_product(Z, D)
    twice, product = _core.largest_product(Z, np.hstack([D, D]))
    assert np.array_equal(twice, which)
    zeros = _core.largest_product(np.zeros((9, 5), dtype), D)
    assert not zeros[0].any()
    assert not zeros[1].any()
    negative = _core.largest_product(np.ones((9, 5), dtype), -np.ones((5, 3)))
    assert negative[1].tolist() == [-5.0] * 9
    assert product.shape == (200,)


@settings(max_examples=60, deadline=None)
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
    cell = np.random.default_rng(2).integers(0, 32, 9000)
    for call in (
        lambda threads: _core.largest_product(Z, D, None, threads)[1],
        lambda threads: _core.sum_unit_rows(Z, cell, 32, None, threads),
    ):
        one, *others = (call(threads) for threads in (1, 2, 3, 4))
        for other in others:
            assert np.array_equal(one, other)
