"""Cells: a partition into alike directions, the same however rows are scaled, stored or summed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skmm_fast as skmm
from skmm_fast.methods.spherical_cells import cells_of
from skmm_fast.pool.host_rows import HostRowMatrix


def partition(number):
    """The sets of rows that have one number."""
    return {frozenset(np.flatnonzero(number == c).tolist()) for c in np.unique(number)}


def clusters(sizes, m=None, noise=0.02, seed=0, dtype=np.float64):
    """Rows around orthogonal directions, mixed, and the cluster of each."""
    rng = np.random.default_rng(seed)
    m = m or len(sizes) + 2
    of = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    Q = np.linalg.qr(rng.standard_normal((m, m)))[0]
    Z = Q[of] + noise * rng.standard_normal((len(of), m)) / np.sqrt(m)
    return Z.astype(dtype), of


def scattered(N, m, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal((N, m)).astype(dtype)


@settings(max_examples=80)
@given(
    st.integers(0, 2**32),
    st.integers(1, 120),
    st.integers(1, 6),
    st.sampled_from(["spread", "copies", "zeros", "line"]),
    st.sampled_from([np.float32, np.float64]),
    st.booleans(),
    st.data(),
)
def test_a_partition_numbered_without_gaps(seed, N, m, kind, dtype, labelled, data):
    rng = np.random.default_rng(seed)
    Z = rng.standard_t(2, size=(N, m)).astype(dtype)
    if kind == "copies":
        Z = Z[rng.integers(0, max(1, N // 5), N)]
    if kind == "zeros":
        Z[rng.random(N) < 0.5] = 0
    if kind == "line":
        Z[:, 1:] = 0
    n = data.draw(st.integers(1, N))
    y = rng.integers(0, 4, N) if labelled else None
    number = skmm.cells(Z, n, y=y, seed=seed)
    assert number.shape == (N,)
    assert number.dtype == np.int64
    made = len(np.unique(number))
    assert np.array_equal(np.unique(number), np.arange(made))
    n_classes = len(np.unique(y)) if labelled else 1
    wanted = max(n, n_classes)
    assert made <= wanted + wanted // 10
    if labelled:
        assert all(len(set(y[list(rows)])) == 1 for rows in partition(number))
        assert made >= n_classes


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [[40, 40, 40], [300, 5, 30, 90], [1, 200], [9] * 30])
def test_clusters_are_found(sizes, dtype):
    for seed in range(4):
        Z, of = clusters(sizes, seed=seed, dtype=dtype)
        lengths = np.exp(np.random.default_rng(seed).uniform(-12, 12, (len(Z), 1)))
        for scaled in (Z, (Z * lengths).astype(dtype)):
            assert partition(skmm.cells(scaled, len(sizes), seed=seed)) == partition(of)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_powers_of_two_as_lengths_change_no_bit(dtype):
    """Scaling by them is exact, so that the same cells come even where none stand apart."""
    Z = scattered(700, 5, dtype=dtype)
    lengths = 2.0 ** np.random.default_rng(1).integers(-30, 30, (700, 1))
    for n in (6, 100):
        scaled = skmm.cells((Z * lengths).astype(dtype), n, seed=3)
        assert np.array_equal(scaled, skmm.cells(Z, n, seed=3))


@pytest.mark.parametrize("n", [5, 150])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_do_not_matter(n, dtype):
    Z, y = scattered(3000, 7, dtype=dtype), np.arange(3000) % 3
    for labels in (None, y):
        one, *others = (skmm.cells(Z, n, y=labels, seed=5, n_threads=k) for k in (1, 2, 4))
        for other in others:
            assert np.array_equal(one, other)


def test_copies_in_other_types_and_places(tmp_path):
    torch = pytest.importorskip("torch")
    Z, of = clusters([50, 80, 20, 50], dtype=np.float32)
    number = skmm.cells(Z, 4)
    np.save(tmp_path / "z.npy", Z)
    for same in (torch.from_numpy(Z), np.load(tmp_path / "z.npy", mmap_mode="r")):
        assert np.array_equal(skmm.cells(same, 4), number)
    assert partition(skmm.cells(Z.astype(np.float64), 4)) == partition(number) == partition(of)


def test_the_seed_decides():
    Z = scattered(300, 4)
    number = skmm.cells(Z, 10, seed=8)
    assert np.array_equal(number, skmm.cells(Z, 10, seed=8))
    assert partition(number) != partition(skmm.cells(Z, 10, seed=9))


@pytest.mark.parametrize("y", [["ant", "bee"], [False, True], [-3, 7], [0.0, 2.0]])
def test_classes_have_cells_of_their_own(y):
    Z, of = clusters([60, 60, 60])
    labels = np.array(y)[np.random.default_rng(2).integers(0, 2, 180)]
    found = partition(skmm.cells(Z, 6, y=labels))
    # Each cluster falls into two classes, so that six cells are both.
    classes = np.unique(labels, return_inverse=True)[1]
    assert found == partition(2 * of + classes)


def test_a_class_of_one_row_has_a_cell():
    y = np.append(np.zeros(99, int), 1)
    number = skmm.cells(scattered(100, 3), 5, y=y)
    assert (number == number[99]).sum() == 1
    assert len(np.unique(skmm.cells(scattered(100, 3), 1, y=np.arange(100)))) == 100


@pytest.mark.parametrize(("n", "cut_at_most"), [(20, 0), (60, 3)])
def test_tiny_clusters_among_big_ones_have_cells(n, cut_at_most):
    """Clusters of six rows, which a sample of the pool mostly misses, beside six of 1000. None of
    30 shares its cells with others; few are cut, and only where cells are many."""
    cut = 0
    for seed in range(15):
        sizes = [1000] * 6 + [6] * 2
        Z, of = clusters(sizes, noise=0.3, seed=seed, dtype=np.float32)
        number = skmm.cells(Z, n, seed=seed)
        for tiny in (6, 7):
            mine = set(number[of == tiny])
            cut += len(mine) > 1
            assert np.isin(number, list(mine)).sum() == 6, "a tiny cluster shares its cells"
    assert cut <= cut_at_most


def test_rows_of_cells_are_alike():
    """Beside cells of as many random rows, the mean cosine to the centre of the cell is large."""
    Z = scattered(2000, 4)
    U = Z / np.linalg.norm(Z, axis=1, keepdims=True)

    def tightness(number):
        sums = np.array([U[number == c].sum(axis=0) for c in range(number.max() + 1)])
        return np.linalg.norm(sums, axis=1).sum() / len(U)

    number = skmm.cells(Z, 60)
    # On a sphere of dimension 3, 60 caps of equal size have a mean cosine of about 0.93.
    assert tightness(number) > 0.85
    assert tightness(np.random.default_rng(0).permutation(number)) < 0.3


def test_more_cells_than_branches():
    """A tree of two levels: its cells have alike sizes, and clusters are found exactly."""
    number = skmm.cells(scattered(4000, 6), 200)
    sizes = np.bincount(number)
    assert 190 <= len(sizes) <= 220
    assert sizes.max() < 10 * sizes.mean()
    Z, of = clusters([25] * 60, m=64, seed=1)
    number = skmm.cells(Z, 60)
    assert len(np.unique(number)) >= 50
    assert sum(len(set(number[of == c])) == 1 for c in range(60)) >= 50


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_rows_of_zeros_do_not_hide_clusters(share):
    """They have no direction: they may be in any cell, but cost the others none."""
    for seed in range(3):
        Z, of = clusters([50, 50, 50, 50], seed=seed)
        N = round(200 / (1 - share))
        rows = np.sort(np.random.default_rng(seed).permutation(N)[:200])
        with_zeros = np.zeros((N, Z.shape[1]))
        with_zeros[rows] = Z
        assert partition(skmm.cells(with_zeros, 4, seed=seed)[rows]) == partition(of)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_that_cannot_be_told_apart_are_one_cell(dtype):
    row = np.array([[0.3, -1.7, 0.11]], dtype)
    for lengths in (np.ones((50, 1)), 2.0 ** np.arange(-25, 25)[:, None]):
        for n in (1, 7, 50):
            assert not skmm.cells((row * lengths).astype(dtype), n).any()
    assert not skmm.cells(np.zeros((50, 3), dtype), 7).any()


def test_one_cell_one_row_and_as_many_cells_as_rows():
    Z = scattered(40, 3)
    assert not skmm.cells(Z, 1).any()
    assert skmm.cells(Z[:1], 1).tolist() == [0]
    number = skmm.cells(Z, 40)
    assert 20 < len(np.unique(number)) <= 40


def test_opposite_rows_are_not_alike():
    Z = np.repeat([[1.0, 2.0], [-1.0, -2.0]], 20, axis=0)
    assert len(set(skmm.cells(Z, 2)[:20])) == 1
    assert len(np.unique(skmm.cells(Z, 2))) == 2


def test_coherent_cells():
    """Of a tight cluster, of a cloud around the origin, and of a lone row."""
    rng = np.random.default_rng(0)
    tight = np.array([1.0] + [0.0] * 19) + 0.05 * rng.standard_normal((30, 20))
    cloud = rng.standard_normal((100, 20))
    for Z, coherent in ((tight, True), (cloud, False), (tight[:1], False)):
        rows = np.arange(len(Z))
        squares = np.square(Z).sum(axis=1)
        (found,) = cells_of(HostRowMatrix(Z), squares, [rows], [1], [0], [0], 1)
        assert found.rows.tolist() == rows.tolist()
        assert found.coherent.tolist() == [coherent]


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.integers(2, 80), st.integers(1, 12), st.data())
def test_cells_of_some_rows(seed, N, count, data):
    """Only these rows are in the cells, each once; the counts sum to n and fit."""
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((N, 3)) * (rng.random((N, 1)) < 0.9)
    rows = np.sort(rng.permutation(N)[: rng.integers(1, N + 1)])
    more = data.draw(st.integers(0, 3))
    (found,) = cells_of(
        HostRowMatrix(Z), np.square(Z).sum(axis=1), [rows], [count], [more], [seed], 1
    )
    assert sorted(found.rows) == rows.tolist()
    assert found.sizes.min() > 0
    assert len(found.sizes) <= count + more
    for a, b in zip(found.first[:-1], found.first[1:], strict=True):
        assert np.all(np.diff(found.rows[a:b]) > 0)
    n = data.draw(st.integers(min(len(rows), int(found.coherent.sum())), len(rows)))
    counts = found.counts(n)
    assert sum(counts) == n
    assert np.all(np.array(counts) <= found.sizes)
    assert np.all(np.array(counts)[found.coherent] >= 1)


ERRORS = [
    ({"Z": [[1.0]]}, TypeError, "Z: expected an array, got list"),
    ({"Z": np.ones(9)}, ValueError, "Z: expected 2 dimension"),
    ({"Z": np.ones((9, 2), int)}, TypeError, "Z: expected float32 or float64, got int64"),
    ({"Z": np.ones((9, 4))[:, ::2]}, ValueError, "Z: "),
    ({"Z": np.full((9, 2), np.nan)}, ValueError, "Z: expected finite values"),
    ({"Z": np.diag([1.0, np.inf, 2.0])}, ValueError, "Z: .* in 1 of 3 rows, first in row 1"),
    ({"Z": np.full((9, 2), 1e100)}, ValueError, "Z: expected rows of norm up to 1e75, got 1.41e"),
    ({"n": 0}, ValueError, "n: .* got 0"),
    ({"n": 10}, ValueError, "n: .* got 10"),
    ({"n": 2.0}, TypeError, "n: .* got 2.0"),
    ({"n": True}, TypeError, "n: .* got the bool True"),
    ({"y": np.arange(8)}, ValueError, "y: expected shape"),
    ({"y": np.full(9, np.nan)}, ValueError, "y: expected labels, got NaN"),
    ({"y": np.array([1, "a", 2] * 3, object)}, TypeError, "y: expected labels that can be"),
    ({"seed": -1}, ValueError, "seed: "),
    ({"n_threads": 0}, ValueError, "n_threads: "),
]


@pytest.mark.parametrize(("change", "error", "message"), ERRORS)
def test_errors_name_the_argument(change, error, message):
    arguments = {"Z": scattered(9, 2), "n": 3, **change}
    Z, n = arguments.pop("Z"), arguments.pop("n")
    with pytest.raises(error, match=f"^{message}"):
        skmm.cells(Z, min(n, 3) if change.keys() == {"Z"} else n, **arguments)
