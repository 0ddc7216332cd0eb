"""The compiled module by itself: its border checks memory, whatever Python checked before."""

import numpy as np
import pytest

from skmm_fast import _core

TYPE = "incompatible (function|constructor) arguments"  # pybind11's
ROW = "expected at least one row and one column"

S = _core.SparseSign(10, 4, 2, 0)
G8 = _core.GroupedSign(10, 8, 0)
Z = np.ones((2, 10), np.float32)
OUT = np.zeros((2, 4), np.float32)
EYE, EYE9 = np.eye(10), np.eye(9)
INDICES, INDPTR = np.array([0, 1, 1], np.int32), np.array([0, 1, 3], np.int32)
VALUES, ONE = np.ones(3, np.float32), np.array([2])
GROUP = np.zeros(2, np.int32)
TENS, TWOS, HALVES = np.ones(10), np.ones(2), np.full(2, 0.5)
ROWS, CELL = np.ones((5, 10), np.float32), np.array([0, 1, 0, 1, 1])  # in two cells of 2 and 3
HALF = ROWS.astype(np.float16)
FIVE, KEYS = np.arange(5), np.array([1, 2], np.uint64)
NO_COLUMNS, TEN_OF_NONE, NO_ROWS = np.zeros((2, 0), "f"), np.zeros((10, 0)), np.zeros((0, 10))
OFFSETS, SLOT_OFFSETS, SLOTS = np.array([0, 2, 5]), np.array([0, 1, 2]), np.array([1, 3])


def dense(a=Z, offset=0, threads=1, out=OUT):
    S.sketch_dense(a, offset, False, threads, out)


def outer(left=Z[:, :2], right=Z[:, :5], offset=0, out=OUT):
    S.sketch_outer(left, right, offset, False, 1, out)


def csr(values=VALUES, indices=INDICES, indptr=INDPTR, threads=1, out=OUT):
    S.sketch_csr(values, indices, indptr, 10, 0, False, threads, out)


def limits(n_rows=2, group=None, counts=(2,), include=()):
    return _core.Constraints(n_rows, group, list(counts), list(include))


def v_optimal(z=Z, b=EYE, start=(), threads=1, block=1, sampler="greedy", **of_limits):
    return _core.v_optimal(
        z, b, limits(**of_limits), block, getattr(_core.Sampler, sampler), 0.1, 1.0, False, 0.0,
        0.0, 0, list(start), threads,
    )  # fmt: skip


def moments(y=Z, target=TENS, start=HALVES, **of_limits):
    c = limits(**{"counts": (1,), **of_limits})
    return _core.match_moments(y, target, np.ones(10), c, start, 1e-6, 10, 1)


def pursuit(q=TENS, response=None, penalty=TWOS, **of_limits):
    return _core.herding_pursuit(Z, limits(**of_limits), q, np.ones(10), response, penalty, 1)


def centers(z=Z, turn=0, own=TWOS, **of_limits):
    return _core.k_center(z, limits(**of_limits), turn, own, 0, 1)


def pivots(norm=TWOS, **of_limits):
    return _core.random_pivoting(Z, limits(**of_limits), norm, 0, 1)


def exchange(
    b=ROWS, first=OFFSETS, first_slot=SLOT_OFFSETS, rows=FIVE, weight=TWOS, slot=SLOTS,
    residual=TENS,
):  # fmt: skip
    return _core.exchange_in_cells(b, first, first_slot, rows, weight, slot, residual)


def candidates(
    first=OFFSETS, first_slot=SLOT_OFFSETS, rows=FIVE, held=SLOTS, most=1, seed=0, which=0
):
    return _core.draw_candidates(first, first_slot, rows, held, most, seed, which)


def nearest(
    z=ROWS, rows=FIVE, first=OFFSETS, first_centre=SLOT_OFFSETS, centres=EYE[:2], threads=1
):
    return _core.nearest_centre(z, rows, first, first_centre, centres, threads)


