"""Φ, the error of a weighted mean of rows, against its definition and over uniform draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.matching_reference import all_subsets, mean_error, mean_features
from support.reference import second_moment

from skmm_fast.pool.host_rows import HostRowMatrix
from skmm_fast.pool.mean_metric import mean_metric


def metric_of(Z, rows=None, ridge=1.0):
    return mean_metric(HostRowMatrix(Z), second_moment(Z if rows is None else Z[rows]), rows, ridge)


def skewed(N, m, dtype=np.float64, seed=0):
    """Rows of unequal length, far from the origin."""
    rng = np.random.default_rng(seed)
    Z = rng.standard_t(5, size=(N, m)) * 0.7 ** np.arange(m) + rng.standard_normal(m)
    return Z.astype(dtype)


@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.integers(2, 40),
    st.integers(1, 8),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from([1e-3, 0.3, 1.0, 50.0]),
)
def test_the_error_by_its_definition(seed, N, m, dtype, ridge):
    rng = np.random.default_rng(seed)
    Z = skewed(N, m, dtype, seed)
    rows = rng.permutation(N)[: rng.integers(1, N + 1)]
    weights = rng.exponential(size=len(rows)) + 0.01
    weights /= weights.mean()
    B = mean_features(Z, ridge)
    metric = metric_of(Z, ridge=ridge)
    assert metric.error(HostRowMatrix(Z), rows, weights) == pytest.approx(
        mean_error(B, rows, weights), rel=1e-9, abs=1e-12
    )
    assert metric.square == pytest.approx(np.square(B).sum(axis=1).mean())
    # R is fixed up to a rotation, so lengths and angles of b_i are compared, not its entries.
    b = metric.rows(HostRowMatrix(Z), rows)
    np.testing.assert_allclose(b @ b.T, B[rows] @ B[rows].T, rtol=1e-8, atol=1e-10)


def test_many_rows_are_summed_in_parts():
    Z = skewed(20_000, 3, np.float32)
    rows, weights = np.arange(1, 20_000), np.linspace(0.5, 1.5, 19_999)
    expected = mean_error(mean_features(Z), rows, weights)
    assert metric_of(Z).error(HostRowMatrix(Z), rows, weights) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("n", [1, 2, 5, 8, 9])
def test_the_expectation_is_the_mean_over_all_subsets(n):
    Z = skewed(9, 4)
    metric, z = metric_of(Z), HostRowMatrix(Z)
    errors = [metric.error(z, np.array(rows), np.ones(n)) for rows in all_subsets(9, n)]
    assert metric.error_of_draws(n) == pytest.approx(np.mean(errors), rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("n", [5, 60])
def test_the_expectation_beside_many_draws(n):
    Z = skewed(100, 6)
    rng = np.random.default_rng(1)
    B = mean_features(Z)
    errors = np.array([mean_error(B, rng.choice(100, n, replace=False)) for _ in range(10_000)])
    deviation = errors.std() / np.sqrt(len(errors))
    assert abs(metric_of(Z).error_of_draws(n) - errors.mean()) < 4 * deviation


def test_all_rows_have_no_error():
    Z = skewed(50, 4)
    metric = metric_of(Z)
    assert metric.error(HostRowMatrix(Z), np.arange(50), np.ones(50)) < 1e-25
    assert metric.error_of_draws(50) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("N", [1, 30])
def test_rows_that_are_all_equal(N, dtype):
    Z = np.tile(np.array([[3.1, -0.7, 1e-3]], dtype), (N, 1))
    metric = metric_of(Z)
    assert metric.error(HostRowMatrix(Z), np.arange(N)[:2], np.ones(min(N, 2))) == 0
    assert metric.error_of_draws(1) == 0
    assert not metric.rows(HostRowMatrix(Z), np.arange(N)).any()


def test_columns_that_never_change():
    """A constant column has no error; the others keep theirs but for the mean eigenvalue λ̄."""
    Z = np.column_stack([skewed(40, 3), np.full(40, 7.0)])
    rows = np.arange(10)
    expected = mean_error(mean_features(Z), rows)
    assert metric_of(Z).error(HostRowMatrix(Z), rows, np.ones(10)) == pytest.approx(expected)


@pytest.mark.parametrize("ridge", [1e-12, 1e-18, 1e-30])
def test_a_ridge_below_rounding(ridge):
    """Where Z has no full rank, what is below rounding counts for nothing."""
    Z = np.random.default_rng(0).standard_normal((60, 2)) @ np.ones((2, 5)) + 3.0
    metric = metric_of(Z, ridge=ridge)
    errors = [
        metric.error(HostRowMatrix(Z), rows, np.ones(20))
        for rows in (np.arange(20), np.arange(20, 40))
    ]
    line = Z[:, :1]
    expected = [
        mean_error(mean_features(line, 1e-9), rows) for rows in (np.arange(20), np.arange(20, 40))
    ]
    np.testing.assert_allclose(errors, expected, rtol=1e-3)


def test_a_subset_of_rows_as_the_reference():
    """The metric of some rows is that of a matrix which has no others."""
    Z = skewed(60, 4)
    Z[::3] *= 100
    allowed = np.flatnonzero(np.arange(60) % 3)
    part, alone = metric_of(Z, allowed), metric_of(Z[allowed])
    weights = np.linspace(0.5, 1.5, 10)
    assert part.error(HostRowMatrix(Z), allowed[5:15], weights) == pytest.approx(
        alone.error(HostRowMatrix(Z[allowed]), np.arange(5, 15), weights), rel=1e-10
    )
    assert part.n_rows == 40
    assert part.error_of_draws(7) == pytest.approx(alone.error_of_draws(7), rel=1e-10)
    assert part.square == pytest.approx(alone.square, rel=1e-10)
