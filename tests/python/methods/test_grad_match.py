"""GRAD-MATCH equals its definition, whose weights are those of scipy.optimize.nnls."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import baseline_reference as naive

import skmm_fast as skmm
from skmm_fast.methods.grad_match import grad_match
from skmm_fast.methods.problem import Problem
from skmm_fast.methods.registry import REGISTRY
from skmm_fast.pool.pool import Pool

DTYPES = (np.float32, np.float64)
SHAPES = ((60, 6, 20), (4500, 5, 12), (25, 30, 12))  # N, m, n


def sample(N, m, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((N, m)) * rng.exponential(size=(N, 1)) + 0.1).astype(dtype)


def run(Z, n, *tasks, y=None, per_class=None, include=None, exclude=None, seed=0, **options):
    problem = Problem.of_matrix(
        Z, n, y=y, per_class=per_class, include=include, exclude=exclude, seed=seed, n_threads=1,
        progress=False, targets=[lambda rows=rows: Pool.of(rows) for rows in tasks],
    )  # fmt: skip
    return grad_match(problem, **options)


def check(found, expected, n):
    rows, weights = expected
    assert len(rows) == n
    order = np.argsort(rows)
    assert found.rows.tolist() == np.array(rows)[order].tolist()
    assert found.weights.mean() == pytest.approx(1)
    np.testing.assert_allclose(found.weights, weights[order] / weights.mean(), 1e-6, 1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("N", "m", "n"), SHAPES)
@pytest.mark.parametrize("ridge", [0.5, 1e-3])
def test_the_mean_of_the_pool(N, m, n, ridge, dtype):
    Z = sample(N, m, 0, dtype)
    expected = naive.grad_match(Z, n, Z.astype(float).mean(axis=0), ridge)
    found = run(Z, n, ridge=ridge)
    check(found, expected, n)
    rows, weights = expected
    mean = Z.astype(float).mean(axis=0)
    left = np.linalg.norm(mean - weights @ Z[rows]) / np.linalg.norm(mean)
    assert found.facts["residual"] == pytest.approx(left, rel=1e-6)
    assert found.facts["n_weighted"] == np.count_nonzero(weights)


@pytest.mark.parametrize("sizes", [(1,), (8,), (9, 2)])
def test_the_mean_of_a_target(sizes):
    Z, tasks = sample(60, 6), [sample(T, 6, T) - 0.4 for T in sizes]
    goal = np.mean([task.mean(axis=0) for task in tasks], axis=0)
    check(run(Z, 20, *tasks), naive.grad_match(Z, 20, goal), 20)
    given = tasks if len(tasks) > 1 else tasks[0]
    by_select = skmm.select(Z, 20, method="grad-match", sketch_dim=6, target=given).indices
    assert by_select.tolist() == run(Z, 20, *tasks).rows.tolist()


def test_constraints():
    Z, y = sample(60, 6), np.arange(60) // 20
    counts, include = {0: 4, 1: 8, 2: 3}, [1, 45]

    def open_to(rows, i):
        return i != 5 and sum(y[row] == y[i] for row in rows) < counts[y[i]]

    expected = naive.grad_match(Z, 15, Z.mean(axis=0), rows=include, open_to=open_to)
    check(run(Z, 15, y=y, per_class=counts, include=include, exclude=[5]), expected, 15)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(1, 6), st.sampled_from([1e-6, 0.5]))
def test_weights_are_those_of_nonnegative_least_squares(seed, N, m, ridge):
    """Also of rows that are left with weight 0, and where the pursuit ends early."""
    rng = np.random.default_rng(seed)
    Z, goal = rng.standard_normal((N, m)), rng.standard_normal((1, m))
    n = int(rng.integers(1, N + 1))
    found = run(Z, n, goal, ridge=ridge, seed=seed)
    order, _ = naive.grad_match(Z, n, goal[0], ridge)
    assert set(order) <= set(found.rows) or ridge < 0.5  # rounding chooses among equals
    _, weights = naive.grad_match(Z, 0, goal[0], ridge, rows=found.rows)
    weights = weights / weights.mean() if weights.any() else np.ones(n)
    np.testing.assert_allclose(found.weights, weights, 1e-5, 1e-5 * weights.max())


def test_where_the_pursuit_ends_the_largest_products_follow():
    """One row is along the goal; others point away, by more and more."""
    Z = np.vstack([[[2.0, 0]], [[-1, 0]] * 3, [[-3, 1]] * 3])
    found = run(Z, 4, np.array([[1.0, 0]]))
    assert found.rows.tolist() == [0, 1, 2, 3]
    assert found.weights.tolist() == [4, 0, 0, 0]


def test_ties_behind_the_pursuit_are_drawn():
    Z = np.vstack([np.eye(3)[:1], np.tile(np.eye(3)[1:], (30, 1))])
    goal = np.array([[1.0, 0, 0]])
    draws = [run(Z, 10, goal, seed=seed) for seed in range(20)]
    assert all(draw.rows[0] == 0 and draw.weights[0] == 10 for draw in draws)
    assert len({tuple(draw.rows) for draw in draws}) > 15
    nothing = [run(np.vstack([Z, -Z]), 10, seed=seed) for seed in range(20)]  # the mean is 0
    assert len({tuple(draw.rows) for draw in nothing}) > 15
    assert all(draw.weights.tolist() == [1] * 10 for draw in nothing)
    assert nothing[0].facts["residual"] == 1


@pytest.mark.parametrize("exponent", [-90, 90])
def test_scale_does_not_matter(exponent):
    Z, goal = sample(50, 4, 0, np.float32), sample(5, 4, 1, np.float32)
    scale = np.float32(2.0**exponent)
    first, *others = run(Z, 9, goal), run(Z * scale, 9, goal), run(Z, 9, goal * scale)
    for other in others:
        assert other.rows.tolist() == first.rows.tolist()
        np.testing.assert_allclose(other.weights, first.weights, 1e-6)


@pytest.mark.parametrize("ridge", [0.0, -1.0, np.inf, "0.5", True])
def test_a_bad_ridge_is_named(ridge, monkeypatch):
    monkeypatch.setattr(skmm.SparseSign, "_apply", lambda *_a, **_k: pytest.fail("sketched"))
    with pytest.raises((TypeError, ValueError), match=r"^ridge: expected a number"):
        skmm.select(sample(60, 300), 20, method="grad-match", ridge=ridge)


def test_other_methods_give_no_weights():
    problem = Problem.of_matrix(
        sample(9, 2), 3, y=None, per_class=None, include=None, exclude=None, seed=0, n_threads=1,
        progress=False,
    )  # fmt: skip
    assert REGISTRY["uniform"].run(problem).weights is None