def centres(
    z=ROWS, rows=FIVE, first=OFFSETS, first_centre=SLOT_OFFSETS, seeds=KEYS, sweeps=1, threads=1
):
    return _core.spherical_centres(z, rows, first, first_centre, seeds, sweeps, threads)


def rounded(z=ROWS, d=EYE, rows=None, threads=1, out=None):
    out = np.zeros((len(z if rows is None else rows), 10), z.dtype) if out is None else out
    return _core.multiply_rounded(z, d, rows, out, threads)


def unit_sums(z=ROWS, cell=CELL, cells=2, rows=None, threads=1):
    return _core.sum_unit_rows(z, cell, cells, rows, threads)


def test_what_is_safe_is_taken():
    dense()
    outer()
    csr(indices=np.array([0, 1, 2], np.int32))
    for call in (v_optimal, pursuit, centers, pivots):
        assert len(getattr(call(), "rows", [0, 1])) == 2
    assert moments().s.sum() == pytest.approx(1)
    assert nearest()[0].tolist() == nearest(ROWS.astype(float))[0].tolist() == [0] * 5
    none = {"rows": FIVE[:0], "first": OFFSETS[:1], "first_centre": SLOT_OFFSETS[:1]}
    assert nearest(**none, centres=EYE[:0])[0].shape == (0,)
    assert centres(**none, seeds=KEYS[:0]).shape == (0, 10)
    assert centres().shape == (2, 10)
    assert candidates(most=9)[1].tolist() == [0, 1, 2, 3, 4]
    rounded()
    rounded(rows=CELL[:0])
    assert unit_sums().sum(axis=1) == pytest.approx(np.sqrt(10) * np.array([2, 3]))
    assert unit_sums(cell=CELL[:2], rows=CELL[:2]).shape == (2, 10)
    free = limits(5, np.array([1, 0, -1, 1, 0], np.int32), (1, 2), [3]).free_rows()
    assert free.rows.tolist() == [1, 4, 0]
    assert free.counts == [1, 1]
    assert [free.positions(g).tolist() for g in range(2)] == [[0, 1], [2]]
    assert _core.rows_of_rank(5000, 2, 1) == (2048, 5000)


