"""Rows of 16-bit floats: what is rounded, what they give back, and what they refuse."""

import numpy as np
import pytest

from skmm_fast import _core
from skmm_fast._support.float16_rows import ROUNDING, Float16Rows, scaled_halves


def rows(n=300, m=7, dtype=np.float32):
    """Rows whose norms differ by 60 orders of magnitude, one of them zero."""
    rng = np.random.default_rng(0)
    scales = 10.0 ** rng.uniform(-30, 30, (n, 1))
    Z = (rng.standard_normal((n, m)) * scales).astype(dtype)
    Z[3] = 0
    return Z


def rounded(Z):
    halves, lost = scaled_halves(Z)
    assert len(lost) == 0
    return Float16Rows(halves, scaled=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_entries_are_rounded_to_11_digits(dtype):
    Z = rows(dtype=dtype)
    back = np.asarray(rounded(Z))
    largest = np.abs(Z).max(axis=1, keepdims=True)
    assert np.all(np.abs(back - Z) <= np.maximum(ROUNDING * np.abs(Z), 2.0**-38 * largest))
    again = np.asarray(rounded(back))
    assert np.array_equal(again, back)


def test_entries_far_below_the_largest_are_rounded_to_fractions_of_it():
    Z = np.float32([[1, 2.0**-20, 2.0**-28, 2.0**-38, 2.0**-50]])
    assert np.asarray(rounded(Z)).tolist() == [[1, 2.0**-20, 2.0**-28, 2.0**-38, 0]]


def test_what_indexing_gives():
    Z = rows()
    halves = scaled_halves(Z)[0]
    R = Float16Rows(halves, scaled=True)
    naive = np.ldexp(halves[:, :-1].astype(np.float32), halves[:, -1:].astype(int))
    assert (R.shape, len(R), R.dtype) == (Z.shape, 300, np.float32)
    every = np.arange(300)
    for i in (slice(None), slice(9, 2, -2), every[::-7], every % 3 == 0, 5, -1, np.int64(7)):
        assert np.array_equal(R[i], naive[i])
    assert np.asarray(R, np.float64).dtype == np.float64
    assert np.array_equal(R.take(every[::5])[1:4], naive[[5, 10, 15]])
    plain = Float16Rows(np.ascontiguousarray(halves[:, :-1]), scaled=False)
    assert np.array_equal(plain[:], halves[:, :-1].astype(np.float32))
    with pytest.raises(TypeError, match=r"rows: expected one index, of rows, got 2"):
        R[2, 3]
    with pytest.raises(IndexError):
        R[300]


def test_rows_beyond_float32():
    Z = np.array([[1.0, 2.0], [1e39, 0.0], [0.0, 0.0], [1e-60, 1e-61], [3.4e38, 1e-45]])
    halves, lost = scaled_halves(Z)
    assert lost.tolist() == [1, 3]
    assert np.allclose(Float16Rows(halves, True)[4], Z[4].astype(np.float32), rtol=1e-3)
    least = np.float32([[1e-45, 5e-45]])  # subnormal
    assert np.array_equal(np.asarray(rounded(least)), least)


def test_rows_that_are_not_finite_stay_so():
    Z = np.float32([[np.nan, 1], [np.inf, 1e30], [-np.inf, np.nan], [1, 2]])
    back = np.asarray(rounded(Z))
    assert np.isfinite(back).all(axis=1).tolist() == [False, False, False, True]


def test_sketches_are_scaled_as_the_core_scales_rows():
    bits = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    R = Float16Rows(np.column_stack([np.ones_like(bits), bits]), scaled=True)
    Z = np.ones((1 << 16, 1), np.float32)
    R.multiply_by_scales(Z)
    assert np.array_equal(Z, R[:])
    plain = Float16Rows(bits[:, None], scaled=False)
    plain.multiply_by_scales(Z)
    assert np.array_equal(Z, R[:])


def test_the_core_holds_the_array():
    core = _core.HalfRows(np.full((1000, 3), 2, np.float16), True)
    out = np.empty((1000, 2), np.float32)
    core.widen(out, 2)
    assert np.all(out == 8)
