"""`PartlyFactored` against its own Γ, and what Γ is on average."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import skmm_fast as skmm
from skmm_fast.sketch.factored import PartlyFactored

MATRICES = [(5, 40, 50), (2012, 30, 60)]
R = 2012 + 1800 + 9
K, M = 32, 16
S = PartlyFactored(R, M, matrices=MATRICES, factor_dim=K, seed=3)
GAMMA = S.toarray().astype(float)
RNG = np.random.default_rng(0)


def rows(n=4, dtype=np.float64):
    return RNG.standard_normal((n, R)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dense_rows(dtype):
    G = rows(dtype=dtype)
    Z = S.apply(G)
    assert Z.dtype == (np.float64 if dtype == np.float64 else np.float32)
    np.testing.assert_allclose(Z, G.astype(float) @ GAMMA, rtol=1e-4, atol=1e-4)


def test_bfloat16():
    torch = pytest.importorskip("torch")
    for T in (S, PartlyFactored(4060, M, matrices=[(0, 200, 20)], factor_dim=K)):
        G = torch.randn(3, T.in_dim).bfloat16()
        Z = T.apply(G)
        np.testing.assert_allclose(Z, T.apply(G.float()), rtol=1e-4, atol=1e-4)
        parts = torch.zeros(3, M)
        for first, stop in itertools.pairwise((0, 77, 2500, T.in_dim)):
            part = G[:, first:stop].contiguous()
            T.apply(part, out=parts, col_offset=first, accumulate=True)
        np.testing.assert_allclose(parts, Z, rtol=1e-4, atol=1e-4)


@given(st.lists(st.integers(1, R - 1), max_size=6, unique=True))
def test_chunks_of_columns_add_up(cuts):
    G = rows(2)
    Z = np.zeros((2, M))
    edges = [0, *sorted(cuts), R]
    for first, stop in itertools.pairwise(edges):
        S.apply(G[:, first:stop].copy(), out=Z, col_offset=first, accumulate=True)
    np.testing.assert_allclose(Z, S.apply(G), rtol=1e-8, atol=1e-8)


@given(st.integers(0, R), st.integers(0, R))
def test_rows_of_gamma(a, b):
    first, stop = sorted((a, b))
    assert np.array_equal(S.toarray(first, stop), GAMMA[first:stop].astype(np.float32))


@pytest.mark.parametrize("offset", [0, 1000])
def test_csr_rows(offset):
    c = R - offset
    G = sp.csr_array(sp.random(6, c, density=0.03, random_state=1))
    Z = S.apply(G, out=np.zeros((6, M)), col_offset=offset, accumulate=True)
    np.testing.assert_allclose(Z, G.toarray() @ GAMMA[offset:], rtol=1e-5, atol=1e-5)
    tail = G[:, c - 9 :]  # no entry of a matrix
    Z = S.apply(tail, out=np.zeros((6, M)), col_offset=R - 9, accumulate=True)
    np.testing.assert_allclose(Z, tail.toarray() @ GAMMA[R - 9 :], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("first", "o", "i"), [(5, 40, 50), (5, 20, 50), (7, 10, 30), (2012, 30, 60)]
)
def test_outer_products(first, o, i):
    E, X = RNG.standard_normal((3, o)), RNG.standard_normal((3, i))
    Z = S.apply_outer(E, X, out=np.zeros((3, M)), col_offset=first, accumulate=True)
    G = np.einsum("no,ni->noi", E, X).reshape(3, -1)
    np.testing.assert_allclose(Z, G @ GAMMA[first : first + o * i], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["dense", "outer", "outer, in part", "csr"])
def test_ticks_end_with_all_that_there_is(kind):
    ticks, Z = [], np.zeros((3, M))
    E, X = np.ones((3, 40)), np.ones((3, 50))
    if kind == "dense":
        S._core.sketch_dense(np.ones((3, R)), 0, False, 1, Z, ticks.append)
        total = 3 * R
    elif kind == "csr":
        G = sp.csr_array(np.eye(3, R))
        S._core.sketch_csr(G.data, G.indices, G.indptr, R, 0, False, 1, Z, ticks.append)
        total = 3
    else:
        first = 5 if kind == "outer" else 7
        S._core.sketch_outer(E, X, first, False, 1, Z, ticks.append)
        total = 3 * 2000
    assert ticks == sorted(ticks)
    assert ticks[-1] == total


def test_sums_over_tokens_are_those_of_the_whole_matrix():
    block = S._blocks[5]
    E, X = RNG.standard_normal((3, 7, 40)), RNG.standard_normal((3, 7, 50))
    Z = np.zeros((3, M))

    def add(sketch, G, sums, first):
        sketch.apply(np.ascontiguousarray(G), out=sums, col_offset=first, accumulate=True)

    S._add_products(add, block, E, X, Z)
    G = np.einsum("nto,nti->noi", E, X).reshape(3, -1)
    np.testing.assert_allclose(Z, G @ GAMMA[block.first : block.stop], rtol=1e-5, atol=1e-5)


def test_no_bit_depends_on_threads_or_rows():
    G = rows(40, np.float32)
    Z = S.apply(G, n_threads=1)
    assert np.array_equal(Z, S.apply(G, n_threads=3))
    assert np.array_equal(Z[7:9], S.apply(G[7:9]))


def test_gamma_is_orthogonal_on_average():
    total, count = 0.0, 400
    for seed in range(count):
        gamma = PartlyFactored(112, 20, matrices=[(2, 12, 9)], factor_dim=8, seed=seed).toarray()
        total = total + gamma @ gamma.T
    np.testing.assert_allclose(total / count, np.eye(112), atol=5 * np.sqrt(3 / (20 * count)))


def test_what_is_no_matrix_has_the_rows_of_sparse_signs():
    plain = skmm.SparseSign(R, M, seed=3).toarray()
    outside = np.r_[0:5, 2005:2012, R - 9 : R]
    assert np.array_equal(plain[outside], GAMMA[outside].astype(np.float32))
    assert np.array_equal(PartlyFactored(R, M, seed=3).toarray(), plain)


def test_a_side_that_is_short_is_taken_as_it_is():
    T = PartlyFactored(30 * 8 + 2, 16, matrices=[(2, 8, 30)], factor_dim=12)
    G = RNG.standard_normal((3, 242))
    np.testing.assert_allclose(T.apply(G), G @ T.toarray(), rtol=1e-5, atol=1e-5)


def test_rows_that_are_not_finite_are_named():
    G = rows()
    G[2, 500] = np.nan
    with pytest.raises(ValueError, match=r"G: expected finite values.* 2"):
        S.apply(G)


@pytest.mark.parametrize(
    ("matrices", "options", "error", "what"),
    [
        ([(0, 50, 40), (1999, 50, 40)], {}, ValueError, "in order, apart"),
        ([(2000, 50, 40), (0, 50, 40)], {}, ValueError, "in order, apart"),
        ([(R - 1999, 50, 40)], {}, ValueError, f"below {R}"),
        ([(0, 32, 32)], {}, ValueError, r"more than factor_dim² = 1024 entries, got \(0, 32, 32\)"),
        ([(0, 50)], {}, TypeError, r"expected \(first, rows, columns\)"),
        ([(0, 50, 40.5)], {}, TypeError, "matrices: expected an int"),
        ([(0, 50, 40)], {"factor_dim": 0}, ValueError, "factor_dim"),
        ([(0, R, 1)], {"factor_dim": 3}, ValueError, "out_dim: expected at most 3, the coord"),
    ],
)
def test_errors(matrices, options, error, what):
    with pytest.raises(error, match=what):
        PartlyFactored(R, M, matrices=matrices, **{"factor_dim": K, **options})
