"""Rows e ⊗ x that are never formed, against `apply` of the products."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skmm_fast as skmm
from skmm_fast.sketch.operators import KINDS


def factors(n, C, d, dtype=np.float32):
    rng = np.random.default_rng([n, C, d])
    return (rng.standard_normal((n, k)).astype(dtype) for k in (C, d))


def products(E, X):
    return (E[:, :, None] * X[:, None, :]).reshape(len(E), -1)


@settings(max_examples=150)
@given(
    st.sampled_from(sorted(KINDS)),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from([1, 2, 3, 17, 40]),
    st.integers(1, 40),
    st.one_of(st.integers(1, 40), st.integers(200, 600)),
    st.integers(1, 300),
    st.booleans(),
    st.integers(1, 3),
)
def test_bits_of_the_products(kind, dtype, n, C, d, offset, accumulate, n_threads):
    E, X = factors(n, C, d, dtype)
    S = KINDS[kind](offset + C * d + 8, 8, seed=7)
    Z, expected = np.ones((n, 8), dtype), np.ones((n, 8), dtype)
    assert (
        S.apply_outer(E, X, out=Z, col_offset=offset, accumulate=accumulate, n_threads=n_threads)
        is Z
    )
    assert np.array_equal(
        Z,
        S.apply(
            products(E, X), out=expected, col_offset=offset, accumulate=accumulate, n_threads=1
        ),
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_chunks_segments_and_groups_of_rows(kind, dtype):
    E, X = factors(300 if kind != "gaussian" else 40, 13, 5003, dtype)
    S = KINDS[kind](13 * 5003, 24, seed=3)
    expected = S.apply(products(E, X))
    for n_threads in (1, 3):
        assert np.array_equal(S.apply_outer(E, X, n_threads=n_threads), expected)
    for rows in (slice(0, 1), slice(1, 3), slice(3, 20)):
        assert np.array_equal(S.apply_outer(E[rows], X[rows]), expected[rows])
    tail = S.apply_outer(E[:, 4:], X, col_offset=4 * 5003)
    assert np.array_equal(tail, S.apply(products(E[:, 4:], X), col_offset=4 * 5003))


def test_rows_that_lie_apart():
    E, X = (a[::2, 1:] for a in factors(12, 6, 31))
    S = skmm.SparseSign(5 * 30, 16)
    assert np.array_equal(S.apply_outer(E, X), S.apply(products(E, X)))
    same = np.broadcast_to(X[1], X.shape)
    assert np.array_equal(S.apply_outer(E, same), S.apply(products(E, same)))


def test_the_gradient_of_a_linear_layer():
    torch = pytest.importorskip("torch")
    layer, x = torch.nn.Linear(7, 5), torch.randn(4, 7)
    y = torch.tensor([0, 4, 2, 2])
    logits = layer(x)
    loss = torch.nn.functional.cross_entropy(logits, y, reduction="sum")
    (E,) = torch.autograd.grad(loss, logits)
    S = skmm.SparseSign(35 + 5, 16)
    Z = S.apply_outer(E, x, out=torch.zeros(4, 16), accumulate=True)
    S.apply(E, out=Z, col_offset=35, accumulate=True)
    for i in range(4):
        loss = torch.nn.functional.cross_entropy(layer(x[i]), y[i])
        g = torch.cat([p.flatten() for p in torch.autograd.grad(loss, layer.parameters())])
        torch.testing.assert_close(Z[i], S.apply(g[None])[0])
    whole = skmm.SparseSign(35, 16)
    assert torch.equal(whole.apply_outer(E, x.requires_grad_()), whole.apply_outer(E, x.detach()))


def test_progress_reaches_the_end(capsys):
    skmm.SparseSign(90, 16).apply_outer(*factors(30, 9, 10), progress=True)
    assert "100%" in capsys.readouterr().err


E, X = factors(6, 4, 5)
S = skmm.SparseSign(20, 8)


def changed(a, *where, value=np.nan):
    a = a.copy()
    for i in where:
        a[i] = value
    return a


CASES = [
    (lambda: S.apply_outer([1.0], X), TypeError, "E: expected an array, got list"),
    (lambda: S.apply_outer(E, None), TypeError, "X: expected an array, got NoneType"),
    (lambda: S.apply_outer(E.astype(np.float16), X), TypeError, "E: .* got float16"),
    (lambda: S.apply_outer(E, X.astype(int)), TypeError, "X: .* got int64"),
    (lambda: S.apply_outer(E, X.astype(float)), TypeError, "X: .*of E .float32., got float64"),
    (lambda: S.apply_outer(E[0], X), ValueError, "E: expected 2 dim"),
    (lambda: S.apply_outer(E, X[:, :0]), ValueError, "X: expected at least one row and one"),
    (lambda: S.apply_outer(E, np.hstack([X, X])[:, ::2]), ValueError, "X: .*contiguous"),
    (lambda: S.apply_outer(E, X[:5]), ValueError, r"X: .* as E \(6\), got shape \(5, 5\)"),
    (lambda: S.apply_outer(E, X[:, :4]), ValueError, r"E ⊗ X: expected 20 .* \(6, 16\)"),
    (lambda: S.apply_outer(E, X, col_offset=1), ValueError, "E ⊗ X: expected at most 19"),
    (lambda: S.apply_outer(E, X, col_offset=-1), ValueError, "col_offset: .* got -1"),
    (lambda: S.apply_outer(E, X, accumulate=True), ValueError, "out: .* got None"),
    (lambda: S.apply_outer(E, X, n_threads=0), ValueError, "n_threads: .* got 0"),
    (lambda: S.apply_outer(E, X, out=np.zeros((6, 8))), ValueError, "out: expected shape"),
    (
        lambda: skmm.SparseSign(20, 5).apply_outer(E, X, out=X),
        ValueError,
        "out: expected memory apart from that of X",
    ),
    (
        lambda: S.apply_outer(changed(E, (4, 2), (2, 0)), X),
        ValueError,
        "E: expected finite values, got NaN or Inf in 2 of 6 rows, first in row 2",
    ),
    (
        lambda: S.apply_outer(E * 0, changed(X, (5, 4), value=-np.inf)),
        ValueError,
        "X: expected finite values, got NaN or Inf in 1 of 6 rows, first in row 5",
    ),
    (
        lambda: S.apply_outer(changed(E, (3, 1), value=1e30), changed(X, (3, 2), value=1e30)),
        ValueError,
        "E ⊗ X: .* got overflow in 1 of 6 rows, first in row 3",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), CASES)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_found_wherever_it_is(kind, value):
    E, X = factors(3, 4, 9)
    S = KINDS[kind](36, 8)
    for c in range(4):
        with pytest.raises(ValueError, match=r"E: .* in 1 of 3 rows, first in row 1"):
            S.apply_outer(changed(E, (1, c), value=value), X * 0)
    for j in range(9):
        with pytest.raises(ValueError, match=r"X: .* in 1 of 3 rows, first in row 1"):
            S.apply_outer(E * 0, changed(X, (1, j), value=value))
