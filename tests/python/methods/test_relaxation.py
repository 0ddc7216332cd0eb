"""The relaxation of V-optimal selection against SLSQP and brute force, and the route through it."""

import math
from itertools import combinations

import numpy as np
import pytest
from support.problems import constraints as quotas
from support.problems import group_of, slsqp, trace
from support.reference import gmm, v_optimality, whitened

import skmm_fast as skmm
from skmm_fast.methods import relaxation
from skmm_fast.methods.relaxation import TOL, relax
from skmm_fast.methods.v_optimality import best_route
from skmm_fast.pool.pool import Pool


def heavy(seed, N=40, m=3):
    return np.random.default_rng(seed).standard_t(4, size=(N, m))


Y = np.arange(40) % 3
CONSTRAINTS = [
    {},
    {"y": Y, "per_class": {0: 2, 1: 3, 2: 7}},
    {"y": Y, "per_class": {0: 0, 1: 6, 2: 6}, "exclude": [1, 4]},
    {"include": [3, 11, 29]},
    {"exclude": list(range(12))},
    {"y": Y, "per_class": "balanced", "include": [0, 1, 3], "exclude": [2, 5, 9]},
]


@pytest.mark.parametrize("constraints", CONSTRAINTS)
@pytest.mark.parametrize("seed", range(3))
def test_equals_slsqp(seed, constraints):
    Z, n = heavy(seed), 12
    allowed = quotas(40, n, **constraints)
    best = slsqp(Z, allowed)
    for tol in (TOL, 5e-4):
        found = relax(Pool.of(Z), allowed, tol)
        assert found.value == pytest.approx(trace(whitened(Z), found.s), rel=1e-9)
        assert best * (1 - 1e-7) <= found.value <= best * (1 + tol + 1e-7)
        assert best * (1 - 1.2 * tol) <= found.lower_bound <= best * (1 + 1e-7)
        assert found.value - found.lower_bound <= tol * found.value * (1 + 1e-6)
        # feasible
        assert found.s.min() >= 0
        assert found.s.max() <= 1 / n * (1 + 1e-12)
        for g, count in enumerate(allowed.counts):
            assert found.s[group_of(allowed) == g].sum() == pytest.approx(count / n, abs=1e-12)
        assert np.all(found.s[allowed.include] == 1 / n)
        assert np.all(found.s[group_of(allowed) < 0] == 0)


@pytest.mark.parametrize(
    "constraints",
    [
        {},
        {"include": [7]},
        {"exclude": [0, 3]},
        {"y": np.arange(10) < 4, "per_class": {True: 3, False: 1}},
        {"y": np.arange(10) < 4, "per_class": "balanced", "include": [1], "exclude": [9]},
    ],
)
def test_the_bound_holds_for_every_subset_allowed(constraints):
    for seed in range(4):
        Z, allowed = heavy(seed, 10, 2), quotas(10, 4, **constraints)
        values = [
            v_optimality(Z, list(rows))
            for rows in combinations(range(10), 4)
            if set(allowed.include) <= set(rows)
            and np.all(group_of(allowed)[list(rows)] >= 0)
            and np.bincount(
                group_of(allowed)[list(rows)], minlength=len(allowed.counts)
            ).tolist() == allowed.counts
        ]  # fmt: skip
        assert len(values) < math.comb(10, 4) or not allowed.constrained
        found = relax(Pool.of(Z), allowed)
        assert found.lower_bound <= min(values) * (1 + 1e-12)
        selected = skmm.v_optimal(Z, 4, **constraints)
        assert selected.objective >= min(values) * (1 - 1e-9)
        assert selected.lower_bound <= min(values) * (1 + 1e-12)


