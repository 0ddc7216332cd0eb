"""Inputs that break naive arithmetic, and what goes on around moment matching."""

import numpy as np
import pytest
from scipy.optimize import linprog
from support.problems import constraints, least_mismatch
from support.reference import moment_terms, v_optimality

import skmm_fast as skmm

DTYPES = (np.float32, np.float64)
WEIGHTINGS = ("paper", "relative")
METHODS = ("v-optimal", "moment-matching")


def normal(N, m, seed=0):
    return np.random.default_rng(seed).standard_normal((N, m))


def one_giant_row():
    Z = normal(60, 4)
    Z[17] *= 1e6
    return Z


def equal_rows():
    return np.tile(normal(1, 3), (60, 1))


def rank_one():
    return normal(60, 1) * normal(1, 5, 1)


def twelve_decades():
    Q = np.linalg.qr(normal(6, 6, 1))[0]
    return (normal(80, 6) * 10.0 ** -np.arange(0, 7.2, 1.2)) @ Q  # of eigenvalues


def duplicates():
    return normal(15, 4)[np.arange(60) % 15]


def zero_rows():
    Z = normal(60, 4)
    Z[np.arange(60) % 3 > 0] = 0
    return Z


def one_column():
    return normal(60, 1)


def rows_of_all_sizes():
    return normal(80, 4) * 10.0 ** -np.linspace(0, 6, 80)[:, None]