FREE = limits().free_rows()
REFUSED = [
    (TYPE, lambda: dense(Z.astype(float))),
    (TYPE, lambda: dense(Z.astype(np.int16))),
    (TYPE, lambda: dense(Z.astype(np.float16), out=OUT.astype(np.float16))),
    ("col_offset: expected columns inside", lambda: dense(offset=1)),
    ("col_offset: expected columns inside", lambda: dense(offset=-1)),
    ("out: expected contiguous", lambda: dense(out=OUT[:1])),
    ("out: expected contiguous", lambda: dense(out=np.zeros((2, 8), np.float32)[:, ::2])),
    ("a: expected rows of contiguous", lambda: dense(Z[:, ::2])),
    ("n_threads: expected 1..1024", lambda: dense(threads=0)),
    (ROW, lambda: dense(Z[:0], out=OUT[:0])),
    (ROW, lambda: dense(Z[:, :0])),
    (TYPE, lambda: outer(Z[:, :2].astype(float))),
    ("right: expected as many rows", lambda: outer(right=Z[:1, :5])),
    ("right: expected rows of contiguous", lambda: outer(right=Z[:, ::2])),
    ("col_offset: expected columns inside", lambda: outer(offset=1)),
    ("out: expected contiguous", lambda: outer(out=OUT[:1])),
    (ROW, lambda: outer(Z[:, :0])),
    ("indices: expected strictly ascending", csr),
    ("indptr: expected to run from 0", lambda: csr(indptr=INDPTR + 1)),
    ("indptr: expected no row to end", lambda: csr(indptr=np.array([0, 4, 3], np.int32))),
    ("indices: expected 0 <= index", lambda: csr(indices=INDICES + 9)),
    ("indices: expected 0 <= index", lambda: csr(indices=INDICES - 1)),
    ("indices: expected as many as values", lambda: csr(indices=INDICES[:2])),
    (ROW, lambda: csr(VALUES[:0], INDICES[:0], INDPTR[:1], out=OUT[:0])),
    ("n_threads: expected 1..1024", lambda: csr(threads=0)),
    (ROW, lambda: csr(VALUES[:0], INDICES[:0], INDPTR[:1], out=np.zeros((0, 4), np.float32))),
    ("in_dim: expected 1..2.62", lambda: _core.SparseSign(2**62 + 1, 4, 2, 0)),
    ("in_dim: expected 1..2.62", lambda: _core.GroupedSign(2**63 - 1, 8, 0)),
    ("in_dim: expected 1..2.62", lambda: _core.Gaussian(0, 8, 0)),
    ("expected 8 <= out_dim", lambda: _core.GroupedSign(10, 7, 0)),
    ("expected 1 <= nnz_per_row <= out_dim", lambda: _core.SparseSign(10, 4, 5, 0)),
    ("out: expected contiguous", lambda: G8.sketch_dense(Z, 0, False, 1, OUT)),
    ("n_threads: expected 1..1024", lambda: _core.team_size(-1)),
    ("start: expected rows of the embedding", lambda: S.rows(9, OUT)),
    ("v: expected a free row each", lambda: _core.project(np.ones(3), FREE, 0.5, 1)),
    ("g: expected a free row each", lambda: _core.support(np.ones(3), FREE, 0.5, 0.0, 1)),
    ("group: expected one of the counts", lambda: FREE.positions(1)),
    ("a: expected .n_rows,.", lambda: _core.inner(np.ones(3), np.ones(2), _core.Strips(2), 1)),
    ("n_rows: expected 0..2.62", lambda: _core.Strips(-1)),
    ("rows: expected 0..n_rows-1", lambda: _core.Strips(9).of_some(np.array([9]))),
    ("rows: expected them strip by", lambda: _core.Strips(9999).of_some(np.array([9000, 0]))),
    ("rank: expected a rank below size", lambda: _core.rows_of_rank(9, 2, 2)),
    ("strips: expected as many rows", lambda: _core.column_squares(Z, strips=_core.Strips(3))),
    ("n: expected 1..N", lambda: _core.draw_pivotal(np.ones(3), 4, 0)),
    ("order: expected rows in", lambda: _core.draw_pivotal(np.ones(3), 3, 0, np.arange(1, 4))),
    ("order: expected rows in", lambda: _core.draw_systematic(np.ones(3), 3, 0, np.arange(-1, 2))),
    ("order: expected contiguous", lambda: _core.draw_systematic(np.ones(3), 3, 0, np.arange(4))),
    (TYPE, lambda: _core.draw_systematic(np.ones(3), 3, 0, np.arange(3, dtype=np.int32))),
    ("n_rows: expected at least 0", lambda: _core.random_order(-1, 0)),
    ("n: expected 0..N", lambda: _core.draw_subset(3, 4, 0)),
    # Constraints
    ("n_rows: expected at least 0", lambda: limits(-1)),
    ("counts: expected no more than the rows", lambda: limits(counts=(3,))),
    ("counts: expected no more than the rows", lambda: limits(counts=(-1,))),
    ("counts: expected at least one row", lambda: limits(counts=(0,))),
    ("group: expected .N,. where there is more", lambda: limits(counts=(1, 1))),
    ("group: expected less than the number", lambda: limits(group=GROUP + 1)),
    ("group: expected .N,.", lambda: limits(group=GROUP[:1])),
    (TYPE, lambda: limits(group=GROUP.astype(np.int64))),
    ("counts: expected no more than the rows", lambda: limits(group=GROUP - 1)),
    ("include: expected distinct rows", lambda: limits(include=[0, 0])),
    ("include: expected distinct rows", lambda: limits(include=[7])),
    ("include: expected distinct rows", lambda: limits(include=[-1])),
    ("include: expected distinct rows", lambda: limits(counts=(1,), include=[0, 1])),
    # Methods
    ("constraints: expected as many rows", lambda: v_optimal(n_rows=3)),
    ("start: expected distinct rows", lambda: v_optimal(include=[0], start=[0])),
    ("start: expected rows within the counts", lambda: v_optimal(start=[2])),
    ("start: expected rows within the counts", lambda: v_optimal(start=[-1])),
    ("start: expected rows within the counts", lambda: v_optimal(counts=(1,), start=[0, 1])),
    ("n_threads: expected 1..1024", lambda: v_optimal(threads=0)),
    ("block: expected at least 1", lambda: v_optimal(block=0)),
    ("b: expected as many rows", lambda: v_optimal(b=EYE9)),
    ("z: expected contiguous", lambda: v_optimal(z=object())),
    ("target: expected .k,.", lambda: moments(target=np.ones(9))),
    ("start: expected .N,.", lambda: moments(start=np.ones(3))),
    ("constraints: expected as many free rows", lambda: moments(n_rows=3)),
    ("constraints: expected as many free rows", lambda: moments(counts=(2,), include=[0])),
    ("q: expected", lambda: pursuit(q=np.ones(3))),
    ("response: expected", lambda: pursuit(response=np.ones((10, 1)))),
    ("penalty: expected", lambda: pursuit(penalty=np.ones(1))),
    ("constraints: expected as many rows", lambda: pursuit(n_rows=3)),
    ("turn: expected 0 or m / 2", lambda: centers(turn=3)),
    ("turn: expected 0 or m / 2", lambda: centers(turn=-(2**63) + 5)),  # twice it is 10, modulo 2⁶⁴
    ("z: .* of at least one column", lambda: centers(NO_COLUMNS)),
    ("z: .* of at least one column", lambda: v_optimal(NO_COLUMNS, b=NO_ROWS)),
    ("b: .* of at least one column", lambda: v_optimal(b=TEN_OF_NONE)),
    ("y: .* of at least one column", lambda: moments(NO_COLUMNS, target=TENS[:0])),
    ("own: expected", lambda: centers(own=np.ones(4)[::2])),
    ("z: expected contiguous", lambda: centers(Z[:, ::2])),
    (TYPE, lambda: centers(own=np.ones(2, np.float32))),
    ("constraints: expected as many rows", lambda: centers(n_rows=3)),
    ("norm: expected", lambda: pivots(np.ones(1))),
    ("constraints: expected as many rows", lambda: pivots(n_rows=3)),
    # Products
    ("s: expected .N,.", lambda: _core.second_moment(Z, np.ones(3))),
    ("z: .* of at least one row", lambda: _core.second_moment(NO_ROWS)),
    ("z: .* of at least one column", lambda: _core.second_moment(NO_COLUMNS)),
    ("z: .* of at least one column", lambda: _core.row_norms(NO_COLUMNS, NO_ROWS)),
    ("d: .* of at least one column", lambda: _core.row_norms(Z, TEN_OF_NONE)),
    ("z: .* of at least one column", lambda: _core.multiply(NO_COLUMNS, NO_ROWS, None, Z, 1)),
    ("d: .* of at least one column", lambda: _core.multiply(Z, TEN_OF_NONE, None, NO_COLUMNS, 1)),
    ("y: .* of at least one column", lambda: _core.column_squares(NO_COLUMNS)),
    ("z: .* of at least one column", lambda: _core.dots(NO_COLUMNS, TENS[:0])),
    ("d: .* of at least one column", lambda: rounded(d=TEN_OF_NONE, out=np.zeros((5, 0), "f"))),
    ("z: .* of at least one column", lambda: unit_sums(TEN_OF_NONE[:5])),
    ("z: .* of at least one column", lambda: nearest(TEN_OF_NONE, centres=TEN_OF_NONE[:2])),
    ("z: .* of at least one column", lambda: centres(TEN_OF_NONE)),
    ("b: .* of at least one column", lambda: exchange(TEN_OF_NONE, residual=TENS[:0])),
    ("array is not writeable", lambda: rounded(out=np.broadcast_to(ROWS, (5, 10)))),
    ("d: expected as many rows", lambda: _core.row_norms(Z, EYE9)),
    ("rows: expected 0..N-1", lambda: _core.row_norms(Z, EYE, ONE)),
    ("out: expected contiguous", lambda: _core.multiply(Z, EYE, None, OUT, 1)),
    ("rows: expected 0..N-1", lambda: _core.multiply(Z, EYE, ONE, Z[:1], 1)),
    ("u: expected .k,.", lambda: _core.dots(Z, np.ones(9))),
    (TYPE, lambda: rounded(d=EYE.astype(np.float32))),
    ("d: expected as many rows", lambda: rounded(d=EYE9)),
    ("rows: expected 0..N-1", lambda: rounded(rows=np.array([5]))),
    ("rows: expected 0..N-1", lambda: rounded(rows=np.array([0, -1]))),
    ("out: expected contiguous", lambda: rounded(out=np.zeros((4, 10), np.float32))),
    ("n_threads: expected 1..1024", lambda: rounded(threads=0)),
    (TYPE, lambda: nearest(centres=EYE[:2].astype(np.float32))),
    (TYPE, lambda: nearest(ROWS.astype(np.float16))),
    (TYPE, lambda: nearest(rows=np.zeros(5, np.int32))),
    ("z: expected contiguous", lambda: nearest(ROWS[:, ::2])),
    ("z: expected contiguous", lambda: nearest(ROWS[0])),
    ("rows: expected 0..N-1", lambda: nearest(rows=FIVE + 1)),
    ("rows: expected 0..N-1", lambda: nearest(rows=FIVE - 1)),
    ("rows: expected a contiguous vector", lambda: nearest(rows=np.zeros((5, 2), np.int64))),
    ("rows: expected a contiguous vector", lambda: nearest(rows=np.zeros(10, np.int64)[::2])),
    ("first: expected .sets . 1", lambda: nearest(first=OFFSETS[:0])),
    ("first: expected to ascend", lambda: nearest(first=OFFSETS + 1)),
    ("first: expected to ascend", lambda: nearest(first=np.array([0, 6, 5]))),
    ("first: expected to ascend", lambda: nearest(rows=FIVE[:4])),
    ("first_centre: expected", lambda: nearest(first_centre=SLOT_OFFSETS[:2])),
    ("first_centre: from 0", lambda: nearest(first_centre=SLOT_OFFSETS + 1)),
    ("sets: expected rows and centres", lambda: nearest(first_centre=np.array([0, 2, 2]))),
    ("sets: expected rows and centres", lambda: nearest(first_centre=np.array([0, 3, 2]))),
    ("sets: expected rows and centres", lambda: nearest(first=np.array([0, 0, 5]))),
    ("first_centre: from 0", lambda: nearest(first_centre=np.array([0, 2, 6]))),
    ("centres: expected those of all sets", lambda: nearest(centres=EYE[:3])),
    ("centres: expected those of all sets", lambda: nearest(centres=EYE9[:2])),
    ("centres: expected contiguous", lambda: nearest(centres=np.ones((2, 20))[:, ::2])),
    ("n_threads: expected 1..1024", lambda: nearest(threads=0)),
    (TYPE, lambda: centres(seeds=np.zeros(2, np.int64))),
    ("seeds: expected .sets,.", lambda: centres(seeds=KEYS[:1])),
    ("sweeps: expected at least 0", lambda: centres(sweeps=-1)),
    ("rows: expected 0..N-1", lambda: centres(rows=FIVE + 1)),
    ("sets: expected rows and centres", lambda: centres(first_centre=np.array([0, 2, 2]))),
    ("n_threads: expected 1..1024", lambda: centres(threads=0)),
    (TYPE, lambda: candidates(held=SLOTS.astype(np.int32))),
    ("first: expected to ascend", lambda: candidates(first=OFFSETS + 1)),
    ("first_slot: expected to ascend", lambda: candidates(first_slot=SLOT_OFFSETS + 1)),
    ("held: expected rows of the cell", lambda: candidates(held=np.array([2, 3]))),
    ("held: expected rows of the cell", lambda: candidates(held=np.array([1, 9]))),
    ("rows: expected ascending", lambda: candidates(rows=np.array([1, 0, 2, 3, 4]))),
    ("most: expected 1..1024", lambda: candidates(most=0)),
    ("most: expected 1..1024", lambda: candidates(most=2**40)),
    (TYPE, lambda: unit_sums(cell=CELL.astype(np.int32))),
    (TYPE, lambda: unit_sums(cell=CELL.astype(float))),
    ("z: expected contiguous", lambda: unit_sums(ROWS[::2])),
    ("cell: expected one number per row", lambda: unit_sums(cell=CELL[:4])),
    ("cell: expected one number per row", lambda: unit_sums(cell=CELL[:, None])),
    ("cell: expected one number per row", lambda: unit_sums(cell=np.zeros(10, np.int64)[::2])),
    ("cell: expected one number per row", lambda: unit_sums(rows=ONE)),
    ("cell: expected 0..cells-1", lambda: unit_sums(cells=1)),
    ("cell: expected 0..cells-1", lambda: unit_sums(cell=CELL - 1)),
    ("cells: expected 1..rows", lambda: unit_sums(cells=0)),
    ("cells: expected 1..rows", lambda: unit_sums(cells=-3)),
    ("cells: expected 1..rows", lambda: unit_sums(cells=2**60)),
    ("cells: expected 1..rows", lambda: unit_sums(cell=CELL[:0], rows=CELL[:0])),
    ("rows: expected 0..N-1", lambda: unit_sums(rows=CELL + 4)),
    ("n_threads: expected 1..1024", lambda: unit_sums(threads=1025)),
    # Rows of halves
    (TYPE, lambda: _core.HalfRows(ROWS, False)),
    (TYPE, lambda: _core.HalfRows(ROWS.astype(np.uint16), False)),
    (TYPE, lambda: _core.HalfRows(ROWS.astype(">f2"), False)),
    ("z: expected contiguous", lambda: _core.HalfRows(HALF[:, ::2], False)),
    ("z: expected contiguous", lambda: _core.HalfRows(HALF[:, :4], False)),
    ("z: expected contiguous", lambda: _core.HalfRows(HALF[0], False)),
    ("z: .* of at least one column", lambda: _core.HalfRows(HALF[:, :0].copy(), False)),
    ("z: .* of at least one column", lambda: _core.HalfRows(HALF[:, :1].copy(), True)),
    (TYPE, lambda: _core.dots(HALF, TENS)),
    (TYPE, lambda: _core.dots(_core.HalfRows.__new__(_core.HalfRows), TENS)),
    ("u: expected .k,.", lambda: _core.dots(_core.HalfRows(HALF, True), TENS)),
    (TYPE, lambda: _core.multiply(_core.HalfRows(HALF, False), EYE, None, np.eye(5, 10), 1)),
    ("z: .* of at least one row", lambda: _core.second_moment(_core.HalfRows(HALF[:0], False))),
    ("b: expected as many rows", lambda: v_optimal(_core.HalfRows(HALF[:2], True))),
    ("out: expected contiguous", lambda: _core.HalfRows(HALF, True).widen(ROWS, 1)),
    ("n_threads: expected 1..1024", lambda: _core.HalfRows(HALF, False).widen(ROWS, 0)),
    # Mean matching
    (TYPE, lambda: exchange(ROWS.astype(int))),
    ("rows: expected rows of b", lambda: exchange(ROWS[:4])),
    ("rows: expected rows of b", lambda: exchange(rows=FIVE - 1)),
    ("first: expected to ascend", lambda: exchange(rows=FIVE[:4])),
    (TYPE, lambda: exchange(first=OFFSETS.astype(np.int32))),
    (TYPE, lambda: exchange(slot=SLOTS.astype(np.int32))),
    (TYPE, lambda: exchange(weight=TWOS.astype(np.float32))),
    (TYPE, lambda: exchange(residual=TENS.astype(np.float32))),
    ("b: expected contiguous", lambda: exchange(ROWS[:, ::2])),
    ("first: expected", lambda: exchange(first=OFFSETS[:0])),
    ("first: expected to ascend from 0 to rows", lambda: exchange(first=OFFSETS - 1)),
    ("first: expected to ascend from 0 to rows", lambda: exchange(first=OFFSETS + 1)),
    ("first: expected to ascend", lambda: exchange(first=np.array([0, 6, 5]))),
    ("first: expected to ascend", lambda: exchange(first=np.array([0, -1, 5]))),
    ("first: expected a vector", lambda: exchange(first=np.array([[0], [2], [5]]))),
    ("first: expected a vector", lambda: exchange(first=np.array([0, 9, 2, 9, 5])[::2])),
    ("first_slot: expected .cells . 1,.", lambda: exchange(first_slot=SLOT_OFFSETS[:2])),
    ("first_slot: expected to ascend", lambda: exchange(first_slot=SLOT_OFFSETS + 1)),
    ("first_slot: expected to ascend", lambda: exchange(first_slot=np.array([0, 3, 2]))),
    ("weight: expected .slots,.", lambda: exchange(weight=np.ones(3))),
    ("weight: expected .slots,.", lambda: exchange(weight=np.ones(4)[::2])),
    ("slot: expected places of the cell", lambda: exchange(slot=np.array([2, 3]))),
    ("slot: expected places of the cell", lambda: exchange(slot=np.array([1, 1]))),
    ("slot: expected places of the cell", lambda: exchange(slot=np.array([1, 5]))),
    ("slot: expected places of the cell", lambda: exchange(slot=np.array([-1, 3]))),
    ("slot: expected a contiguous vector", lambda: exchange(slot=np.array([[1, 3]]))),
    ("slot: expected a contiguous vector", lambda: exchange(slot=np.array([1, 9, 3, 9])[::2])),
    ("residual: expected .k,.", lambda: exchange(residual=np.ones(9))),
    ("residual: expected .k,.", lambda: exchange(residual=np.ones(20)[::2])),
]


