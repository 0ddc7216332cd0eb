"""`apply` of a dict or list of arrays: that of the columns laid side by side."""

import numpy as np
import pytest
import scipy.sparse as sp

import skmm_fast as skmm
from skmm_fast._support import tensors
from skmm_fast.sketch.factored import PartlyFactored
from skmm_fast.sketch.operators import KINDS

N, SHAPES = 5, {"conv.weight": (4, 3, 3, 3), "fc.weight": (7, 30), "fc.bias": (7,), "scale": ()}
R = sum(int(np.prod(shape)) for shape in SHAPES.values())
SEGMENT = 1 << 15  # rows of Γ that the core sums together


def arrays(dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal((N, *s)).astype(dtype) for name, s in SHAPES.items()}


def side_by_side(parts):
    return np.hstack([x.reshape(N, -1) for x in parts.values()])


def close(Z, expected):
    tol = 1e-12 if Z.dtype == np.float64 else 1e-5
    np.testing.assert_allclose(Z, expected, rtol=tol, atol=10 * tol)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_arrays(kind, dtype):
    S, parts = KINDS[kind](R, 16, seed=3), arrays(dtype)
    expected = S.apply(side_by_side(parts))
    for given in (parts, list(parts.values()), tuple(parts.values())):
        Z = S.apply(given, n_threads=1)
        assert Z.dtype == expected.dtype
        close(Z, expected)
    out = np.empty_like(expected)
    assert S.apply(parts, out=out, n_threads=2) is out
    assert np.array_equal(out, Z)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_tensors(kind, dtype):
    torch = pytest.importorskip("torch")
    S = KINDS[kind](R, 16, seed=3)
    parts = {k: torch.from_numpy(x).to(getattr(torch, dtype)) for k, x in arrays().items()}
    parts["fc.weight"].requires_grad_()
    whole = torch.cat([x.detach().reshape(N, -1) for x in parts.values()], dim=1)
    expected, Z = S.apply(whole), S.apply(parts)
    assert Z.dtype == expected.dtype
    assert not Z.requires_grad
    close(Z.numpy(), expected.numpy())
    assert torch.equal(S.apply(list(parts.values())), Z)


@pytest.mark.parametrize("kind", KINDS)
def test_the_bits_of_one_matrix_where_parts_begin_with_a_segment(kind):
    G = np.random.default_rng(1).standard_normal((3, 2 * SEGMENT + 77)).astype(np.float32)
    S = KINDS[kind](G.shape[1], 24)
    parts = {"a": G[:, :SEGMENT], "b": G[:, SEGMENT : 2 * SEGMENT], "c": G[:, 2 * SEGMENT :]}
    assert np.array_equal(S.apply(parts), S.apply(G))


def test_some_columns_of_several():
    S, parts = skmm.SparseSign(R + 50, 16), arrays(np.float64)
    rest = np.random.default_rng(2).standard_normal((N, 50))
    Z = S.apply(parts, out=np.zeros((N, 16)), accumulate=True)
    S.apply([rest[:, :20], rest[:, 20:]], out=Z, col_offset=R, accumulate=True)
    close(Z, S.apply(np.hstack([side_by_side(parts), rest])))
    close(S.apply([rest], col_offset=R), S.apply(rest, col_offset=R))


def test_nothing_is_copied(monkeypatch):
    torch = pytest.importorskip("torch")
    seen = []
    add = skmm.SparseSign._add
    monkeypatch.setattr(
        skmm.SparseSign, "_add", lambda self, A, *rest: (seen.append(A), add(self, A, *rest))
    )
    given = arrays()
    skmm.SparseSign(R, 16).apply(given)
    skmm.SparseSign(R, 16).apply([torch.from_numpy(x) for x in given.values()])
    for A, x in zip(seen, 2 * list(given.values()), strict=True):
        assert np.shares_memory(A, x)


def test_rows_apart_and_repeated_rows():
    S, parts = skmm.GroupedSign(R, 16), arrays()
    apart = {name: np.repeat(x, 2, axis=0)[::2] for name, x in parts.items()}
    assert np.array_equal(S.apply(apart), S.apply(parts))
    repeated = {name: np.broadcast_to(x[:1], x.shape) for name, x in parts.items()}
    assert np.array_equal(S.apply(repeated), np.tile(S.apply(parts)[:1], (N, 1)))


def test_csr_parts():
    S = skmm.SparseSign(60, 8)
    G = np.random.default_rng(0).standard_normal((4, 60)) * (np.arange(60) % 3 == 0)
    given = [sp.csr_array(G[:, :25]), G[:, 25:40].copy(), sp.csr_array(G[:, 40:])]
    close(S.apply(given), S.apply(G))


