"""Passes over rows of 16 bits give the bits of those over the same rows in float32."""

import numpy as np
import pytest

import skmm_fast as skmm
from skmm_fast import _core
from skmm_fast._support.float16_rows import Float16Rows, scaled_halves
from skmm_fast._support.row_sets import RowSets
from skmm_fast.pool.row_matrix import row_matrix

N, M = 9001, 19
RNG = np.random.default_rng(0)
Z = (RNG.standard_normal((N, M)) * 2.0 ** RNG.integers(-9, 9, (N, 1))).astype(np.float32)
SCALED = Float16Rows(scaled_halves(Z)[0], scaled=True)
PLAIN = Float16Rows(Z.astype(np.float16), scaled=False)
ROWS = np.sort(RNG.choice(N, 500, replace=False))


@pytest.mark.parametrize("given", [SCALED, PLAIN], ids=["scaled", "plain"])
@pytest.mark.parametrize("threads", [1, 2])
def test_passes_have_the_bits_of_float32(given, threads):
    narrow, wide = row_matrix("Z", given), row_matrix("Z", np.asarray(given))
    assert (narrow.shape, narrow.dtype, len(narrow)) == (wide.shape, wide.dtype, len(wide))
    s, u, B = RNG.random(N), RNG.standard_normal(M), RNG.standard_normal((M, 9))
    cell, sets = np.arange(N) % 4, RowSets(ROWS, np.array([0, 200, 500]), np.array([0, 3, 9]))
    centres = RNG.standard_normal((9, M))
    for rows in (None, ROWS):
        assert np.array_equal(narrow.gram(B, rows), wide.gram(B, rows))
        assert np.array_equal(narrow.mean(rows), wide.mean(rows))
        for name in ("times", "times_rounded"):
            product = getattr(narrow, name)(B, rows, threads)
            assert product.dtype == np.float32
            assert np.array_equal(
                product.array(slice(None)), getattr(wide, name)(B, rows, 1).array(slice(None))
            )
    assert np.array_equal(narrow.take(ROWS).array(slice(3, 9)), wide.array(ROWS[3:9]))
    for name, arguments in {
        "second_moment": (s,),
        "row_norms": (B,),
        "column_squares": (s,),
        "square_dots": (u,),
        "dots": (u,),
        "spherical_centres": (sets, np.array([1, 2], np.uint64), 2),
        "nearest_centre": (sets, centres),
        "sum_unit_rows": (cell, 4, None),
    }.items():
        found = getattr(narrow, name)(*arguments, threads)
        expected = getattr(wide, name)(*arguments, 1)
        assert np.array_equal(np.asarray(found), np.asarray(expected)), name


@pytest.mark.parametrize("rank", [5, 12])
def test_rounding_of_entries_is_no_rank(rank):
    """Rows of few dimensions have rounding in all others, which is no direction to cover."""
    low = RNG.standard_normal((N, rank)) @ RNG.standard_normal((rank, M)) * RNG.random((N, 1))
    given = Float16Rows(scaled_halves(low)[0], scaled=True)
    assert skmm.moments(low).rank == rank
    assert skmm.moments(np.asarray(given)).rank == M
    assert skmm.moments(given).rank == rank
    few = Float16Rows(scaled_halves(low[: M + 3])[0], scaled=True)
    assert skmm.moments(few).rank == rank


def test_small_eigenvalues_above_rounding_count():
    spread = RNG.standard_normal((N, M)) * np.logspace(0, -2.5, M)
    given = Float16Rows(
        scaled_halves(spread @ np.linalg.qr(RNG.standard_normal((M, M)))[0])[0], True
    )
    assert skmm.moments(given).rank == M


def test_rows_keep_their_array():
    rows = row_matrix("Z", Float16Rows(np.ones((100, 4), np.float16), scaled=True))
    assert np.array_equal(rows.dots(np.ones(3), 1), np.full(100, 6.0))
    assert isinstance(rows.core, _core.HalfRows)
