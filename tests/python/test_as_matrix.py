"""What a person has is selected from as the array that it stands for."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import skmm_fast as skmm

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 6)).astype(np.float32)
COUNTS = RNG.integers(0, 9, (60, 6))
EXPECTED = {
    "X": skmm.select(X, 12).indices,
    "COUNTS": skmm.select(COUNTS.astype(float), 12).indices,
}
NAMES = list("abcdef")


def same(rows, of="X"):
    before = rows.copy() if hasattr(rows, "copy") else None
    assert np.array_equal(skmm.select(rows, 12).indices, EXPECTED[of])
    if isinstance(rows, np.ndarray):
        assert np.array_equal(rows, before)


@pytest.mark.parametrize(
    "rows",
    [
        np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2], X[:, ::-1].copy()[:, ::-1],
        X.astype(">f4"), X.tolist(), tuple(map(tuple, X.tolist())), list(X), np.asmatrix(X),
        sp.csc_array(X), sp.coo_array(X), sp.csc_matrix(X), sp.coo_matrix(X), sp.lil_array(X),
        sp.dok_array(X), sp.dia_array(X), sp.bsr_array(X),
    ],
    ids=["Fortran", "apart", "backwards", "byte order", "lists", "tuples", "rows", "matrix",
         "CSC", "COO", "csc_matrix", "coo_matrix", "LIL", "DOK", "DIA", "BSR"],
)  # fmt: skip
def test_arrays_of_other_kinds(rows):
    same(rows)


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.int64, np.uint64])
def test_integers(dtype):
    same(COUNTS.astype(dtype), "COUNTS")
    same(sp.csr_array(COUNTS.astype(dtype)), "COUNTS")


def test_csr_of_64_bit_indices_and_tensors():
    wide = sp.csr_array(X)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    same(wide)
    torch = pytest.importorskip("torch")
    same(torch.from_numpy(COUNTS), "COUNTS")
    same(torch.from_numpy(np.ascontiguousarray(X.T)).T)
    same(list(torch.from_numpy(X.copy()).requires_grad_()))


def test_frames_of_pandas():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=NAMES, index=range(100, 160))
    same(frame)
    same(pd.DataFrame(COUNTS).astype({0: "int8", 1: "float32", 2: "Int64"}), "COUNTS")
    same(pd.DataFrame.sparse.from_spmatrix(sp.csr_array(X)))
    same(pd.Series(list(X)))
    with pytest.raises(TypeError, match=r"X: expected columns of numbers, got .* in 'text'"):
        skmm.select(frame.assign(text="a"), 12)
    holes = pd.DataFrame(COUNTS).astype("Int64")
    holes.iloc[7, 2] = pd.NA
    with pytest.raises(ValueError, match=r"X: .* in 1 of 60 rows, first in row 7"):
        skmm.select(holes, 12)


def test_frames_that_are_sparse_in_part():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(COUNTS.astype(float))
    same(frame.astype({0: pd.SparseDtype(float, 0.0)}), "COUNTS")
    same(frame.astype(pd.SparseDtype(float, np.nan)), "COUNTS")
    with pytest.raises(ValueError, match="X: expected at least one row and one column"):
        skmm.select(pd.DataFrame(index=range(9)), 2)


def test_frames_of_polars():
    pl = pytest.importorskip("polars")
    same(pl.DataFrame(X, schema=NAMES))
    same(pl.DataFrame(COUNTS, schema=NAMES).with_columns(pl.col("a").cast(pl.Int8)), "COUNTS")
    same(pl.Series("e", X.tolist()))
    with pytest.raises(TypeError, match="X: expected a DataFrame, got a LazyFrame"):
        skmm.select(pl.DataFrame(X, schema=NAMES).lazy(), 12)
    with pytest.raises(TypeError, match=r"X: expected columns of numbers, got String in 'text'"):
        skmm.select(pl.DataFrame(X, schema=NAMES).with_columns(pl.lit("a").alias("text")), 12)
    holes = pl.DataFrame(COUNTS, schema=NAMES).with_columns(
        pl.when(pl.int_range(pl.len()) == 7).then(None).otherwise(pl.col("c")).alias("c")
    )
    with pytest.raises(ValueError, match=r"X: .* in 1 of 60 rows, first in row 7"):
        skmm.select(holes, 12)


def test_tables_of_arrow():
    pa = pytest.importorskip("pyarrow")
    same(pa.table({name: X[:, i] for i, name in enumerate(NAMES)}))
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 6)
    same(fixed)
    same(pa.table({"e": fixed}))
    same(pa.chunked_array([fixed[:7], fixed[7:40], fixed[40:]]))
    same(pa.table({"e": pa.array(X.tolist(), pa.list_(pa.float32()))}).slice(0, 60))
    same(pa.RecordBatch.from_arrays([fixed], ["e"]))
    for rows, said in (
        (pa.array([[1.0], [1.0, 2.0]]), "X: expected lists of one length, got .1, 2."),
        (pa.array([[1.0], None]), "X: expected a list in each row, got 1 rows without"),
    ):
        with pytest.raises(ValueError, match=said):
            skmm.select(rows, 1)
    with pytest.raises(TypeError, match=r"X.'text'.: expected numbers, got string"):
        skmm.select(pa.table({"a": X[:, 0], "text": ["a"] * 60}), 12)
    holes = pa.array([[1.0, None], [1.0, 2.0]])
    with pytest.raises(ValueError, match=r"X: .* in 1 of 2 rows, first in row 0"):
        skmm.select(holes, 1)


def test_memory_maps_are_not_copied(tmp_path):
    np.save(tmp_path / "counts.npy", COUNTS)
    with pytest.raises(TypeError, match=r"X: expected float16 or .* got int64"):
        skmm.select(np.load(tmp_path / "counts.npy", mmap_mode="r"), 12)
    np.save(tmp_path / "columns.npy", np.asfortranarray(X))
    with pytest.raises(ValueError, match=r"X: .*ascontiguousarray"):
        skmm.select(np.load(tmp_path / "columns.npy", mmap_mode="r"), 12)


def test_targets_of_other_kinds():
    pd = pytest.importorskip("pandas")
    expected = skmm.select(X, 12, target=X[:5]).indices
    for few in (pd.DataFrame(X[:5]), np.asfortranarray(X[:5]), [X[:5].tolist()]):
        assert np.array_equal(skmm.select(X, 12, target=few).indices, expected)


@given(st.integers(0, 2**32 - 1), st.sampled_from("biuf"), st.booleans())
def test_any_array_is_that_of_its_numbers(seed, kind, fortran):
    rng = np.random.default_rng(seed)
    dtype = {"b": "?", "i": rng.choice(["i1", ">i2", "i4", ">i8"]), "u": rng.choice(["u1", ">u4"]),
             "f": rng.choice(["f2", ">f4", ">f8"])}[kind]  # fmt: skip
    A = (rng.standard_normal((12, 3)) * 20 + 30).astype(dtype)
    A = np.asfortranarray(A) if fortran else A
    found = skmm.select(A, 4, method="uniform", diagnose="fast").diagnosis
    plain = np.ascontiguousarray(A, np.float16 if A.dtype.itemsize == 2 and kind == "f" else float)
    expected = skmm.select(plain, 4, method="uniform", diagnose="fast").diagnosis
    assert found.mean_error == pytest.approx(expected.mean_error, rel=1e-3, abs=1e-12)