@pytest.mark.parametrize(("message", "call"), REFUSED)
def test_what_would_be_unsafe_is_refused(message, call):
    with pytest.raises(TypeError if message == TYPE else (ValueError, TypeError), match=message):
        call()


@pytest.mark.parametrize("sampler", ["greedy", "linear"])
def test_rows_that_are_no_numbers_end_a_selection(sampler):
    assert len(v_optimal(Z * np.float32(np.nan), sampler=sampler).rows) == 0


def test_an_exchange_changes_no_argument():
    b = np.random.default_rng(0).standard_normal((5, 10))
    slot, residual = SLOTS.copy(), b[SLOTS].sum(axis=0) - 10.0
    before = residual.copy()
    held, r, made = exchange(b, slot=slot, residual=residual)
    assert made > 0
    assert np.array_equal(slot, SLOTS)
    assert np.array_equal(residual, before)
    np.testing.assert_allclose(r, before - b[SLOTS].sum(axis=0) + b[held].sum(axis=0))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_exchanges_of_what_is_no_number_stay_in_their_cells(bad):
    b = np.random.default_rng(0).standard_normal((5, 10))
    b[[1, 4], 3] = bad
    for arguments in (
        {"b": b},
        {"weight": TWOS * bad},
        {"weight": -TWOS},
        {"residual": TENS * bad},
    ):
        held, _, _ = exchange(**{"b": ROWS.astype(float), **arguments})
        assert 0 <= held[0] < 2 <= held[1] < 5
    assert np.all(nearest(b)[0] == 0)
    assert centres(b).shape == (2, 10)
    assert unit_sums(b).shape == (2, 10)


