"""`Factored`: sums over tokens of one layer, against its own Γ."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import skmm_fast as skmm

RNG = np.random.default_rng(0)


def tokens(o, d, B=3, T=7, dtype=np.float64):
    return [RNG.standard_normal((B, T, size)).astype(dtype) for size in (o, d)]


def summed(E, X):
    """(B, o d) the gradients."""
    return np.einsum("bto,btd->bod", E, X).reshape(len(E), -1)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 12), st.integers(0, 2**64 - 1))
def test_tokens(o, d, k, seed):
    m = min(5, min(o, k) * min(d, k), o * d)
    S = skmm.Factored(o, d, m, factor_dim=k, seed=seed)
    E, X = tokens(o, d)
    G = summed(E, X)
    Z = S.apply_tokens(E, X)
    assert (S.in_dim, S.out_dim) == (o * d, m)
    np.testing.assert_allclose(Z, G @ S.toarray(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(Z, S.apply(G), rtol=1e-9, atol=1e-9)


def test_small_weights_are_sketched_by_their_entries():
    S = skmm.Factored(12, 12, 8, factor_dim=12, seed=4)
    assert np.array_equal(S.toarray(), skmm.SparseSign(144, 8, seed=4).toarray())


def test_it_is_unbiased():
    E, X = tokens(20, 15, B=1, T=9)
    norm = np.square(summed(E, X)).sum()
    found = [
        np.square(skmm.Factored(20, 15, 16, factor_dim=8, seed=seed).apply_tokens(E, X)).sum()
        for seed in range(400)
    ]
    assert abs(np.mean(found) / norm - 1) < 4 * np.std(found) / norm / 20


def test_kinds_and_threads():
    torch = pytest.importorskip("torch")
    S = skmm.Factored(200, 90, 16, factor_dim=32)
    E, X = tokens(200, 90, dtype=np.float32)
    Z = S.apply_tokens(E, X)
    assert Z.dtype == np.float32
    assert np.array_equal(S.apply_tokens(E, X, n_threads=3), Z)
    of_torch = S.apply_tokens(torch.from_numpy(E), torch.from_numpy(X))
    assert isinstance(of_torch, torch.Tensor)
    assert np.array_equal(of_torch.numpy(), Z)
    strided = np.zeros((3, 7, 400), np.float32)[:, :, :200]
    strided[:] = E
    assert np.array_equal(S.apply_tokens(strided, X), Z)
    longer = [np.concatenate([A, np.zeros_like(A[:, :2])], axis=1) for A in (E, X)]
    np.testing.assert_allclose(S.apply_tokens(*longer), Z, rtol=1e-5, atol=1e-5)


def test_tensors_on_a_device(monkeypatch):
    """By the kernels of a device, on the CPU."""
    torch = pytest.importorskip("torch")
    from skmm_fast._support import tensors

    monkeypatch.setattr(tensors, "on_device", tensors.is_torch)
    for k in (32, 200):
        S = skmm.Factored(200, 90, 16, factor_dim=k)
        E, X = tokens(200, 90, dtype=np.float32)
        Z = S.apply_tokens(torch.from_numpy(E), torch.from_numpy(X))
        expected = S.apply_tokens(E, X)  # both are sums of float32 products, in their own order
        np.testing.assert_allclose(Z, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    E[1, 0, 0] = np.inf
    with pytest.raises(ValueError, match=r"E: .*row 1"):
        S.apply_tokens(torch.from_numpy(E), torch.from_numpy(X))
    with pytest.raises(TypeError, match="X: expected a tensor of 3 dimensions"):
        S.apply_tokens(torch.from_numpy(E), X)


def test_copies():
    S = skmm.Factored(40, 50, 16, factor_dim=32, seed=7)
    assert repr(S) == "Factored(40, 50, 16, factor_dim=32, seed=7)"
    for T in (copy.deepcopy(S), pickle.loads(pickle.dumps(S)), eval(repr(S), vars(skmm).copy())):
        assert T == S
        assert repr(T) == repr(S)
    assert skmm.Factored(50, 40, 16, factor_dim=32, seed=7) != S


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda E, X: (E[0], X), ValueError, r"E: expected 3 dimension"),
        (
            lambda E, X: (E, X[..., 1:]),
            ValueError,
            r"X: expected shape .* got \(3, 7, 8\)",
        ),
        (lambda E, X: (E, X[:2]), ValueError, r"X: expected shape \(3, 7, 9\), got \(2, 7, 9\)"),
        (lambda E, X: (X, X), ValueError, r"E: expected shape \(3, 7, 20\)"),
        (lambda E, X: (E, X.astype(np.float32)), TypeError, "X: expected the type of E"),
        (lambda E, X: (E.astype(int), X), TypeError, "E: expected float32 or float64"),
        (lambda E, X: (np.where(E[1, 2, 3] == E, np.nan, E), X), ValueError, "E: .*row 1"),
        (lambda E, X: (E * 1e200, X * 1e200), ValueError, "overflow"),
    ],
)
def test_errors(change, error, said):
    E, X = tokens(20, 9)
    with pytest.raises(error, match=said):
        skmm.Factored(20, 9, 4, factor_dim=6).apply_tokens(*change(E, X))


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ((0, 9, 4), "out_features: expected an int >= 1"),
        ((20, 0, 4), "in_features: expected an int >= 1"),
        ((20, 9, 0), "out_dim"),
        ((20, 9, 37), "out_dim: expected at most 36"),
    ],
)
def test_wrong_sizes(sizes, said):
    with pytest.raises(ValueError, match=said):
        skmm.Factored(*sizes, factor_dim=6)