def test_rows_that_join_a_round_are_enough(monkeypatch):
    """2000 or so of 30 000 rows at a time give what all rows give."""
    Z, y = heavy(0, 30_000, 6), np.arange(30_000) % 2
    assert relaxation.candidates(30_000, 20) < 3000
    for constraints in ({}, {"y": y, "per_class": {0: 4, 1: 16}, "include": [5]}):
        some = relax(Pool.of(Z), quotas(30_000, 20, **constraints))
        with monkeypatch.context() as patch:
            patch.setattr(relaxation, "CANDIDATES_MORE", 30_000)
            every = relax(Pool.of(Z), quotas(30_000, 20, **constraints))
        assert some.value == pytest.approx(every.value, rel=TOL)
        assert some.value - some.lower_bound <= TOL * some.value * (1 + 1e-6)
        assert some.lower_bound <= every.value
        assert every.lower_bound <= some.value
        assert some.value == pytest.approx(trace(whitened(Z), some.s), rel=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_isotropic_rows_of_equal_norm(dtype):
    """Uniform s is optimal where every row has the same norm: f is the rank."""
    Z = np.tile(np.eye(5), (600, 1)).astype(dtype)
    found = relax(Pool.of(Z), quotas(3000, 30))
    assert found.value == pytest.approx(5)
    assert 5 * (1 - TOL) <= found.lower_bound <= 5
    assert skmm.v_optimal(Z, 30).objective == pytest.approx(5)


def test_tol_is_obeyed():
    Z, least = heavy(1, 5000, 8), np.inf
    pool = Pool.of(Z)
    for tol in (1e-4, 1e-3, 1e-2, 0.3):
        found = relax(pool, quotas(5000, 50), tol)
        assert found.value - found.lower_bound <= tol * found.value * (1 + 1e-3)
        assert skmm.v_optimal(Z, 50, tol=tol, refine=False).lower_bound == found.lower_bound
        least = min(least, found.value)
        assert found.lower_bound <= least


def test_small_tol_is_obeyed():
    for seed in range(3):
        found = relax(Pool.of(heavy(seed, 5000, 8)), quotas(5000, 50), 1e-6)
        assert found.value - found.lower_bound <= 1e-6 * found.value * (1 + 1e-3)


@pytest.mark.parametrize("seed", range(30))
def test_rows_allowed_that_do_not_span(seed):
    """Rounding makes the moment of the rows that are allowed singular, or barely not."""
    Z = heavy(seed, 50, 4)
    Z[:30, 3] = 0
    allowed = quotas(50, 8, exclude=range(30, 50))
    assert relax(Pool.of(Z), allowed).value == np.inf
    found = skmm.v_optimal(Z, 8, exclude=range(30, 50), route="relaxation")
    assert len(found.indices) == 8
    assert found.indices.max() < 30
    assert found.lower_bound == np.inf
    assert found.ridge > 0


@pytest.mark.parametrize("small", [1e-2, 1e-3, 1e-4, 1e-5])
def test_the_bound_holds_where_the_rows_allowed_hardly_span(small):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        Z = rng.standard_normal((40, 4))
        Z[:12, 3] *= small
        Z = np.ascontiguousarray(Z @ np.linalg.qr(rng.standard_normal((4, 4)))[0])
        for n in (11, 12):
            found = skmm.v_optimal(Z, n, exclude=range(12, 40))
            assert found.ridge == 0
            assert found.lower_bound <= found.objective * (1 + 1e-9)


def test_all_rows_and_no_choice():
    Z = heavy(0)
    assert relax(Pool.of(Z), quotas(40, 40)).value == pytest.approx(3)
    allowed = quotas(40, 5, include=range(5))
    found = relax(Pool.of(Z), allowed)
    assert found.value == pytest.approx(v_optimality(Z, range(5)))
    assert found.lower_bound == pytest.approx(found.value, rel=1e-8)


def test_both_routes():
    """n = 10 rank: the relaxation and exchanges are as good as greedy additions and exchanges."""
    for seed in range(3):
        Z = skmm.SparseSign(2400, 20, seed=seed).apply(gmm(seed))
        n = 10 * skmm.moments(Z).rank
        routes = {
            (route, refine): skmm.v_optimal(Z, n, route=route, refine=refine, seed=seed)
            for route in ("greedy", "relaxation")
            for refine in (True, False)
        }
        for (route, _), found in routes.items():
            assert found.route == route
            assert len(np.unique(found.indices)) == n
            assert found.objective == pytest.approx(v_optimality(Z, found.indices), rel=1e-6)
            assert found.objective >= found.lower_bound
        assert routes["relaxation", True].objective <= 1.03 * routes["greedy", True].objective
        assert routes["relaxation", True].objective <= routes["relaxation", False].objective
        assert routes["greedy", True].n_swaps > 0 or routes["greedy", True].objective <= (
            (1 + TOL) * routes["greedy", True].lower_bound
        )


def test_the_route_is_a_function_of_the_shapes():
    Z, options = heavy(0, 9000, 4), {"refine": False, "bound": False}
    few, many = (skmm.v_optimal(Z, n, **options) for n in (20, 2000))
    assert (few.route, many.route) == ("greedy", "relaxation")
    again = skmm.v_optimal(1e3 * Z, 2000, n_threads=2, **options)
    assert again.route == "relaxation"
    assert skmm.v_optimal(Z, 2000, sampler="exp", block=50, **options).route == "greedy"


def test_the_bound_pays_for_the_route_of_the_relaxation():
    def route(n, bound=True, sampler="greedy"):
        return best_route(20_000, 512, 512, n, 1, sampler, True, bound)

    assert route(2000) == "relaxation"
    assert route(2000, bound=False) == "greedy"
    assert route(1024) == "greedy"  # twice the rank
    assert route(2000, sampler="exp") == "greedy"
    assert best_route(400, 8, 8, 40, 1, "greedy", True, True) == "greedy"  # little to save


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_bits_on_any_threads(dtype):
    Z, y = heavy(0, 9000, 17).astype(dtype), np.arange(9000) % 3
    for constraints in ({}, {"y": y, "per_class": "proportional", "include": [4, 5]}):
        runs = [
            skmm.v_optimal(Z, 60, route="relaxation", n_threads=t, **constraints) for t in (1, 2, 5)
        ]
        for other in runs[1:]:
            assert np.array_equal(other.indices, runs[0].indices)
            assert other.lower_bound == runs[0].lower_bound
        s = [relax(Pool.of(Z, n_threads=t), quotas(9000, 60, **constraints)).s for t in (1, 5)]
        assert np.array_equal(*s)