def test_cells_without_slots_and_slots_that_share_a_candidate():
    assert exchange(first_slot=np.array([0, 0, 2]), slot=np.array([3, 4]))[0].tolist() == [3, 4]
    empty = exchange(first_slot=OFFSETS * 0, weight=TWOS[:0], slot=SLOTS[:0])
    assert (empty[0].size, empty[2]) == (0, 0)
    held, _, _ = exchange(first_slot=np.array([0, 2, 2]), slot=np.array([1, 1]))
    assert np.all((held >= 0) & (held < 2))


class NotInMemory:
    """Two rows of ten columns whose passes give `result`."""

    shape = (2, 10)

    def __init__(self, result):
        self.given, self.square_dots = [], None
        self.dots = lambda u, n_threads: self.given.append(u) or result
        self.array = lambda rows: np.ones((len(rows), 10))


@pytest.mark.parametrize(
    "result", [np.array([1.0, 5.0])[::-1], np.broadcast_to(1.0, 2), np.ones((2, 5))[:, 0]]
)
def test_what_rows_not_in_memory_return_may_have_any_layout(result):
    c = limits(n_rows=2, counts=[1], include=[])
    z = NotInMemory(result)
    assert _core.herding_pursuit(z, c, TENS, TENS, None, TWOS, 1) == [int(np.argmax(result))]
    z.given[0] += 1  # it owns its memory
    assert np.array_equal(z.given[0], TENS + 1)


