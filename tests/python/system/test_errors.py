"""Bad input: one row a case. Each raises TypeError or ValueError naming the argument."""

import numpy as np
import pytest
import scipy.sparse as sp

import skmm_fast as skmm

G = np.random.default_rng(0).standard_normal((6, 20)).astype(np.float32)
Z = np.random.default_rng(1).standard_normal((50, 4))
y = np.arange(50) % 3
s = np.full(50, 1 / 50)
S = skmm.SparseSign(20, 8)


def with_nan(a, *where, value=np.nan):
    a = a.copy()
    for i in where:
        a[i] = value
    return a


def csr(indices=(0, 3, 1), indptr=(0, 2, 3), data=(1.0, 2.0, 3.0), dtype=np.float32):
    """A (2, 20) CSR matrix with whatever structure, unchecked."""
    A = sp.csr_array((2, 20), dtype=dtype)
    A.data, A.indices, A.indptr = np.array(data, dtype), np.asarray(indices), np.asarray(indptr)
    return A


def csr_vector():
    vector = sp.csr_array(np.ones(20))
    if vector.ndim == 2:
        pytest.skip("this version of SciPy has no CSR arrays of one dimension")
    return vector


def bfloat16_ones(*shape):
    torch = pytest.importorskip("torch")
    return torch.ones(shape, dtype=torch.bfloat16)


def with_row(A, row):
    """The sparse matrix with a wrong number in the place of a row number."""
    index = A.row if A.format == "coo" else A.indices
    index[3] = row
    return A


def frozen(a):
    a.flags.writeable = False
    return a


