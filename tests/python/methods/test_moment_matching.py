"""Moment matching against SciPy and against its own certificate."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.problems import constraints, least_mismatch
from support.reference import capped_simplex_projection, moment_terms, one_group

import skmm_fast as skmm
from skmm_fast import _core

WEIGHTINGS = ("paper", "relative")


def spread(seed, N=40, m=5, dtype=np.float64):
    """Rows of uneven norms along uneven directions."""
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((N, m)) * rng.exponential(size=(N, 1)) * 0.7 ** np.arange(m)
    ).astype(dtype)


def phi_of(Z, c_s, weighting):
    target, A, w = moment_terms(Z, c_s, weighting)
    return lambda s: float(w @ np.maximum(target - s @ A, 0) ** 2)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("c_s", [0.95, 0.7, 0.4])
@pytest.mark.parametrize("seed", range(3))
def test_equals_slsqp(weighting, c_s, seed):
    Z, n = spread(seed), 8
    fit = skmm.match_moments(Z, n, c_s=c_s, weighting=weighting, tol=1e-9, max_iter=200_000)
    assert fit.converged
    phi = phi_of(Z, c_s, weighting)
    best = least_mismatch(Z, c_s, weighting, constraints(len(Z), n))
    scale = phi(np.full(len(Z), 1 / len(Z)))
    assert fit.objective == pytest.approx(phi(fit.s), rel=1e-9, abs=1e-12 * scale)
    assert abs(fit.objective - best) <= 1e-6 * scale
    assert fit.objective - best <= fit.gap + 1e-7 * scale


@settings(max_examples=40)
@given(
    st.integers(0, 10**6),
    st.integers(1, 60),
    st.integers(1, 8),
    st.sampled_from(WEIGHTINGS),
    st.data(),
)
def test_invariants(seed, N, m, weighting, data):
    Z = spread(seed, N, m)
    n = data.draw(st.integers(1, N))
    c_s = data.draw(st.floats(n / N, 1 - 1e-9)) if n < N else 1.5
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "c_s = 1.5 >= 1")
        fit = skmm.match_moments(Z, n, c_s=c_s, weighting=weighting, max_iter=100, seed=seed)
    assert fit.s.shape == (N,)
    assert fit.s.min() >= 0
    assert fit.s.max() <= 1 / n
    assert fit.s.sum() == pytest.approx(1, abs=1e-12)
    assert fit.gap >= 0
    assert np.all(fit.history["gap"] >= 0)
    assert np.all(np.diff(fit.history["objective"]) <= 0)
    assert len(fit.history["seconds"]) == fit.n_iter <= 100
    rank = skmm.moments(Z).rank
    assert fit.gamma.shape == (rank,)
    assert np.all(fit.gamma >= 1 / c_s - 1e-12)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_gap_bounds_the_true_error_all_the_way(weighting):
    Z, n, c_s = spread(7, N=60), 12, 0.5
    best = skmm.match_moments(
        Z, n, c_s=c_s, weighting=weighting, tol=1e-11, max_iter=200_000
    ).objective
    for max_iter in (0, 1, 2, 5, 10, 30, 100):
        fit = skmm.match_moments(Z, n, c_s=c_s, weighting=weighting, tol=1e-12, max_iter=max_iter)
        assert fit.objective - best <= fit.gap * (1 + 1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_bits_on_any_threads(dtype):
    Z = spread(1, N=10_000, m=21, dtype=dtype)
    fits = [skmm.match_moments(Z, 100, c_s=0.8, max_iter=30, n_threads=t) for t in (1, 2, 5)]
    for fit in fits[1:]:
        assert np.array_equal(fit.s, fits[0].s)
        assert fit.objective == fits[0].objective


def test_converges_where_the_moments_can_be_matched():
    Z = np.random.default_rng(0).standard_normal((4000, 20)).astype(np.float32)
    for weighting in WEIGHTINGS:
        fit = skmm.match_moments(Z, 200, c_s=0.9, weighting=weighting)
        assert fit.converged
        assert fit.objective <= 1e-6 * fit.start_objective


def test_starts():
    Z = spread(3)
    uniform = np.full(40, 1 / 40)
    a = skmm.match_moments(Z, 8, c_s=0.6, init="uniform", max_iter=3)
    b = skmm.match_moments(Z, 8, c_s=0.6, init=uniform, max_iter=3)
    np.testing.assert_allclose(a.s, b.s, atol=1e-15)
    done = skmm.match_moments(Z, 8, c_s=0.6, tol=1e-8, max_iter=100_000)
    again = skmm.match_moments(Z, 8, c_s=0.6, init=done.s, max_iter=0)
    np.testing.assert_allclose(again.s, done.s, atol=1e-15)
    assert not np.array_equal(
        *(skmm.match_moments(Z, 8, c_s=0.6, seed=s, max_iter=0).s for s in (0, 1))
    )


def test_include_and_exclude():
    Z = spread(5)
    fit = skmm.match_moments(
        Z, 10, c_s=0.6, include=[3, 1], exclude=[0, 7], tol=1e-8, max_iter=50_000
    )
    assert np.all(fit.s[[1, 3]] == 1 / 10)
    assert np.all(fit.s[[0, 7]] == 0)
    assert fit.s.sum() == pytest.approx(1)
    free = skmm.match_moments(Z, 10, c_s=0.6, tol=1e-8, max_iter=50_000)
    assert fit.objective >= free.objective - free.gap
    phi = phi_of(Z, 0.6, "paper")
    assert fit.objective == pytest.approx(phi(fit.s), rel=1e-9)
    everything = skmm.match_moments(Z, 2, c_s=0.9, include=[3, 1])
    assert set(np.flatnonzero(everything.s)) == {1, 3}


def test_c_s_of_one_is_said_to_be_uniform():
    for c_s in (1.0, 2.0):
        with pytest.warns(UserWarning, match="uniform s is optimal"):
            fit = skmm.match_moments(spread(0), 8, c_s=c_s)
        assert np.all(fit.s == 1 / 40)
        assert fit.converged
        assert fit.n_iter == 0


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 300), st.floats(0.001, 1.0), st.floats(-3, 3))
def test_projection(seed, N, share, log_scale):
    v = np.random.default_rng(seed).standard_normal(N) * 10**log_scale
    v[: N // 3] = v[0]  # ties
    count = max(1, int(share * N))
    s = _core.project(v, one_group(N, count), 1 / count, 2)
    assert s.sum() == pytest.approx(1, abs=1e-12 * max(1, np.abs(v).max() * N))
    np.testing.assert_allclose(
        s, capped_simplex_projection(v, 1 / count, 1.0), atol=1e-12 * (1 + np.abs(v).max())
    )


def test_projection_where_rows_fill_the_cap_exactly():
    v = np.array([0.547, 0.191, 0.478, 0.513, 0.531, 0.155, 0.517, 0.25, 0.55, 0.406])
    for count in (7, 3, 10):
        s = _core.project(v, one_group(10, count), 1 / count, 1)
        np.testing.assert_allclose(s, capped_simplex_projection(v, 1 / count, 1.0), atol=1e-12)
    for seed in range(2000):
        rng = np.random.default_rng(seed)
        n = int(rng.choice([7, 49, 13, 25, 11, 97]))
        v = rng.gamma(0.2, 1, 3 * n)
        assert _core.project(v, one_group(3 * n, n), 1 / n, 1).sum() == pytest.approx(1)


def test_a_direction_that_only_excluded_rows_have():
    Z = np.array([[1.0, 0], [1, 0], [1, 0], [0, 1]])
    fit = skmm.match_moments(Z, 2, exclude=[3])
    assert fit.s[3] == 0
    assert fit.gap <= 1e-12
    assert fit.objective == pytest.approx((0.25 / 0.999) ** 2)


def test_every_row_has_one_answer():
    Z = spread(0)
    assert np.all(skmm.match_moments(Z, 40).s == 1 / 40)
    assert np.all(skmm.match_moments(Z[:1], 1).s == 1)
