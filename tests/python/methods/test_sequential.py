"""Herding, k-center, contextual diversity and GLISTER equal their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import baseline_reference as naive

import skmm_fast as skmm

DTYPES = (np.float32, np.float64)
SHAPES = ((80, 6, 30), (9000, 5, 12), (25, 40, 25))  # N, m, n
pytestmark = pytest.mark.filterwarnings("ignore:n = .* < rank")


def chosen(X, n, method, **options):
    return skmm.select(X, n, method=method, sketch_dim=X.shape[1], **options).indices.tolist()


def sample(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape).astype(dtype)


def is_farthest_first(rows, distances):
    """Whether one of the rows, taken first, leads to the others."""
    return any(sorted(naive.farthest_first(distances, i, len(rows))) == rows for i in rows)


# Small integers, N a power of 2: means and squared distances are exact, so ties are ties.
ties = st.tuples(
    st.integers(0, 10**6),
    st.sampled_from([4, 8, 16]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from(DTYPES),
)


def with_ties(case):
    seed, N, m, largest, dtype = case
    rng = np.random.default_rng(seed)
    Z = rng.integers(-largest, largest + 1, (N, m))
    Z[rng.integers(N), 0] = largest  # not all zero
    return Z.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("N", "m", "n"), SHAPES)
@pytest.mark.parametrize("offset", [0, 1000])
def test_herding(N, m, n, dtype, offset):
    Z = sample((N, m), dtype) + dtype(offset)
    order = naive.herding(Z, n)
    assert chosen(Z, n, "herding") == sorted(order)
    assert chosen(Z, n // 2, "herding") == sorted(order[: n // 2])


@settings(max_examples=50)
@given(ties, st.data())
def test_herding_with_ties(case, data):
    Z = with_ties(case)
    n = data.draw(st.integers(1, len(Z)))
    assert chosen(Z, n, "herding") == sorted(naive.herding(Z, n))


def test_herding_keeps_near_the_mean():
    Z = sample((2000, 10), np.float32) + 1
    herd, uniform = (
        np.linalg.norm(Z[chosen(Z, 100, method)].mean(axis=0) - Z.mean(axis=0))
        for method in ("herding", "uniform")
    )
    assert herd < 0.1 * uniform


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("N", "m", "n"), SHAPES)
@pytest.mark.parametrize("offset", [0, 1000])
def test_k_center(N, m, n, dtype, offset):
    Z = sample((N, m), dtype) + dtype(offset)
    for seed in (0, 1):
        assert is_farthest_first(chosen(Z, n, "k-center", seed=seed), naive.euclidean(Z))


@settings(max_examples=50)
@given(ties, st.data())
def test_k_center_with_ties(case, data):
    Z = with_ties(case)
    n = data.draw(st.integers(1, len(Z)))
    assert is_farthest_first(chosen(Z, n, "k-center"), naive.euclidean(Z))


def test_k_center_of_duplicates_takes_one_of_each():
    Z = np.tile(sample((7, 4), np.float32) + 100, (3, 1))
    assert sorted(i % 7 for i in chosen(Z, 7, "k-center")) == list(range(7))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("given_as", ["probs", "logits"])
@pytest.mark.parametrize(("N", "C", "n"), SHAPES)
def test_contextual_diversity(N, C, n, given_as, dtype):
    logits = 2 * sample((N, C), dtype)
    P = naive.softmax(logits.astype(float))
    options = {given_as: logits if given_as == "logits" else P.astype(dtype)}
    for seed in (0, 1):
        rows = chosen(sample((N, 3), dtype, 1), n, "contextual-diversity", seed=seed, **options)
        assert is_farthest_first(rows, naive.symmetric_kl(P))


def test_contextual_diversity_of_certain_predictions():
    """Probabilities that are 0 have no logarithm; rows of one class are still the same."""
    P = np.eye(5)[np.arange(40) % 5]
    rows = chosen(sample((40, 3), np.float64), 5, "contextual-diversity", probs=P)
    assert sorted(i % 5 for i in rows) == list(range(5))


@pytest.mark.parametrize("method", ["k-center", "contextual-diversity"])
def test_the_first_centre_is_uniform(method):
    Z, seeds = sample((5, 2), np.float32), 250
    options = {"logits": Z} if method == "contextual-diversity" else {}
    first = [chosen(Z, 1, method, seed=seed, **options)[0] for seed in range(seeds)]
    counts = np.bincount(first, minlength=5)
    assert np.all(np.abs(counts - seeds / 5) < 4.5 * np.sqrt(seeds * 0.2 * 0.8))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("N", "m", "n"), SHAPES)
@pytest.mark.parametrize("eta", [None, 0.7])
@pytest.mark.parametrize("validated", [False, True])
def test_glister(N, m, n, dtype, eta, validated):
    Z, V = sample((N, m), dtype) + dtype(0.3), sample((33, m), dtype, 1) * dtype(2) + dtype(0.5)
    options = {"eta": eta} | ({"validation": V} if validated else {})
    expected = naive.glister(Z, n, V if validated else Z, eta)
    assert chosen(Z, n, "glister", **options) == sorted(expected)


def test_glister_updates_its_gradient():
    """Without the update it would take n of the rows that gain most at first."""
    Z = np.repeat(np.eye(2), [30, 30], axis=0) * np.array([1.0, 0.99])
    assert chosen(Z, 10, "glister", eta=10.0) == sorted(naive.glister(Z, 10, Z, 10.0))
    assert any(i >= 30 for i in chosen(Z, 10, "glister", eta=10.0))


def test_validation_gradients_are_sketched_as_those_of_x():
    X, V = sample((60, 300), np.float32), sample((20, 300), np.float32, 1) + np.float32(0.2)
    S = skmm.SparseSign(300, 16, seed=5)
    rows = skmm.select(X, 12, method="glister", sketch_dim=16, seed=5, validation=V).indices
    expected = chosen(S.apply(X), 12, "glister", seed=5, validation=S.apply(V))
    assert rows.tolist() == expected


@pytest.mark.parametrize("method", ["herding", "k-center", "glister", "grand", "adaptive"])
@pytest.mark.parametrize("exponent", [-90, 90])
def test_scale_does_not_matter(method, exponent):
    """Squares of these numbers are no float32."""
    Z = sample((50, 4), np.float32) + 1
    assert chosen(Z * np.float32(2.0**exponent), 9, method) == chosen(Z, 9, method)
