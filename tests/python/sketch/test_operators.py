"""Stage 1 against G @ S.toarray()."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import skmm_fast as skmm
from skmm_fast import _core
from skmm_fast.sketch.operators import KINDS


@st.composite
def cases(draw):
    kind = draw(st.sampled_from(sorted(KINDS)))
    least = KINDS[kind].least_out_dim
    r = draw(st.integers(least, 300))
    m = draw(st.integers(least, min(r, 130)))
    seed = draw(st.integers(0, 2**64 - 1))
    if kind == "sparse-sign":
        S = skmm.SparseSign(r, m, nnz_per_row=draw(st.integers(1, min(m, 9))), seed=seed)
    else:
        S = KINDS[kind](r, m, seed=seed)
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    n = draw(st.integers(1, 40))
    G = np.random.default_rng(draw(st.integers(0, 99))).standard_normal((n, r)).astype(dtype)
    return S, G


def assert_close(Z, G, Gamma):
    """To rounding of sums of |g γ|."""
    tol = 40 * np.finfo(G.dtype).eps
    size = np.abs(G).astype(float) @ np.abs(Gamma)
    assert np.all(np.abs(Z - G.astype(float) @ Gamma) <= tol * (size + 1e-30))


@settings(max_examples=150)
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


@settings(max_examples=80)
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


@pytest.mark.parametrize(
    "S", [skmm.SparseSign(500, 50, nnz_per_row=7, seed=2), skmm.GroupedSign(9000, 61)]
)
def test_rows_of_signs_have_one_entry_in_each_block(S):
    Gamma, m, zeta = S.toarray(), S.out_dim, getattr(S, "nnz_per_row", 8)
    edges = [b * m // zeta for b in range(zeta + 1)]
    for first, last in pairwise(edges):
        assert np.all((Gamma[:, first:last] != 0).sum(axis=1) == 1)
    assert set(np.unique(np.abs(Gamma))) == {0, np.float32(1) / np.sqrt(np.float32(zeta))}


def test_nnz_per_row_defaults_to_eight_or_what_fits():
    assert skmm.SparseSign(10, 3).nnz_per_row == 3
    assert skmm.SparseSign(100, 30).nnz_per_row == 8


@pytest.mark.parametrize("m", [128, 500, 20])
def test_grouped_sign_places_and_signs_are_uniform(m):
    """Over rows that share no step, each with places and signs of its own."""
    from scipy.stats import chisquare

    S, chunks = skmm.GroupedSign(2**40, m, seed=4), 2**20 + np.arange(100)
    Gamma = np.concatenate([S.toarray(c * 8192, c * 8192 + 1024)[5::16] for c in chunks])
    for k in range(8):
        block = Gamma[:, k * m // 8 : (k + 1) * m // 8]
        assert chisquare((block != 0).sum(axis=0)).pvalue > 1e-4
        assert chisquare([(block > 0).sum(), (block < 0).sum()]).pvalue > 1e-4


def test_groups_of_grouped_signs_are_orthogonal():
    """Rows that share their places in all blocks: 8 of them, one from each part of 1024."""
    Gamma = skmm.GroupedSign(8192, 4096, seed=1).toarray()
    places = np.argwhere(Gamma)[:, 1].reshape(8192, 8)
    groups = {}
    for row, place in enumerate(map(tuple, places)):
        groups.setdefault(place, []).append(row)
    assert len(groups) == 1024
    for rows in groups.values():
        assert [row // 1024 for row in rows] == list(range(8))
        np.testing.assert_allclose(Gamma[rows] @ Gamma[rows].T, np.eye(8), atol=1e-6)


def philox_words(seed, kind, m, j, groups):
    """(groups, 4) words of the counters (j, 0), (j, 1), ..."""
    counter = [(j & 0xFFFFFFFF, j >> 32, g, m << 8 | kind) for g in range(groups)]
    return np.array([_core.philox(c, seed) for c in counter], dtype=np.uint32)


@pytest.mark.parametrize(("m", "zeta"), [(29, 6), (300, 11), (9000, 2)])
def test_sparse_sign_rows_are_digits_of_philox_words(m, zeta):
    S = skmm.SparseSign(2**40, m, nnz_per_row=zeta, seed=2**63 + 5)
    per_word = 2 if m <= 2048 * zeta else 1
    for j in (0, 1, 2**33 + 7):
        words = [int(w) for w in philox_words(S.seed, 1, m, j, 3).ravel()]
        expected = np.zeros(m, np.float32)
        for b in range(zeta):
            first, last = b * m // zeta, (b + 1) * m // zeta
            digit, words[b // per_word] = divmod(words[b // per_word] * 2 * (last - first), 2**32)
            expected[first + digit // 2] = (-1) ** digit / np.sqrt(np.float32(zeta))
        assert np.array_equal(S.toarray(j, j + 1)[0], expected)


def shuffled(bits, lane):
    """The place of a lane: the affine map over GF(2) that 16 bits stand for."""
    lower, upper = np.eye(4, dtype=int), np.eye(4, dtype=int)
    lower[[1, 2, 3, 2, 3, 3], [0, 0, 0, 1, 1, 2]] = [bits >> t & 1 for t in range(4, 10)]
    upper[[0, 1, 2, 0, 1, 0], [3, 3, 3, 2, 2, 1]] = [bits >> t & 1 for t in range(10, 16)]
    y = np.array([(lane ^ bits) >> t & 1 for t in range(4)])
    for matrix, order in ((lower, (0, 1, 2)), (upper, (3, 2, 1))):
        for column in order:  # column by column: the product with the triangular matrix' inverse
            y = (y + y[column] * (matrix[:, column] - np.eye(4, dtype=int)[column])) % 2
    return int(y @ [1, 2, 4, 8])


@pytest.mark.parametrize("m", [128, 100, 8])
def test_grouped_sign_rows_from_philox_words(m):
    S = skmm.GroupedSign(2**45, m, seed=77)
    for j in (0, 1, 1023, 5000, 2**43 + 12345):
        chunk, part, vector, lane = j // 8192, j // 1024 % 8, j // 16 % 64, j % 16
        words = philox_words(S.seed, 7, m, chunk, 322)
        of_part = int(words[320 + part // 4, part % 4])
        step, lane = (vector - (of_part >> 26)) % 64, shuffled(of_part & 0xFFFF, lane)
        sign = int(words[step, part // 2]) >> (part % 2 * 16 + lane) & 1
        expected = np.zeros(m, np.float32)
        for k in range(8):
            a, b = (int(w) for w in words[64 * (1 + k // 2) + step, k % 2 * 2 : k % 2 * 2 + 2])
            first, last = k * m // 8, (k + 1) * m // 8
            unit = 16 if m % 128 == 0 else 1
            place = shuffled(b >> 16, lane)
            flips = sign + (b >> place & 1) + bin(part & k).count("1")
            start = (a * ((last - first) // unit) >> 32) * unit
            expected[first + (start + place) % (last - first)] += (-1) ** flips / np.sqrt(8)
        np.testing.assert_allclose(S.toarray(j, j + 1)[0], expected, rtol=1e-6)


@pytest.mark.parametrize("m", [128, 77])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_grouped_sign_over_many_chunks(m, dtype):
    """Whole and partial chunks, segments, offsets: each against Γ."""
    r = 70_001
    G = np.random.default_rng(0).standard_normal((5, r)).astype(dtype)
    S = skmm.GroupedSign(r, m, seed=5)
    Gamma = S.toarray().astype(float)
    Z = S.apply(G, n_threads=1)
    assert_close(Z, G, Gamma)
    assert np.array_equal(S.apply(G, n_threads=3), Z)
    assert np.array_equal(np.concatenate([S.apply(G[i : i + 1]) for i in range(5)]), Z)
    for start, stop in ((0, 3), (8191, 8193), (10_000, 30_000), (32_768, 65_536), (60_000, r)):
        part = np.ascontiguousarray(G[:, start:stop])
        Z = S.apply(part, out=np.zeros_like(Z), col_offset=start, accumulate=True)
        assert_close(Z, part, Gamma[start:stop])


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


@pytest.mark.parametrize("kind", KINDS)
def test_sixteen_bit_floats_are_summed_as_float32(kind):
    S = KINDS[kind](9000, 32)
    G = np.random.default_rng(0).standard_normal((21, 9000)).astype(np.float16)
    G[0, :6] = [0, -0.0, 6e-8, -6e-8, 6.1e-5, 65504]  # zeros, subnormals, least normal, largest
    Z = S.apply(G, n_threads=2)
    assert Z.dtype == np.float32
    assert np.array_equal(Z, S.apply(G.astype(np.float32)))
    assert np.array_equal(S.apply(G[3:4]), Z[3:4])

    torch = pytest.importorskip("torch")
    assert torch.equal(S.apply(torch.from_numpy(G)), torch.from_numpy(Z))
    B = torch.from_numpy(G).to(torch.bfloat16)
    Z = S.apply(B)
    assert Z.dtype == torch.float32
    assert torch.equal(Z, S.apply(B.float()))


def test_small_halves_where_subnormals_are_flushed():
    torch = pytest.importorskip("torch")
    G = (torch.randn(5, 900) * 1e-5).half()
    S = skmm.SparseSign(900, 16)
    Z = S.apply(G.float())
    assert torch.set_flush_denormal(True)
    try:
        assert torch.equal(S.apply(G), Z)
    finally:
        torch.set_flush_denormal(False)


def test_threads_agree_where_one_flushes_subnormals():
    """torch.set_flush_denormal sets the thread that calls it, and no other of a team."""
    torch = pytest.importorskip("torch")
    G = torch.full((64, 3000), 1e-41)
    for kind in KINDS.values():
        S = kind(3000, 16)
        Z = S.apply(G, n_threads=2)
        assert torch.count_nonzero(Z) > 0
        assert torch.set_flush_denormal(True)
        try:
            for n_threads in (1, 2):
                found = S.apply(G, n_threads=n_threads).numpy().tobytes()
                assert found == Z.numpy().tobytes()
        finally:
            torch.set_flush_denormal(False)


def test_half_rows_that_lie_apart():
    G = np.random.default_rng(0).standard_normal((30, 90)).astype(np.float16)
    for kind in KINDS.values():
        S, view = kind(80, 16), G[::3, 5:85]
        assert np.array_equal(S.apply(view), S.apply(view.copy()))
        assert np.array_equal(S.apply(np.broadcast_to(view[1], (4, 80)))[3], S.apply(view)[1])


def test_csr_whose_entries_times_nnz_pass_two_to_the_31():
    S = skmm.SparseSign(2048, 2048, nnz_per_row=2048)
    A = sp.csr_array(np.ones((515, 2048), np.float32))
    assert A.nnz * 2048 > 2**31
    assert A.indptr.dtype == np.int32
    np.testing.assert_allclose(S.apply(A)[514], S.toarray().sum(axis=0), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_far_end_of_gamma(kind):
    r = 2**62
    S, columns = KINDS[kind](r, 40), 9000
    G = np.random.default_rng(0).standard_normal((3, columns)).astype(np.float32)
    Gamma = S.toarray(r - columns).astype(float)
    out = np.zeros((3, 40), np.float32)
    assert_close(S.apply(G, out=out, col_offset=r - columns, accumulate=True), G, Gamma)
    out = np.zeros((3, 40), np.float32)
    Z = S.apply(sp.csr_array(G), out=out, col_offset=r - columns, accumulate=True)
    assert_close(Z, G, Gamma)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_sixteen_bit_floats_that_are_not_finite(value):
    torch = pytest.importorskip("torch")
    G = torch.ones(3, 40)
    G[1, 7] = value
    for dtype in (torch.float16, torch.bfloat16):
        for kind in KINDS.values():
            with pytest.raises(ValueError, match="NaN or Inf in 1 of 3 rows, first in row 1"):
                kind(40, 8).apply(G.to(dtype))


@pytest.mark.parametrize("kind", KINDS)
def test_few_rows_have_the_bits_of_many(kind):
    """Single rows, tiles, tails: all the same sums."""
    G = np.random.default_rng(1).standard_normal((35, 40_000)).astype(np.float32)
    S = KINDS[kind](40_000, 48)
    Z = S.apply(G)
    for rows in (slice(0, 1), slice(1, 3), slice(3, 6), slice(6, 23), slice(16, 35)):
        assert np.array_equal(S.apply(G[rows]), Z[rows])


def test_memmap(tmp_path):
    G = np.random.default_rng(0).standard_normal((30, 90)).astype(np.float32)
    np.save(tmp_path / "g.npy", G)
    S = skmm.SparseSign(90, 16)
    assert np.array_equal(S.apply(np.load(tmp_path / "g.npy", mmap_mode="r")), S.apply(G))


def test_progress_reaches_the_end(capsys):
    skmm.SparseSign(90, 16).apply(np.ones((30, 90), np.float32), progress=True)
    assert "100%" in capsys.readouterr().err