def test_a_factored_sketch():
    S = PartlyFactored(40 * 50 + 7, 16, matrices=[(0, 40, 50)], factor_dim=32)
    G = np.random.default_rng(0).standard_normal((3, 40 * 50 + 7))
    parts = {"weight": G[:, :2000].reshape(3, 40, 50), "bias": G[:, 2000:]}
    close(S.apply(parts), S.apply(G))


def test_progress(capfd):
    pytest.importorskip("tqdm")
    skmm.SparseSign(R, 16).apply(arrays(), progress=True)
    assert capfd.readouterr().err.count("100%") == 1


A = np.ones((3, 2, 5), np.float32)
ERRORS = [
    ({}, ValueError, "G: expected at least one array, got an empty mapping"),
    ([], TypeError, "G: expected an array, got list"),
    ([[1.0] * 20], TypeError, "G: expected an array, got list"),
    ([A, [1.0] * 10], TypeError, r"G\[1\]: expected an array, got list"),
    ({"w": A, "b": None}, TypeError, r"G\['b'\]: expected an array, got NoneType"),
    ({"w": A, "b": A[:2]}, ValueError, r"G\['b'\]: expected as many rows as G\['w'\] \(3\), got 2"),
    (
        {"w": A, "b": A.astype(float)},
        TypeError,
        r"G\['b'\]: expected the type of G\['w'\] \(float32\), got float64",
    ),
    ({"w": A, "b": A.astype(int)}, TypeError, r"G\['b'\]: expected float16 or .*, got int64"),
    ({"w": A, "b": np.float32(1)}, TypeError, r"G\['b'\]: expected an array, got float32"),
    ({"w": A, "b": A[:0]}, ValueError, r"G\['b'\]: expected at least one row and one column"),
    ({"w": A, "b": A[:, :1]}, ValueError, r"G: expected 20 columns, got shape \(3, 15\)"),
    ({"w": A, "b": A, "c": A}, ValueError, r"G: expected 20 columns, got shape \(3, 30\)"),
    (
        {"w": A, "layer.weight": A.transpose(0, 2, 1)},
        ValueError,
        r"G\['layer.weight'\]: expected samples of contiguous elements, got strides .*; "
        r"np.ascontiguousarray\(G\['layer.weight'\]\) makes them so",
    ),
    ({"w": A, "b": A * np.float32(np.nan)}, ValueError, r"G\['b'\]: expected finite .* 3 of 3"),
    ({"w": A * np.float32(3e38), "b": A * np.float32(3e38)}, ValueError, "G: .* overflow"),
]


@pytest.mark.parametrize(("given", "error", "said"), ERRORS)
def test_errors(given, error, said):
    with pytest.raises(error, match=said):
        skmm.SparseSign(20, 2, nnz_per_row=1).apply(given)


def test_errors_of_tensors():
    torch = pytest.importorskip("torch")
    S, T = skmm.SparseSign(20, 4), torch.ones(3, 2, 5)
    for given, error, said in [
        ([T, T.double()], TypeError, r"G\[1\]: .* \(torch.float32 on cpu\), got torch.float64"),
        ([T, T.numpy()], TypeError, r"G\[1\]: .* \(torch.float32 on cpu\), got float32"),
        ([T.half(), T.bfloat16()], TypeError, r"G\[1\]: .*float16 on cpu\), got torch.bfloat16"),
        ([T, T.mT], ValueError, r"G\[1\]: .*contiguous elements.*; G\[1\].contiguous\(\)"),
        ([T, T.to_sparse()], TypeError, r"G\[1\]: expected a dense tensor"),
        ([T, T.to("meta")], TypeError, r"G\[1\]: expected a tensor on the CPU, got one on meta"),
    ]:
        with pytest.raises(error, match=said):
            S.apply(given)


def test_out_must_be_apart_from_each_part():
    H = np.ones((4, 16))
    with pytest.raises(ValueError, match=r"out: expected memory apart from that of G\[1\]"):
        skmm.SparseSign(16, 8).apply([H[:, :8].copy(), H[:, 8:]], out=H.reshape(8, 8)[:4])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_path_of_a_device(monkeypatch, dtype):
    torch = pytest.importorskip("torch")
    S = skmm.SparseSign(R, 16, seed=3)
    parts = {k: torch.from_numpy(x).to(getattr(torch, dtype)) for k, x in arrays().items()}
    expected = S.apply(parts)
    monkeypatch.setattr(tensors, "on_device", tensors.is_torch)
    Z = S.apply(parts)
    assert Z.dtype == torch.float32
    close(Z.numpy(), expected.numpy())
    close(S.apply(list(parts.values()), out=Z, accumulate=True).numpy(), 2 * expected.numpy())
    parts["fc.bias"][2, 3] = torch.nan
    with pytest.raises(ValueError, match=r"G\['fc.bias'\]: .* in 1 of 5 rows, first in row 2"):
        S.apply(parts)
    with pytest.raises(ValueError, match=rf"G: expected {R} columns"):
        S.apply([parts["fc.bias"]])