HARD = [
    one_giant_row,
    equal_rows,
    rank_one,
    twelve_decades,
    duplicates,
    zero_rows,
    one_column,
    rows_of_all_sizes,
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", HARD)
@pytest.mark.parametrize("n", [6, 20, None])
def test_select(make, dtype, n):
    Z = make().astype(dtype)
    n = n or len(Z)  # all rows
    rank = skmm.moments(Z).rank
    for method in METHODS:
        for refine in (True, False):
            selected = skmm.select(Z, n, method=method, sketch_dim=Z.shape[1], refine=refine)
            assert len(np.unique(selected.indices)) == n
            d = selected.diagnosis
            assert d.rank == rank
            assert d.v_optimality >= d.lower_bound * (1 - 1e-9)
            assert 0 < d.lower_bound < np.inf
            if method == "v-optimal" or refine:  # n >= rank: n rows that span Z exist
                assert d.v_optimality < np.inf
                if n < len(Z):
                    assert d.v_optimality <= d.random_v_optimality.min() * (1 + 1e-6)
            if n == len(Z):
                assert d.v_optimality == pytest.approx(rank, rel=1e-4)
                assert d.lower_bound == pytest.approx(rank, rel=1e-4)


@pytest.mark.parametrize("make", HARD)
@pytest.mark.parametrize("route", ["greedy", "relaxation"])
def test_v_optimality_is_what_its_definition_says(make, route):
    Z = make()
    if skmm.moments(Z).rank < Z.shape[1] or make is twelve_decades:
        Q = skmm.moments(Z).eigenvectors[:, : skmm.moments(Z).rank]
        Z = np.ascontiguousarray(Z @ Q)
    found = skmm.v_optimal(Z, 20, route=route)
    assert found.ridge == 0
    assert found.lower_bound * (1 - 1e-9) <= found.objective
    assert found.objective == pytest.approx(v_optimality(Z, found.indices), rel=1e-3)
    assert found.objective <= 1.2 * found.lower_bound


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", HARD)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_moment_matching(make, weighting, dtype):
    Z, n, c_s = make().astype(dtype), 12, 0.7
    fit = skmm.match_moments(Z, n, c_s=c_s, weighting=weighting, tol=1e-7, max_iter=300)
    assert fit.s.min() >= 0
    assert fit.s.max() <= 1 / n
    assert fit.s.sum() == pytest.approx(1, abs=1e-11)
    assert np.isfinite(fit.gamma).all()
    assert fit.converged
    assert 0 <= fit.gap <= 1e-7 * fit.start_objective or fit.objective < 1e-20
    if dtype == np.float64:
        best = least_mismatch(Z, c_s, weighting, constraints(len(Z), n))
        scale = max(fit.start_objective, best)
        assert fit.objective <= best + 1e-6 * scale
        for max_iter in (0, 1, 3, 10):
            early = skmm.match_moments(
                Z, n, c_s=c_s, weighting=weighting, tol=1e-12, max_iter=max_iter
            )
            assert early.objective - best <= early.gap + 1e-9 * scale
            assert early.objective >= fit.objective - fit.gap - 1e-9 * scale


@pytest.mark.parametrize("make", HARD)
def test_a_target_that_can_be_met_is_met(make):
    """c_s just below 1: s that dominates every moment exists where a linear program finds one."""
    Z, n, c_s = make(), 20, 0.999
    target, A, _ = moment_terms(Z, c_s, "paper")
    keep = target * c_s > 1e-13 * target.max()
    feasible = linprog(
        np.zeros(len(Z)), -A[:, keep].T / target[keep, None], -np.ones(keep.sum()),
        np.ones((1, len(Z))), [1], [(0, 1 / n)] * len(Z),
    ).success  # fmt: skip
    for weighting in WEIGHTINGS:
        fit = skmm.match_moments(Z, n, c_s=c_s, weighting=weighting)
        assert fit.converged
        assert (fit.objective <= max(1e-6 * fit.start_objective, 1e-20)) == feasible


@pytest.mark.parametrize(
    ("N", "m", "n", "c_s", "weighting", "seed"),
    [
        (3, 2, 1, 0.8, "relative", 674),
        (3, 3, 2, 0.8, "relative", 57),
        (3, 2, 1, 0.8, "paper", 1924),
        (10, 3, 2, 0.3, "relative", 36),
        (40, 5, 8, 0.4, "paper", 172),
    ],
)
def test_s_sums_to_one_where_the_target_cannot_be_met(N, m, n, c_s, weighting, seed):
    Z = normal(N, m, seed)
    for tol in (1e-6, 1e-10):
        fit = skmm.match_moments(Z, n, c_s=c_s, weighting=weighting, tol=tol)
        assert fit.s.sum() == pytest.approx(1, abs=1e-9)
        skmm.draw(fit.s, n)


def test_what_does_not_converge_says_so():
    """Only a direction of tiny λ is short: φ(s_0) is 1e-11 of φ(0)."""
    fit = skmm.match_moments(normal(3, 3, 2743), 2, c_s=0.8, max_iter=100)
    assert fit.converged == (fit.gap <= 1e-6 * fit.start_objective)
    assert fit.gap <= 0.1 * fit.start_objective
    assert fit.s.sum() == pytest.approx(1, abs=1e-9)


def test_a_million_equal_rows():
    Z = np.tile(np.array([1.0, -2.0, 0.5], np.float32), (10**6, 1))
    for method in METHODS:
        selected = skmm.select(Z, 10, method=method, sketch_dim=3)
        assert len(np.unique(selected.indices)) == 10
        assert selected.diagnosis.v_optimality == pytest.approx(1)
        assert selected.diagnosis.lower_bound == pytest.approx(1, rel=1e-4)
    for weighting in WEIGHTINGS:
        fit = skmm.match_moments(Z, 10, c_s=0.5, weighting=weighting)
        assert fit.converged
        assert fit.gap <= 1e-6 * fit.start_objective
        assert fit.s.sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (6, 6), (9, 2)])
def test_every_row(shape, dtype):
    Z = normal(*shape).astype(dtype)
    for method in METHODS:
        assert np.array_equal(skmm.select(Z, shape[0], method=method).indices, np.arange(shape[0]))
    for weighting in WEIGHTINGS:
        fit = skmm.match_moments(Z, shape[0], weighting=weighting)
        np.testing.assert_allclose(fit.s, 1 / shape[0])
        assert fit.converged
    found = skmm.v_optimal(Z, shape[0])
    assert found.objective == pytest.approx(min(shape), rel=1e-4)


@pytest.fixture
def mapped(tmp_path):
    """Z, the same as a memory map, and an empty folder for scratch files."""
    Z = np.random.default_rng(0).standard_t(3, size=(3000, 10)).astype(np.float32)
    np.save(tmp_path / "z.npy", Z)
    (tmp_path / "scratch").mkdir()
    return Z, np.load(tmp_path / "z.npy", mmap_mode="r"), tmp_path / "scratch"


