"""V-optimal selection against brute force, against the bound, and its constraints."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from support.reference import gmm, v_optimality, whitened

import skmm_fast as skmm
from skmm_fast.methods.relaxation import lower_bound
from skmm_fast.pool.pool import Pool


def trace_with_ridge(W, rows, ridge):
    return len(rows) * np.trace(np.linalg.inv(W[rows].T @ W[rows] + ridge * np.eye(W.shape[1])))


def brute_force_greedy(W, n):
    rows = []
    for _ in range(n):
        left = [i for i in range(len(W)) if i not in rows]
        traces = [trace_with_ridge(W, [*rows, i], 1.0) / (len(rows) + 1) for i in left]
        rows.append(left[int(np.argmin(traces))])
    return rows


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(5))
def test_equals_brute_force_greedy(seed, dtype):
    rng = np.random.default_rng(seed)
    Z = (rng.standard_normal((70, 6)) * rng.exponential(size=(70, 1))).astype(dtype)
    for n in (4, 6, 20):
        if n < 6:
            with pytest.warns(UserWarning, match="rank"):
                ours = skmm.v_optimal(Z, n, refine=False, bound=False)
        else:
            ours = skmm.v_optimal(Z, n, refine=False, bound=False)
        W = Pool.of(Z).W.rows(np.arange(70))
        assert ours.indices.tolist() == sorted(brute_force_greedy(W, n))


@pytest.mark.parametrize("seed", range(3))
def test_objective_and_refinement(seed):
    Z = np.random.default_rng(seed).standard_t(3, size=(400, 8))
    plain = skmm.v_optimal(Z, 40, refine=False)
    refined = skmm.v_optimal(Z, 40, effort="full")
    for result in (plain, refined):
        assert result.ridge == 0
        assert result.objective == pytest.approx(v_optimality(Z, result.indices), rel=1e-9)
        assert result.lower_bound <= result.objective
        assert result.route in ("greedy", "relaxation")
    assert refined.objective <= plain.objective
    assert refined.lower_bound >= 0.9 * refined.objective
    # the row with the largest gain pushes out none of those chosen
    rows = refined.indices
    others = np.setdiff1d(np.arange(400), rows)
    W = whitened(Z)
    C = np.linalg.inv(W[rows].T @ W[rows])
    gain = ((W[others] @ C) ** 2).sum(1) / (1 + np.einsum("ij,jk,ik->i", W[others], C, W[others]))
    with_best = np.append(rows, others[gain.argmax()])
    traces = [
        np.trace(np.linalg.inv(W[k].T @ W[k])) for k in (np.delete(with_best, j) for j in range(41))
    ]
    assert min(traces) >= refined.objective / 40 * (1 - 1e-4)


def test_bound_holds_for_every_subset():
    for seed in range(5):
        Z = np.random.default_rng(seed).standard_normal((9, 2))
        for n in (2, 4, 8):
            best = min(v_optimality(Z, list(rows)) for rows in combinations(range(9), n))
            assert skmm.v_optimal(Z, n).lower_bound <= best * (1 + 1e-9)
            assert skmm.v_optimal(Z, n).objective >= best * (1 - 1e-9)


def test_bound_is_close_to_the_relaxed_optimum_of_slsqp():
    Z = np.random.default_rng(1).standard_t(4, size=(40, 3))
    W, n = whitened(Z), 10

    def f(s):
        return np.trace(np.linalg.inv(W.T @ (s[:, None] * W)))

    def gradient(s):
        return -((W @ np.linalg.inv(W.T @ (s[:, None] * W))) ** 2).sum(axis=1)

    relaxed = minimize(
        f, np.full(40, 1 / 40), jac=gradient, bounds=[(0, 1 / n)] * 40,
        constraints={"type": "eq", "fun": lambda s: s.sum() - 1, "jac": lambda s: np.ones(40)},
        options={"maxiter": 500, "ftol": 1e-12},
    )  # fmt: skip
    assert relaxed.success
    bound = lower_bound(Pool.of(Z), n)
    assert bound <= relaxed.fun * (1 + 1e-7)
    assert bound >= relaxed.fun * (1 - 6e-3)


def test_gmm_of_the_paper():
    """std_max 0.1, m = 40, n = 400: at most 31, uniform about 44."""
    ours, uniform = [], []
    for seed in range(8):
        Z = skmm.SparseSign(2400, 40, seed=seed).apply(gmm(seed))
        diagnosis = skmm.diagnose(Z, skmm.v_optimal(Z, 400, bound=False).indices, seed=seed)
        ours.append(diagnosis.v_optimality)
        uniform.append(diagnosis.random_v_optimality.mean())
        assert diagnosis.lower_bound <= ours[-1] <= 1.05 * diagnosis.lower_bound
    assert np.mean(ours) <= 31
    assert 40 < np.mean(uniform) < 50


def test_blocks_stay_close_to_greedy():
    Z = skmm.SparseSign(2400, 40).apply(gmm(0))
    exact = skmm.v_optimal(Z, 400, refine=False, bound=False).objective
    for block in (4, 16):
        blocked = skmm.v_optimal(Z, 400, block=block, refine=False, bound=False).objective
        assert blocked <= 1.03 * exact


@pytest.mark.parametrize("sampler", ["linear", "exp"])
def test_random_samplers(sampler):
    Z = np.random.default_rng(0).standard_t(3, size=(500, 10))
    results = [
        skmm.v_optimal(Z, 60, sampler=sampler, block=block, refine=False, seed=seed, bound=False)
        for seed, block in ((0, 1), (1, 1), (0, 1), (2, 7))
    ]
    assert np.array_equal(results[0].indices, results[2].indices)
    assert not np.array_equal(results[0].indices, results[1].indices)
    uniform = skmm.diagnose(Z, results[0].indices, n_random=20).random_v_optimality.mean()
    for result in results:
        assert len(np.unique(result.indices)) == 60
        assert result.objective < uniform
    cold = skmm.v_optimal(Z, 60, sampler="exp", refine=False, temperature=1e-6, bound=False)
    greedy = skmm.v_optimal(Z, 60, refine=False, bound=False)
    assert np.array_equal(cold.indices, greedy.indices)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_rows_on_any_threads(dtype):
    Z = np.random.default_rng(0).standard_t(3, size=(9000, 17)).astype(dtype)
    for options in ({}, {"block": 5}, {"sampler": "linear"}):
        runs = [
            skmm.v_optimal(Z, 50, bound=False, n_threads=t, **options).indices for t in (1, 2, 5)
        ]
        assert np.array_equal(runs[0], runs[1])
        assert np.array_equal(runs[0], runs[2])


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 8), st.booleans(), st.data())
@pytest.mark.filterwarnings("ignore:n = .* < rank")
def test_always_n_distinct_rows(seed, N, m, refine, data):
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((N, m))
    Z[rng.random(N) < 0.3] = Z[0]  # duplicates
    n = data.draw(st.integers(1, N))
    fixed = rng.permutation(N)
    include, exclude = fixed[: rng.integers(0, n + 1)], fixed[n + rng.integers(0, N - n + 1) :]
    sampler = data.draw(st.sampled_from(["greedy", "linear", "exp"]))
    result = skmm.v_optimal(
        Z,
        n,
        sampler=sampler,
        block=data.draw(st.integers(1, 9)),
        refine=refine,
        seed=seed,
        include=include,
        exclude=exclude,
    )
    assert len(result.indices) == n
    assert np.all(np.diff(result.indices) > 0)
    assert set(include) <= set(result.indices)
    assert not set(exclude) & set(result.indices)
    assert result.lower_bound <= result.objective * (1 + 1e-9) or result.ridge > 0


def test_per_class():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((300, 6))
    y = np.array(["a", "b", "c"])[np.minimum(rng.integers(0, 12, 300), 2)]
    sizes = {c: int((y == c).sum()) for c in "abc"}
    assert sizes["a"] < 40 < sizes["c"]

    def counts(**options):
        rows = skmm.v_optimal(Z, 90, y=y, bound=False, **options).indices
        return {c: int((y[rows] == c).sum()) for c in "abc"}

    balanced = counts(per_class="balanced")
    small = {c: size for c, size in sizes.items() if size < 30}
    shares = {c: (90 - sum(small.values())) / (3 - len(small)) for c in "abc"}
    for c in "abc":
        assert balanced[c] == small[c] if c in small else abs(balanced[c] - shares[c]) < 1
    assert sum(balanced.values()) == 90
    proportional = counts(per_class="proportional")
    for c in "abc":
        assert abs(proportional[c] - 90 * sizes[c] / 300) < 1
    assert counts(per_class={"a": 5, "b": 0, "c": 85}) == {"a": 5, "b": 0, "c": 85}
    inside = counts(
        per_class={"a": 5, "b": 0, "c": 85}, include=np.flatnonzero(y == "a")[:3], block=8
    )
    assert inside == {"a": 5, "b": 0, "c": 85}


def test_whitening_of_an_ill_conditioned_z():
    """All rows have V-optimality rank(Z), however small the least eigenvalue."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        Q = np.linalg.qr(rng.standard_normal((6, 6)))[0]
        for small in (1e-6, 3e-7, 1e-7, 1e-9):
            Z = (rng.standard_normal((300, 6)) * [1, 1, 1, 1, 1, small]) @ Q
            d = skmm.diagnose(Z, np.arange(300))
            assert d.v_optimality == pytest.approx(d.rank, rel=1e-4)
            assert d.lower_bound == pytest.approx(d.rank, rel=1e-4)


