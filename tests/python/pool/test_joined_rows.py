"""Passes over rows side by side are those over the joined array."""

import numpy as np
import pytest

from skmm_fast._support.row_sets import RowSets
from skmm_fast._support.side_by_side import SideBySide
from skmm_fast.pool import joined_rows
from skmm_fast.pool.host_rows import HostRowMatrix
from skmm_fast.pool.joined_rows import JoinedRowMatrix
from skmm_fast.pool.row_matrix import row_matrix
from skmm_fast.pool.unit_rows import scaled_rows

N, WIDTHS, SCALES = 1500, (5, 1, 9), (2.0, 0.3, 1.0)
M = sum(WIDTHS)


@pytest.fixture(params=[np.float32, np.float64])
def both(request, monkeypatch):
    """The rows joined in blocks of 97, and as one array."""
    monkeypatch.setattr(joined_rows, "BLOCK_BYTES", 97 * M * np.dtype(request.param).itemsize)
    rng = np.random.default_rng(0)
    parts = [rng.standard_normal((N, width)).astype(request.param) for width in WIDTHS]
    whole = np.hstack([part * part.dtype.type(s) for part, s in zip(parts, SCALES, strict=True)])
    return JoinedRowMatrix(SideBySide(parts, SCALES)), HostRowMatrix(whole)


def near(found, expected):
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    rtol = 1e-6 if expected.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(found, expected, rtol, rtol * np.abs(expected).max())


def test_rows(both):
    joined, host = both
    assert (joined.shape, len(joined), joined.dtype) == (host.shape, len(host), host.dtype)
    some = np.array([3, 1499, 3, 0])
    for rows in (some, some[:0], slice(5, None, 7)):
        assert np.array_equal(joined.array(rows), host.array(rows))
    assert np.array_equal(joined.take(some).array(slice(None)), host.array(some))
    assert np.array_equal(joined.x[7], host.x[7])
    assert np.array_equal(np.asarray(joined.x), host.x)


def test_sums_and_products(both):
    joined, host = both
    rng = np.random.default_rng(1)
    s, D, some = rng.random(N), rng.standard_normal((M, 4)), rng.permutation(N)[:700]
    for weights in (None, s):
        near(joined.second_moment(weights, 1), host.second_moment(weights, 1))
        near(joined.column_squares(weights, 1), host.column_squares(weights, 1))
    near(joined.row_norms(D, 2), host.row_norms(D, 2))
    near(joined.dots(s[:M], 1), host.dots(s[:M], 1))
    near(joined.square_dots(s[:M], 1), host.square_dots(s[:M], 1))
    for rows in (None, some):
        near(joined.mean(rows), host.mean(rows))
        near(joined.gram(D, rows), host.gram(D, rows))
        near(joined.times(D, rows, 1).x, host.times(D, rows, 1).x)
        near(joined.times_rounded(D, rows, 1).x, host.times_rounded(D, rows, 1).x)
    near(scaled_rows("Z", joined).x, scaled_rows("Z", host).x)


def test_products_in_a_file(both, tmp_path):
    joined, host = both
    found = joined.times(np.eye(M), None, 1, tmp_path)
    assert not found.x.flags.owndata
    assert np.array_equal(found.x, host.x)


def test_cells(both):
    joined, host = both
    rng = np.random.default_rng(2)
    rows = rng.permutation(N)
    sets = RowSets(rows, np.array([0, 1, 40, 41, 900, N]), np.array([0, 2, 4, 5, 8, 12]))
    seeds = np.arange(5, dtype=np.uint64)
    centres = host.spherical_centres(sets, seeds, 3, 1)
    assert np.array_equal(joined.spherical_centres(sets, seeds, 3, 1), centres)
    for found, expected in zip(
        joined.nearest_centre(sets, centres, 1), host.nearest_centre(sets, centres, 1), strict=True
    ):
        assert np.array_equal(found, expected)
    cell = rng.integers(0, 600, N)
    for some in (None, rows[:1200]):
        of = cell if some is None else cell[:1200]
        near(joined.sum_unit_rows(of, 600, some, 1), host.sum_unit_rows(of, 600, some, 1))


def test_where_rows_side_by_side_lie():
    rows = SideBySide([np.eye(3)], [1.0])
    assert isinstance(row_matrix("Z", rows), JoinedRowMatrix)
    with pytest.raises(ValueError, match=r"^copy: expected None or True"):
        rows.__array__(copy=False)
    with pytest.raises(TypeError, match=r"^rows: expected one index"):
        rows[0, 1]
    assert repr(rows) == "SideBySide(3 x (3))"