def test_a_memory_map_and_scratch_files(mapped):
    Z, map_of_Z, scratch = mapped
    for weighting in WEIGHTINGS:
        here = skmm.match_moments(Z, 60, c_s=0.6, weighting=weighting)
        for same in (map_of_Z, Z):
            there = skmm.match_moments(same, 60, c_s=0.6, weighting=weighting, scratch_dir=scratch)
            assert np.array_equal(there.s, here.s)
            assert there.objective == here.objective
    for method in METHODS:
        for sketch_dim in (10, 5):
            here = skmm.select(Z, 60, method=method, sketch_dim=sketch_dim)
            there = skmm.select(
                map_of_Z, 60, method=method, sketch_dim=sketch_dim, scratch_dir=str(scratch)
            )
            assert np.array_equal(there.indices, here.indices)
            assert there.settings == here.settings
    assert np.array_equal(skmm.v_optimal(map_of_Z, 60).indices, skmm.v_optimal(Z, 60).indices)
    assert list(scratch.iterdir()) == []
    with pytest.raises(OSError, match="absent"):
        skmm.match_moments(Z, 60, scratch_dir=scratch / "absent")


def uneven(seed=0, N=2000, m=12):
    rng = np.random.default_rng(seed)
    return rng.standard_t(3, size=(N, m)) * 0.6 ** np.arange(m)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_callback_and_history(weighting, tmp_path):
    seen = []
    fit = skmm.match_moments(
        uneven(),
        60,
        c_s=0.5,
        weighting=weighting,
        callback=lambda *said: seen.append(said),
        tol=1e-9,
    )
    steps, objectives, gaps = (np.array(column) for column in zip(*seen, strict=True))
    assert fit.n_iter > 3
    assert steps[: fit.n_iter - 1].tolist() == list(range(1, fit.n_iter))
    assert len(seen) in (fit.n_iter - 1, fit.n_iter)  # a bound that is enough needs no call
    assert np.all(np.diff(objectives) <= 0)
    assert np.all(gaps >= 0)
    assert {len(column) for column in fit.history.values()} == {fit.n_iter}
    assert np.all(np.diff(fit.history["seconds"]) >= 0)
    assert fit.n_iter <= fit.n_passes <= 4 * fit.n_iter + 4
    assert fit.objective <= fit.history["objective"][-1]
    for stop in (1, 3):
        stopped = skmm.match_moments(
            uneven(),
            60,
            c_s=0.5,
            weighting=weighting,
            callback=lambda i, phi, gap, at=stop: i < at,
            tol=1e-9,
        )
        assert stopped.n_iter == stop
        assert not stopped.converged
        assert stopped.objective == fit.history["objective"][stop - 1]
        assert stopped.objective - fit.objective <= stopped.gap

    def fail(iteration, objective, gap):
        raise KeyError(iteration)

    with pytest.raises(KeyError, match="1"):
        skmm.match_moments(
            uneven(), 60, c_s=0.5, weighting=weighting, callback=fail, scratch_dir=tmp_path
        )
    assert list(tmp_path.iterdir()) == []


def test_what_the_callback_is_told_is_what_the_fit_says():
    seen = []
    Z = 1e3 * uneven()
    fit = skmm.match_moments(Z, 60, c_s=0.5, callback=lambda *said: seen.append(said))
    for iteration, objective, gap in seen:
        assert objective == pytest.approx(fit.history["objective"][iteration - 1], rel=1e-12)
        assert gap == pytest.approx(fit.history["gap"][iteration - 1], rel=1e-12)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_a_warm_start_is_no_slower(weighting):
    for seed in range(3):
        Z = uneven(seed)
        loose = skmm.match_moments(Z, 60, c_s=0.5, weighting=weighting, tol=1e-3)
        cold = skmm.match_moments(Z, 60, c_s=0.5, weighting=weighting, tol=1e-6)
        # the same gap, as a share of a smaller start
        tol = 1e-6 * cold.start_objective / loose.objective
        warm = skmm.match_moments(Z, 60, c_s=0.5, weighting=weighting, tol=tol, init=loose.s)
        assert cold.converged
        assert warm.converged
        assert warm.start_objective == pytest.approx(loose.objective, rel=1e-6)
        assert warm.n_iter <= cold.n_iter
        assert abs(warm.objective - cold.objective) <= 1e-6 * cold.start_objective