def test_bad_starts_are_left_behind():
    """Starts that are singular or tiny: refinement ends regular, no worse, and near the bound."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        Z = rng.standard_normal((60, 4))
        Z[:40] = Z[0]  # most rows are one row
        result = skmm.v_optimal(Z, 6, sampler="linear", seed=seed, block=6)
        assert result.ridge == 0
        assert result.lower_bound <= result.objective <= 1.5 * result.lower_bound
    for scale in (3e-5, 1e-4, 1e-2):
        rng = np.random.default_rng(7)
        Z = np.vstack([scale * rng.standard_normal((600, 5)), rng.standard_normal((60, 5))])
        for sampler in ("exp", "linear", "greedy"):
            plain, refined = (
                skmm.v_optimal(Z, 30, sampler=sampler, refine=r, temperature=1e6, seed=1)
                for r in (False, True)
            )
            assert refined.objective <= plain.objective * (1 + 1e-9)
            assert refined.objective <= 1.1 * refined.lower_bound
            assert refined.objective == skmm.diagnose(Z, refined.indices).v_optimality


@settings(max_examples=60)
@given(st.integers(0, 10**6))
@pytest.mark.filterwarnings("ignore:n = .* < rank")
def test_refinement_is_never_worse(seed):
    rng = np.random.default_rng(seed)
    N, m = int(rng.integers(10, 80)), int(rng.integers(1, 6))
    Z = rng.standard_normal((N, m)) * 10.0 ** rng.uniform(-6, 0, (N, 1))
    n = int(rng.integers(m, N + 1))
    include = rng.permutation(N)[: rng.integers(0, n)]
    plain, refined = (skmm.v_optimal(Z, n, refine=r, include=include) for r in (False, True))
    assert plain.ridge >= refined.ridge
    if plain.ridge == refined.ridge:
        assert refined.objective <= plain.objective * 1.01
    if refined.ridge == 0:
        found = skmm.diagnose(Z, refined.indices).v_optimality
        assert refined.objective == pytest.approx(found, rel=1e-9)
        assert refined.objective >= refined.lower_bound


def test_no_n_rows_span_z():
    Z = np.random.default_rng(0).standard_normal((100, 12))
    with pytest.warns(UserWarning, match="n = 5 < rank"):
        few = skmm.v_optimal(Z, 5)
    W = whitened(Z)
    assert few.ridge == 1.0
    assert few.objective == pytest.approx(trace_with_ridge(W, few.indices, 1.0))
    uniform = [
        trace_with_ridge(W, np.random.default_rng(s).choice(100, 5, replace=False), 1.0)
        for s in range(20)
    ]
    assert few.objective < min(uniform)


def test_rows_that_are_all_the_same_or_the_only_one():
    assert skmm.v_optimal(np.ones((5, 3)), 2).objective == pytest.approx(1)
    assert skmm.v_optimal(np.full((1, 1), -2.0), 1).indices.tolist() == [0]
    full = skmm.v_optimal(np.eye(4), 4)
    assert full.indices.tolist() == [0, 1, 2, 3]
    assert full.objective == pytest.approx(4)
    assert full.lower_bound == pytest.approx(4)


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_huge_and_tiny_values(scale):
    Z = np.random.default_rng(0).standard_normal((200, 6))
    for dtype in (np.float32, np.float64):
        same = skmm.v_optimal((Z * scale).astype(dtype), 20)
        assert same.objective == pytest.approx(
            skmm.v_optimal(Z.astype(dtype), 20).objective, rel=1e-2
        )
