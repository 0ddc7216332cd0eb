"""Stage 1 against G @ S.toarray()."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import skmm_fast as skmm
from skmm_fast import _core

KINDS = {"sparse-sign": skmm.SparseSign, "gaussian": skmm.Gaussian}


@st.composite
def cases(draw):
    r = draw(st.integers(1, 300))
    m = draw(st.integers(1, min(r, 130)))
    kind = draw(st.sampled_from(sorted(KINDS)))
    seed = draw(st.integers(0, 2**64 - 1))
    if kind == "sparse-sign":
        S = skmm.SparseSign(r, m, draw(st.integers(1, min(m, 9))), seed)
    else:
        S = skmm.Gaussian(r, m, seed)
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    n = draw(st.integers(1, 40))
    G = np.random.default_rng(draw(st.integers(0, 99))).standard_normal((n, r)).astype(dtype)
    return S, G


def assert_close(Z, G, Gamma):
    """To rounding of sums of |g γ|."""
    tol = 40 * np.finfo(G.dtype).eps
    size = np.abs(G).astype(float) @ np.abs(Gamma)
    assert np.all(np.abs(Z - G.astype(float) @ Gamma) <= tol * (size + 1e-30))


@settings(max_examples=150, deadline=None)
@given(cases(), st.data())
def test_equals_the_product_with_gamma(case, data):
    S, G = case
    Gamma = S.toarray().astype(float)
    Z = S.apply(G, n_threads=data.draw(st.integers(1, 3)))
    assert Z.dtype == G.dtype
    assert Z.shape == (len(G), S.out_dim)
    assert_close(Z, G, Gamma)

    # chunks of columns, accumulated
    cut = data.draw(st.integers(0, G.shape[1]))
    chunks = np.zeros_like(Z)
    for start, stop in ((0, cut), (cut, G.shape[1])):
        if stop > start:
            part = np.ascontiguousarray(G[:, start:stop])
            assert S.apply(part, out=chunks, col_offset=start, accumulate=True) is chunks
    assert_close(chunks, G, Gamma)

    # rows that lie apart in memory
    assert np.array_equal(S.apply(np.repeat(G, 2, axis=0)[::2]), Z)

    # split by rows: the same bits
    half = len(G) // 2
    if half:
        assert np.array_equal(np.concatenate([S.apply(G[:half]), S.apply(G[half:])]), Z)


@settings(max_examples=80, deadline=None)
@given(cases(), st.sampled_from([np.int32, np.int64]), st.floats(0, 1), st.data())
def test_csr_equals_the_product_with_gamma(case, index, density, data):
    S, G = case
    mask = np.random.default_rng(1).random(G.shape) < density
    A = sp.csr_array(G * mask)
    A.indices, A.indptr = A.indices.astype(index), A.indptr.astype(index)
    Z = S.apply(A, n_threads=data.draw(st.integers(1, 3)))
    assert Z.dtype == G.dtype
    assert_close(Z, G * mask, S.toarray().astype(float))
    assert np.array_equal(S.apply(A, n_threads=1), Z)
    half = len(G) // 2
    if half:
        assert np.array_equal(np.concatenate([S.apply(A[:half]), S.apply(A[half:])]), Z)


@pytest.mark.parametrize("kind", KINDS)
def test_many_rows_and_columns_have_the_same_bits_on_any_threads(kind):
    G = np.random.default_rng(0).standard_normal((1100, 700)).astype(np.float32)
    S = KINDS[kind](700, 48, seed=3)
    Z = S.apply(G, n_threads=1)
    for n_threads in (2, 3, 8):
        assert np.array_equal(S.apply(G, n_threads=n_threads), Z)
    assert_close(Z, G, S.toarray().astype(float))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_gamma_depend_on_their_number_alone(kind):
    a, b = KINDS[kind](1000, 24, seed=9), KINDS[kind](10**12, 24, seed=9)
    assert np.array_equal(a.toarray(), b.toarray(0, 1000))
    assert np.array_equal(a.toarray(400, 410), a.toarray()[400:410])
    far = b.toarray(10**12 - 3)
    assert far.shape == (3, 24)
    row = sp.csr_array((np.ones(1, np.float32), [10**12 - 2], [0, 1]), shape=(1, 10**12))
    np.testing.assert_allclose(b.apply(row)[0], far[1], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gamma_is_an_isometry_in_the_mean(kind):
    Gamma = KINDS[kind](20000, 16, seed=1).toarray().astype(float)
    np.testing.assert_allclose((Gamma**2).sum(axis=1).mean(), 1, atol=0.02)
    np.testing.assert_allclose(Gamma.T @ Gamma / 20000, np.eye(16) / 16, atol=0.005)
    off = Gamma[:500] @ Gamma[:500].T - np.diag((Gamma[:500] ** 2).sum(axis=1))
    assert abs(off.mean()) < 0.01


def test_a_sketch_of_a_sketch_with_the_same_seed_is_still_random():
    for kind in KINDS.values():
        first = kind(64, 32, seed=0).toarray(0, 32)
        second = kind(32, 16, seed=0).toarray()
        assert abs(np.mean(np.sign(first[:, :16]) * np.sign(second))) < 0.15


def test_sparse_sign_structure():
    S = skmm.SparseSign(500, 50, nnz_per_row=7, seed=2)
    Gamma = S.toarray()
    edges = [b * 50 // 7 for b in range(8)]
    for first, last in pairwise(edges):
        assert np.all((Gamma[:, first:last] != 0).sum(axis=1) == 1)
    assert set(np.unique(np.abs(Gamma))) == {np.float32(0), np.float32(1) / np.sqrt(np.float32(7))}
    assert skmm.SparseSign(10, 3).nnz_per_row == 3
    assert skmm.SparseSign(100, 30).nnz_per_row == 8


def philox_words(seed, kind, m, j, groups):
    counter = [(j & 0xFFFFFFFF, j >> 32, g, m << 8 | kind) for g in range(groups)]
    return np.array([_core.philox(c, seed) for c in counter], dtype=np.uint32)


def test_sparse_sign_rows_from_philox_words():
    S = skmm.SparseSign(2**40, 29, nnz_per_row=6, seed=2**63 + 5)
    for j in (0, 1, 2**33 + 7):
        words = philox_words(S.seed, 1, 29, j, 2).ravel()
        expected = np.zeros(29, np.float32)
        for b in range(6):
            first, last = b * 29 // 6, (b + 1) * 29 // 6
            place = first + ((int(words[b]) & ~1) * (last - first) >> 32)
            expected[place] = (-1 if words[b] & 1 else 1) / np.sqrt(np.float32(6))
        assert np.array_equal(S.toarray(j, j + 1)[0], expected)


def test_gaussian_rows_are_box_muller_of_philox_words():
    m = 100
    S = skmm.Gaussian(2**40, m, seed=12345)
    for j in (0, 3, 2**32 + 1):
        words = philox_words(S.seed, 2, m, j, 32).astype(float)
        radius = np.sqrt(-2 * np.log((words[:, [0, 2]] + 0.5) / 2**32))
        angle = 2 * np.pi * words[:, [1, 3]] / 2**32
        x, y = radius * np.cos(angle), radius * np.sin(angle)
        strips = [
            np.concatenate([x[s, 0], y[s, 0], x[s, 1], y[s, 1]]) for s in np.split(np.arange(32), 2)
        ]
        expected = np.concatenate(strips)[:m] / np.sqrt(m)
        np.testing.assert_allclose(S.toarray(j, j + 1)[0], expected, rtol=3e-6, atol=3e-7)


def test_gaussian_numbers_are_normal():
    from scipy.stats import kstest

    x = skmm.Gaussian(4000, 50, seed=0).toarray().ravel() * np.sqrt(50)
    assert kstest(x, "norm").pvalue > 1e-3
    assert abs(x.std() - 1) < 0.01
    assert abs((x**4).mean() - 3) < 0.1


def test_embeds_a_subspace():
    """ζ = 8 at m = 8k keeps a coherent subspace: singular values as of a Gaussian."""
    for kind in KINDS.values():
        least = [
            np.linalg.svd(kind(4000, 256, seed=s).toarray(100, 132), compute_uv=False)[-1]
            for s in range(10)
        ]
        assert 0.5 < np.median(least) < 0.8


def test_torch_in_torch_out_without_a_copy():
    torch = pytest.importorskip("torch")
    G = torch.randn(5, 40, requires_grad=True)
    S = skmm.SparseSign(40, 8)
    Z = S.apply(G)
    assert isinstance(Z, torch.Tensor)
    assert np.array_equal(Z.numpy(), S.apply(G.detach().numpy()))
    out = torch.zeros(5, 8)
    assert S.apply(G, out=out) is out
    assert torch.equal(out, Z)


def test_memmap(tmp_path):
    G = np.random.default_rng(0).standard_normal((30, 90)).astype(np.float32)
    np.save(tmp_path / "g.npy", G)
    S = skmm.SparseSign(90, 16)
    assert np.array_equal(S.apply(np.load(tmp_path / "g.npy", mmap_mode="r")), S.apply(G))


def test_progress_reaches_the_end(capsys):
    skmm.SparseSign(90, 16).apply(np.ones((30, 90), np.float32), progress=True)
    assert "100%" in capsys.readouterr().err