def test_rows_not_in_memory_must_return_the_right_sizes():
    for result in (np.ones(3), np.ones(1), np.ones((2, 2))):
        with pytest.raises(ValueError, match="z: expected results of the right sizes"):
            centers(NotInMemory(result))
    for shape in ((-1, 10), (2, 0), (2**40, 2**40)):
        z = NotInMemory(np.ones(2))
        z.shape = shape
        with pytest.raises(ValueError, match="shape: expected rows and columns"):
            centers(z)


def test_probabilities_out_of_range_count_as_the_nearest():
    odd, near = [np.nan, 1e300, -5.0, np.inf, 0.5, 0.5], [0, 1.0, 0, 1.0, 0.5, 0.5]
    for seed in range(20):
        drawn = _core.draw_systematic(np.array(odd), 3, seed)
        assert np.array_equal(drawn, _core.draw_systematic(np.array(near), 3, seed))
    for draw in (_core.draw_systematic, _core.draw_pivotal):
        for pi in (np.full(9, 4.0), np.full(9, -1e300), np.full(9, np.nan)):
            rows = draw(pi, 2, 0)  # how many is open
            assert np.all((rows >= 0) & (rows < 9))


def test_a_row_number_near_the_end_of_the_integers():
    a = np.ones((2, 10), np.float32)
    for embedding in (_core.SparseSign(2**62, 4, 2, 0), _core.Gaussian(2**62, 4, 0)):
        out, again = np.zeros((2, 4), np.float32), np.zeros((2, 4), np.float32)
        embedding.sketch_dense(a, 2**62 - 10, False, 3, out)
        gamma = np.zeros((10, 4), np.float32)
        embedding.rows(2**62 - 10, gamma)
        np.testing.assert_allclose(out, a @ gamma, rtol=1e-5)
        nnz = np.arange(20, dtype=np.int64) % 10
        embedding.sketch_csr(a.ravel(), nnz, np.array([0, 10, 20]), 10, 2**62 - 10, False, 3, again)
        np.testing.assert_allclose(again, a @ gamma, rtol=1e-5)


def use(instance, member):
    """Read a property, or call a method."""
    value = getattr(instance, member)
    return value(0, OUT) if member == "rows" else value()


@pytest.mark.parametrize(
    "name", ["Constraints", "FreeRows", "Strips", "Design", "MomentFit", "SparseSign"]
)
def test_an_object_that_was_never_initialised_is_refused(name):
    kind = getattr(_core, name)
    empty = kind.__new__(kind)
    for member in (m for m in dir(kind) if not m.startswith("_")):
        with pytest.raises((TypeError, RuntimeError), match=r"(?i)incompatible|cast"):
            use(empty, member)