CASES = [
    # SparseSign, Gaussian
    ("in_dim 0", lambda: skmm.SparseSign(0, 1), ValueError, "in_dim: expected an int in"),
    ("out_dim 0", lambda: skmm.SparseSign(5, 0), ValueError, "out_dim: .* got 0"),
    ("m > r", lambda: skmm.SparseSign(5, 6), ValueError, "out_dim: expected at most in_dim = 5, got 6"),
    ("m > r, Gaussian", lambda: skmm.Gaussian(5, 6), ValueError, "out_dim: .* got 6"),
    ("ζ > m", lambda: skmm.SparseSign(50, 4, nnz_per_row=8), ValueError, r"nnz_per_row: .*\[1, 4\], got 8"),
    ("ζ = 0", lambda: skmm.SparseSign(50, 4, nnz_per_row=0), ValueError, "nnz_per_row: .* got 0"),
    ("m < 8, GroupedSign", lambda: skmm.GroupedSign(50, 7), ValueError, "out_dim: .* got 7"),
    ("sparse bfloat16", lambda: S.apply(bfloat16_ones(3, 20).to_sparse()), TypeError, "G: expected a dense tensor"),
    ("bfloat16 rows", lambda: skmm.select(Z, 5, include=bfloat16_ones(2)), TypeError, "include: expected a dense tensor of a NumPy type"),
    ("sketch_dim < 8, grouped", lambda: skmm.select(np.ones((20, 50)), 5, sketch="grouped-sign", sketch_dim=7), ValueError, "sketch_dim: .* got 7"),
    ("float dimension", lambda: skmm.Gaussian(5.0, 2), TypeError, "in_dim: expected an int"),
    ("bool dimension", lambda: skmm.Gaussian(5, True), TypeError, "out_dim: .* got the bool True"),
    ("negative seed", lambda: skmm.Gaussian(5, 2, seed=-1), ValueError, "seed: .* got -1"),
    ("seed of 65 bits", lambda: skmm.Gaussian(5, 2, seed=2**64), ValueError, "seed: "),
    ("seed None", lambda: skmm.Gaussian(5, 2, seed=None), TypeError, "seed: .* got None"),
    # apply: dense
    ("1-d G", lambda: S.apply(G[0]), ValueError, r"G: expected 2 dimension.* shape \(20,\)"),
    ("3-d G", lambda: S.apply(G[None]), ValueError, "G: expected 2 dim"),
    ("list", lambda: S.apply([[1.0] * 20]), TypeError, "G: expected an array, got list"),
    ("None", lambda: S.apply(None), TypeError, "G: expected an array, got NoneType"),
    ("int G", lambda: S.apply(np.ones((2, 20), int)), TypeError, "G: expected float16 or float32 or float64, got int64"),
    ("bool G", lambda: S.apply(np.ones((2, 20), bool)), TypeError, "G: .* got bool"),
    ("uint16 G", lambda: S.apply(G.astype(np.uint16)), TypeError, "G: .* got uint16"),
    ("float16 out", lambda: S.apply(G.astype(np.float16), out=np.empty((len(G), S.out_dim), np.float16)), TypeError, "out: expected float32 or float64, got float16"),
    ("complex G", lambda: S.apply(G.astype(complex)), TypeError, "G: .* got complex128"),
    ("object G", lambda: S.apply(G.astype(object)), TypeError, "G: .* got object"),
    ("other byte order", lambda: S.apply(G.astype(">f4")), TypeError, "G: .* got >f4"),
    ("no rows", lambda: S.apply(G[:0]), ValueError, r"G: expected at least one row.* \(0, 20\)"),
    ("no columns", lambda: S.apply(G[:, :0]), ValueError, "G: expected at least one row and one column"),
    ("too few columns", lambda: S.apply(G[:, :19].copy()), ValueError, "G: expected 20 columns, got shape"),
    ("too few columns into out", lambda: S.apply(G[:, :19].copy(), out=np.zeros((6, 8), np.float32)), ValueError, "G: expected 20 columns, got shape"),
    ("too many columns", lambda: S.apply(np.hstack([G, G])), ValueError, "G: expected 20 columns"),
    ("columns apart", lambda: S.apply(np.hstack([G, G])[:, ::2]), ValueError, "G: .*contiguous elements"),
    ("Fortran order", lambda: S.apply(np.asfortranarray(G)), ValueError, "G: .*ascontiguousarray"),
    ("columns backwards", lambda: S.apply(G[:, ::-1]), ValueError, "G: .*contiguous"),
    ("NaN", lambda: S.apply(with_nan(G, (4, 2), (2, 0), (2, 5))), ValueError, "G: .* in 2 of 6 rows, first in row 2"),
    ("Inf", lambda: S.apply(with_nan(G, (5, 19), value=-np.inf)), ValueError, "G: .* in 1 of 6 rows, first in row 5"),
    ("overflow", lambda: skmm.SparseSign(20, 2, nnz_per_row=1).apply(np.full((3, 20), 3e38, np.float32)), ValueError, "G: .*overflow"),
    ("threads 0", lambda: S.apply(G, n_threads=0), ValueError, "n_threads: .* got 0"),
    ("threads 1.5", lambda: S.apply(G, n_threads=1.5), TypeError, "n_threads: .* got 1.5"),
    ("offset beyond", lambda: S.apply(G, col_offset=1), ValueError, "G: expected at most 19 columns"),
    ("negative offset", lambda: S.apply(G, col_offset=-1), ValueError, "col_offset: .* got -1"),
    ("out of wrong shape", lambda: S.apply(G, out=np.zeros((6, 9), np.float32)), ValueError, r"out: expected shape \(6, 8\)"),
    ("out of wrong dtype", lambda: S.apply(G, out=np.zeros((6, 8))), ValueError, "out: .* of float32, got .*float64"),
    ("read-only out", lambda: S.apply(G, out=frozen(np.zeros((6, 8), np.float32))), ValueError, "out: .*writeable"),
    ("out apart", lambda: S.apply(G, out=np.zeros((12, 8), np.float32)[::2]), ValueError, "out: .*C-contiguous"),
    ("out is G", lambda: skmm.SparseSign(8, 8).apply(H := np.ones((4, 8)), out=H), ValueError, "out: expected memory apart from that of G"),
    ("NaN in out", lambda: S.apply(G, out=np.full((6, 8), np.nan, np.float32), accumulate=True), ValueError, "out: .* in 6 of 6 rows"),
    ("accumulate a string", lambda: S.apply(G, out=np.zeros((6, 8), np.float32), accumulate="no"), TypeError, "accumulate: .* got 'no'"),
    ("nothing to accumulate in", lambda: S.apply(G, accumulate=True), ValueError, "out: .* got None"),
    ("toarray beyond", lambda: S.toarray(0, 21), ValueError, "stop: .* got 21"),
    ("toarray backwards", lambda: S.toarray(5, 3), ValueError, "start: .* got 5"),
    # apply: CSR
    ("CSC", lambda: S.apply(csr().tocsc()), TypeError, "G: expected CSR, got csc"),
    ("CSR of ints", lambda: S.apply(csr(dtype=np.int64)), TypeError, "G: .* got int64"),
    ("negative column", lambda: S.apply(csr(indices=(0, -3, 1))), ValueError, "G: expected column indices .* got -3"),
    ("column too large", lambda: S.apply(csr(indices=(0, 20, 1))), ValueError, "G: expected column indices .* to 20"),
    ("indptr falls", lambda: S.apply(csr(indptr=(0, 4, 3))), ValueError, "G: expected indptr to rise"),
    ("indptr past the end", lambda: S.apply(csr(indptr=(0, 2, 9))), ValueError, "G: expected indptr to rise"),
    ("indptr from 1", lambda: S.apply(csr(indptr=(1, 2, 3))), ValueError, "G: expected indptr to rise from 0"),
    ("indptr too short", lambda: S.apply(csr(indptr=(0, 3))), ValueError, "G: .* 3 indptr entries, got 3, 3 and 2"),
    ("too few values", lambda: S.apply(csr(data=(1.0, 2.0))), ValueError, "G: expected as many values as indices"),
    ("1-d CSR", lambda: S.apply(csr_vector()), ValueError, "G: expected 2 dimensions"),
    ("CSR of uint32 indices", lambda: S.apply(csr(indices=np.array([0, 3, 1], np.uint32))), TypeError, "G: expected indices of int32 or int64, got uint32"),
    ("CSR of float indptr", lambda: S.apply(csr(indptr=np.array([0, 2.0, 3]))), TypeError, "G: expected indptr of int32 or int64, got float64"),
    ("CSR of strided indices", lambda: S.apply(csr(indices=np.arange(6)[::2])), ValueError, "G: expected indices to be a contiguous, aligned vector"),
    ("NaN in CSR", lambda: S.apply(csr(data=(1, 2, np.nan))), ValueError, "G: .* in 1 of 2 rows, first in row 1"),
    ("CSR of wrong width", lambda: skmm.SparseSign(30, 8).apply(csr()), ValueError, "G: expected 30 columns"),
    # moments
    ("1-d Z", lambda: skmm.moments(Z[0]), ValueError, "Z: expected 2 dim"),
    ("empty Z", lambda: skmm.moments(Z[:0]), ValueError, "Z: expected at least one row"),
    ("zero Z", lambda: skmm.moments(0 * Z), ValueError, "Z: expected a nonzero entry"),
    ("squares overflow", lambda: skmm.moments(Z * 1e200), ValueError, "Z: expected rows of norm 1e-75 to 1e75, got inf"),
    ("squares underflow", lambda: skmm.moments(Z * 1e-161), ValueError, "Z: expected rows of norm 1e-75 to 1e75, got "),
    ("a mask", lambda: skmm.moments(np.ma.masked_array(Z)), TypeError, "Z: expected an array, got MaskedArray"),
    ("Z apart", lambda: skmm.moments(Z[::2]), ValueError, "Z: expected a C-contiguous array"),
    ("NaN in Z", lambda: skmm.moments(with_nan(Z, 7, 9)), ValueError, "Z: .* in 2 of 50 rows, first in row 7"),
    # match_moments
    ("n 0", lambda: skmm.match_moments(Z, 0), ValueError, "n: .* got 0"),
    ("n negative", lambda: skmm.match_moments(Z, -3), ValueError, "n: .* got -3"),
    ("n > N", lambda: skmm.match_moments(Z, 51), ValueError, r"n: expected an int in \[1, 50\], got 51"),
    ("n True", lambda: skmm.match_moments(Z, True), TypeError, "n: .* got the bool True"),
    ("share 1.0", lambda: skmm.match_moments(Z, 1.0), ValueError, r"n: .*\(0, 1\).* got 1.0"),
    ("share 0.0", lambda: skmm.match_moments(Z, 0.0), ValueError, "n: .* got 0.0"),
    ("share NaN", lambda: skmm.match_moments(Z, np.nan), ValueError, "n: .* got nan"),
    ("n a string", lambda: skmm.match_moments(Z, "5"), TypeError, "n: .* got '5'"),
    ("n None", lambda: skmm.match_moments(Z, None), TypeError, "n: .* got None"),
    ("c_s < n/N", lambda: skmm.match_moments(Z, 10, c_s=0.1), ValueError, "c_s: expected at least n/N = 0.2, got 0.1"),
    ("c_s NaN", lambda: skmm.match_moments(Z, 10, c_s=np.nan), ValueError, "c_s: .* got nan"),
    ("c_s negative", lambda: skmm.match_moments(Z, 10, c_s=-1), ValueError, "c_s: .* got -1"),
    ("c_s a string", lambda: skmm.match_moments(Z, 10, c_s="1"), TypeError, "c_s: expected a number"),
    ("c_s beyond floats", lambda: skmm.match_moments(Z, 10, c_s=10**400), ValueError, "c_s: .* got inf"),
    ("init before c_s", lambda: skmm.match_moments(Z, 10, c_s=1.5, init="nonsense"), ValueError, "init: .* got 'nonsense'"),
    ("weighting", lambda: skmm.match_moments(Z, 10, c_s=0.9, weighting="none"), ValueError, "weighting: .*'paper', 'relative', got 'none'"),
    ("tol 0", lambda: skmm.match_moments(Z, 10, tol=0), ValueError, "tol: .* got 0"),
    ("max_iter -1", lambda: skmm.match_moments(Z, 10, max_iter=-1), ValueError, "max_iter: .* got -1"),
    ("init name", lambda: skmm.match_moments(Z, 10, init="best"), ValueError, "init: .* got 'best'"),
    ("init length", lambda: skmm.match_moments(Z, 10, init=s[:9]), ValueError, r"init: expected shape \(50,\)"),
    ("init sum", lambda: skmm.match_moments(Z, 10, init=s / 2), ValueError, "init: .*sum to 1, got sum 0.5"),
    ("init against exclude", lambda: skmm.match_moments(Z, 10, init=s, exclude=[1]), ValueError, "init: .*exclude"),
    # draw
    ("s sum", lambda: skmm.draw(s * 1.01, 5), ValueError, "s: expected entries that sum to 1, got sum 1.01"),
    ("s negative", lambda: skmm.draw(s + 0.01 * np.eye(50)[0] - 0.03 * np.eye(50)[1] + 0.02 * np.eye(50)[2], 5), ValueError, "s: .*in row 1"),
    ("s over the cap", lambda: skmm.draw(np.eye(50)[3], 2), ValueError, "s: expected entries in .* in row 3"),
    ("s NaN", lambda: skmm.draw(with_nan(s, 4), 5), ValueError, "s: .* in 1 of 50 rows, first in row 4"),
    ("s ±Inf", lambda: skmm.draw(with_nan(with_nan(s, 4, value=np.inf), 7, value=-np.inf), 5), ValueError, "s: .* in 2 of 50 rows, first in row 4"),
    ("s beyond floats", lambda: skmm.draw(np.full(50, 1e308), 5), ValueError, "s: expected entries that sum to 1, got sum inf"),
    ("s 2-d", lambda: skmm.draw(Z, 5), ValueError, "s: expected 1 dim"),
    ("s of ints", lambda: skmm.draw(np.eye(50, dtype=int)[0], 1), TypeError, "s: .* got int64"),
    ("s empty", lambda: skmm.draw(s[:0], 1), ValueError, "s: expected at least one"),
    ("draw n > N", lambda: skmm.draw(s, 51), ValueError, "n: .* got 51"),
    ("draw a share", lambda: skmm.draw(s, 0.1), TypeError, "n: expected an int"),
    ("s sums to a row less", lambda: skmm.draw(np.where(np.arange(2_000_005) < 1_999_999, 1 / 2_000_000, 0), 2_000_000, method="systematic"), ValueError, "s: expected entries that sum to 1"),
    ("order of length 49", lambda: skmm.draw(s, 5, order=np.arange(49)), ValueError, r"order: expected shape \(50,\), got \(49,\)"),
    ("order 2-d", lambda: skmm.draw(s, 5, order=np.arange(50)[None]), ValueError, "order: expected 1 dim"),
    ("order of int32", lambda: skmm.draw(s, 5, order=np.arange(50, dtype=np.int32)), TypeError, "order: expected int64, got int32"),
    ("order, a list", lambda: skmm.draw(s, 5, order=list(range(50))), TypeError, "order: expected an array, got list"),
    ("order not contiguous", lambda: skmm.draw(s, 5, order=np.arange(50)[::-1]), ValueError, "order: .*np.ascontiguousarray"),
    ("order beyond N", lambda: skmm.draw(s, 5, order=np.arange(1, 51)), ValueError, r"order: expected rows in \[0, 49\], got 50"),
    ("order below 0", lambda: skmm.draw(s, 5, order=np.arange(-1, 49)), ValueError, r"order: expected rows in \[0, 49\], got -1"),
    ("order with a row twice", lambda: skmm.draw(s, 5, order=np.maximum(np.arange(50), 3)), ValueError, "order: expected each row once, got 3 of 50 rows not at all, first row 0"),
    ("order of the top", lambda: skmm.draw(s, 5, method="top", order=np.arange(50)), ValueError, "order: expected None with method 'top'"),
    ("draw method", lambda: skmm.draw(s, 5, method="random"), ValueError, "method: .* got 'random'"),
    # v_optimal
    ("sampler", lambda: skmm.v_optimal(Z, 5, sampler="best"), ValueError, "sampler: .*'greedy', 'linear', 'exp', got 'best'"),
    ("block 0", lambda: skmm.v_optimal(Z, 5, block=0), ValueError, "block: .* got 0"),
    ("temperature 0", lambda: skmm.v_optimal(Z, 5, sampler="exp", temperature=0), ValueError, "temperature: .* got 0"),
    ("v_optimal n", lambda: skmm.v_optimal(Z, 51), ValueError, "n: .* got 51"),
    ("v_optimal zero", lambda: skmm.v_optimal(0 * Z, 5), ValueError, "Z: expected a nonzero"),
    # include, exclude
    ("include beyond", lambda: skmm.select(Z, 5, include=[50]), ValueError, r"include: expected rows in \[0, 49\], got 50"),
    ("include negative", lambda: skmm.select(Z, 5, include=[-1]), ValueError, "include: .* got -1"),
    ("include twice", lambda: skmm.select(Z, 5, include=[3, 1, 3]), ValueError, "include: expected distinct rows, got row 3"),
    ("include floats", lambda: skmm.select(Z, 5, include=[1.0]), TypeError, "include: .* got float64"),
    ("include a mask", lambda: skmm.select(Z, 5, include=np.ones(50, bool)), TypeError, "include: .* got bool"),
    ("include ragged", lambda: skmm.select(Z, 5, include=[[1], [2, 3]]), ValueError, "include: expected a vector"),
    ("include 2-d", lambda: skmm.select(Z, 5, include=[[1]]), ValueError, "include: expected 1 dim"),
    ("include too many", lambda: skmm.select(Z, 5, include=range(6)), ValueError, "include: expected at most n = 5 rows, got 6"),
    ("exclude beyond", lambda: skmm.select(Z, 5, exclude=[99]), ValueError, "exclude: .* got 99"),
    ("exclude twice", lambda: skmm.select(Z, 5, exclude=[2, 2]), ValueError, "exclude: expected distinct"),
    ("overlap", lambda: skmm.select(Z, 5, include=[1, 2], exclude=[2]), ValueError, "exclude: .*row 2 in both"),
    ("exclude too many", lambda: skmm.select(Z, 5, exclude=range(46)), ValueError, "exclude: expected to leave n = 5"),
    # select
    ("method", lambda: skmm.select(Z, 5, method="best"), ValueError, "method: .*'v-optimal', 'moment-matching', 'uniform', .*got 'best'"),
    ("option", lambda: skmm.select(Z, 5, c_s=0.5), TypeError, "c_s: expected an option of method 'auto'"),
    ("draw of moments", lambda: skmm.select(Z, 6, method="moment-matching", draw="best"), ValueError, "draw: .* got 'best'"),
    ("sketch", lambda: skmm.select(Z, 5, sketch="dense"), ValueError, "sketch: .* got 'dense'"),
    ("sketch_dim 0", lambda: skmm.select(Z, 5, sketch_dim=0), ValueError, "sketch_dim: .* got 0"),
    ("random_state", lambda: skmm.select(Z, 5, random_state=0), TypeError, r"random_state: expected an option .*; did you mean 'seed'\?"),
    ("n_jobs", lambda: skmm.select(Z, 5, n_jobs=2), TypeError, r"n_jobs: .* did you mean 'n_threads'\?"),
    ("a letter less", lambda: skmm.select(Z, 5, per_clas="sqrt"), TypeError, r"per_clas: .* did you mean 'per_class'\?"),
    ("nothing near", lambda: skmm.select(Z, 5, qwerty=2), TypeError, r"qwerty: expected an option of method 'auto' \([^)]*\)$"),
    ("select a list of strings", lambda: skmm.select([["a", "b"]] * 9, 5), TypeError, "X: expected rows of numbers, got a list of <U1"),
    ("select a ragged list", lambda: skmm.select([[1.0], [1.0, 2.0]], 1), ValueError, "X: expected rows of one length"),
    ("select a string", lambda: skmm.select("X.npy", 5), TypeError, "X: expected an array, got str"),
    ("select complex", lambda: skmm.select(Z.astype(complex), 5), TypeError, "X: expected float16 or .* got complex128"),
    ("select objects", lambda: skmm.select(Z.astype(object), 5), TypeError, "X: expected float16 or .* got object"),
    ("select COO of another shape", lambda: skmm.select(with_row(sp.coo_array(Z), 50), 5), ValueError, r"X: expected indices in \[0, 49\] along axis 0, got 0 to 50"),
    ("select CSC of another shape", lambda: skmm.select(with_row(sp.csc_array(Z), 50), 5), ValueError, "X: expected a sound CSC matrix, got one with .*"),
    ("select NaN", lambda: skmm.select(with_nan(Z, 3), 5), ValueError, "X: .* in 1 of 50 rows, first in row 3"),
    ("select NaN, sketched", lambda: skmm.select(with_nan(Z, 3), 5, sketch_dim=2), ValueError, "X: .* in 1 of 50 rows, first in row 3"),
    ("select zeros", lambda: skmm.select(0 * Z, 5), ValueError, "X: expected a nonzero entry"),
    ("refine a string", lambda: skmm.select(Z, 5, method="v-optimal", refine="no"), TypeError, "refine: .* got 'no'"),
    ("select share", lambda: skmm.select(Z, 1.5), ValueError, "n: .* got 1.5"),
    ("select seed", lambda: skmm.select(Z, 5, seed=1.0), TypeError, "seed: "),
    ("per_class without y", lambda: skmm.select(Z, 5, per_class="balanced"), ValueError, "y: .* got None"),
    ("y of wrong length", lambda: skmm.select(Z, 5, y=y[:9], per_class="balanced"), ValueError, r"y: expected shape \(50,\)"),
    ("y with NaN", lambda: skmm.select(Z, 5, y=with_nan(y.astype(float), 8), per_class="balanced"), ValueError, "y: .*row 8"),
    ("per_class name", lambda: skmm.select(Z, 5, y=y, per_class="equal"), ValueError, "per_class: .* got 'equal'"),
    ("fewer rows than classes", lambda: skmm.select(Z, 2, y=y, per_class="balanced"), ValueError, "n: .*3 classes, got 2"),
    ("counts do not sum to n", lambda: skmm.select(Z, 5, y=y, per_class={0: 1, 1: 1, 2: 1}), ValueError, "per_class: .* n = 5, got 3"),
    ("unknown class", lambda: skmm.select(Z, 5, y=y, per_class={7: 5}), ValueError, "per_class: .* got 7"),
    ("short class", lambda: skmm.select(Z, 20, y=y, per_class={0: 18, 1: 2}), ValueError, "per_class: .* rows of class .*0.*, got a count of 18"),
    ("class excluded", lambda: skmm.select(Z, 6, y=y, per_class={0: 2, 1: 2, 2: 2}, exclude=np.flatnonzero(y == 1)), ValueError, "per_class: .* class .*1"),
    ("y of mixed types", lambda: skmm.select(Z, 6, y=np.array(["a", 1] * 25, object), per_class="balanced"), TypeError, "y: expected labels that can be sorted"),
    # diagnose, Selection
    ("no indices", lambda: skmm.diagnose(Z, []), ValueError, "indices: expected at least one row"),
    ("indices twice", lambda: skmm.diagnose(Z, [1, 1]), ValueError, "indices: expected distinct rows, got row 1"),
    ("indices beyond", lambda: skmm.diagnose(Z, [50]), ValueError, "indices: .* got 50"),
    ("n_random", lambda: skmm.diagnose(Z, [1], n_random=-1), ValueError, "n_random: .* got -1"),
    ("subset of another dataset", lambda: skmm.select(Z, 5).subset(range(49)), ValueError, "dataset: expected 50 samples, got 49"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "error", "message"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
@pytest.mark.filterwarnings("ignore:n = .* < rank")
def test_bad_input(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call()


# Unusual input that has a right answer.


def test_read_only_and_rows_apart_are_fine():
    read_only = frozen(G.copy())
    assert np.array_equal(S.apply(read_only), S.apply(G))
    wide = np.hstack([G, G])
    assert np.array_equal(S.apply(wide[:, :20]), S.apply(G))
    assert np.array_equal(S.apply(G[::-2]), S.apply(G[::-2].copy()))
    assert np.array_equal(S.apply(np.broadcast_to(G[0], (4, 20))), S.apply(np.tile(G[0], (4, 1))))
    frozen_Z = frozen(Z.copy())
    assert np.array_equal(skmm.select(frozen_Z, 9).indices, skmm.select(Z, 9).indices)
    skmm.select(frozen_Z, 9, method="moment-matching")


def test_unsorted_and_duplicate_csr_entries_are_sorted_and_summed():
    for family in (skmm.SparseSign(20, 8), skmm.GroupedSign(20, 8), skmm.Gaussian(20, 8)):
        A = csr(indices=(5, 2, 5, 0), indptr=(0, 3, 4), data=(1.0, 2.0, 3.0, 4.0))
        kept = A.indices.copy(), A.data.copy()
        dense = np.zeros((2, 20), np.float32)
        dense[0, 5], dense[0, 2], dense[1, 0] = 4, 2, 4
        np.testing.assert_allclose(family.apply(A), dense @ family.toarray(), rtol=1e-6, atol=1e-6)
        assert np.array_equal(A.indices, kept[0])
        assert np.array_equal(A.data, kept[1])


def test_empty_csr_rows_and_csr_matrix():
    empty = sp.csr_matrix((3, 20), dtype=np.float64)
    for family in (skmm.SparseSign(20, 8), skmm.GroupedSign(20, 8), skmm.Gaussian(20, 8)):
        assert np.array_equal(family.apply(empty), np.zeros((3, 8)))


@pytest.mark.parametrize("scale", [1e30, 1e-30])
@pytest.mark.parametrize("method", ["v-optimal", "moment-matching"])
def test_huge_and_tiny(scale, method):
    X = (np.random.default_rng(2).standard_normal((100, 6)) * scale).astype(np.float32)
    selection = skmm.select(X, 20, method=method)
    assert len(selection.indices) == 20
    assert np.isfinite(selection.diagnosis.v_optimality)


@pytest.mark.parametrize(
    "X",
    [
        np.ones((30, 5)),  # constant
        np.vstack([np.zeros((28, 5)), np.eye(5)[:2]]),  # mostly zero rows, rank 2
        np.repeat(Z[:6], 5, axis=0),  # duplicates
        Z[:3],  # N < m
        np.outer(np.arange(1, 31.0), np.ones(5)),  # rank 1
    ],
    ids=["constant", "zeros", "duplicates", "N < m", "rank 1"],
)
@pytest.mark.parametrize("method", ["v-optimal", "moment-matching"])
@pytest.mark.filterwarnings("ignore:n = .* < rank")
def test_degenerate(X, method):
    for n in (1, len(X) // 2, len(X)):
        selection = skmm.select(X, n, method=method)
        assert len(np.unique(selection.indices)) == n


def test_numpy_integers_and_shares():
    assert len(skmm.select(Z, np.int32(7)).indices) == 7
    assert len(skmm.select(Z, np.float32(0.1)).indices) == 5
    assert len(skmm.select(Z, 0.001).indices) == 1
