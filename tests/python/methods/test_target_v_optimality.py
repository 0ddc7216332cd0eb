"""V-optimal selection for a target: against its definition, and bounds against brute force."""

from itertools import combinations

import numpy as np
import pytest
from support.reference import second_moment

import skmm_fast as skmm

OVER = {"mean": np.mean, "worst": np.max}


def sample(N, m, seed=0, df=4):
    return np.random.default_rng(seed).standard_t(df, size=(N, m))


def unit(Z):
    norms = np.linalg.norm(Z.astype(float), axis=1, keepdims=True)
    return Z / np.where(norms > 0, norms, 1)


def of_tasks(Z, tasks, rows):
    """tr(Σ_t Σ̃_S⁻¹) of each task, Σ_t = 0.9 Σ_target + 0.1 Σ̃, for rows of norm 1, on the range of
    the pool's rows."""
    Z = unit(Z)
    lam, V = np.linalg.eigh(second_moment(Z))
    V = V[:, lam > 1e-14 * lam.max()]
    C = np.linalg.inv(V.T @ second_moment(Z[list(rows)]) @ V)
    moments = [0.9 * second_moment(unit(T)) + 0.1 * second_moment(Z) for T in tasks]
    return np.array([np.trace(V.T @ M @ V @ C) for M in moments])


def selection(Z, n, target=None, **options):
    options = {"sketch_dim": Z.shape[1], **options}
    return skmm.select(Z, n, method="v-optimal", target=target, **options)


def select(Z, n, target, **options):
    found = selection(Z, n, target, **options)
    return found.indices, found.settings["solver"]


@pytest.mark.parametrize(
    "constraints",
    [
        {},
        {"include": [7], "exclude": [0, 3]},
        {"y": np.arange(10) % 3, "per_class": {0: 2, 1: 1, 2: 1}},
    ],
)
@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize("small", [1, 1e-3, 1e-5])
@pytest.mark.parametrize("seed", range(4))
def test_the_bound_holds_for_every_subset(seed, small, over, constraints):
    """The best of all subsets lies between the bound and what is found, which is not far off."""
    Z, tasks = sample(10, 2, seed), [sample(T, 2, 10 + seed + T) for T in (3, 2, 5)]
    Z[:, 1] *= small
    Z[4] = 0
    y = constraints.get("y", np.zeros(10, int))
    allowed = [
        rows
        for rows in combinations(range(10), 4)
        if set(constraints.get("include", ())) <= set(rows)
        and not set(constraints.get("exclude", ())) & set(rows)
        and ("y" not in constraints or np.bincount(y[list(rows)]).tolist() == [2, 1, 1])
    ]
    values = {rows: OVER[over](of_tasks(Z, tasks, rows)) for rows in allowed}
    best = min(values.values())
    rounding = max(1e-12, 1e-15 / small**2)
    rows, facts = select(Z, 4, tasks, over_targets=over, **constraints)
    assert facts["target_lower_bound"] <= best * (1 + rounding)
    assert best * (1 - rounding) <= facts["target_v_optimality"] <= 1.15 * best
    found = values[tuple(rows.tolist())]
    assert facts["target_v_optimality"] == pytest.approx(found, rel=rounding)
    np.testing.assert_allclose(facts["v_optimality_of_tasks"], of_tasks(Z, tasks, rows), rounding)


def test_bounds_are_near_what_is_found():
    """Clusters of very uneven sizes, which are the tasks."""
    for seed in range(2):
        rng = np.random.default_rng(seed)
        centres, sizes = rng.standard_normal((6, 12)), [1000, 600, 300, 60, 30, 10]
        Z = np.repeat(centres, sizes, axis=0)
        Z = Z + 0.3 * rng.standard_normal(Z.shape)
        tasks = [centres[k] + 0.3 * rng.standard_normal((15, 12)) for k in (0, 3, 5)]
        for route in ("greedy", "relaxation"):
            for over in OVER:
                rows, facts = select(Z, 120, tasks, over_targets=over, route=route)
                found = OVER[over](of_tasks(Z, tasks, rows))
                assert facts["route"] == route
                assert facts["target_v_optimality"] == pytest.approx(found)
                assert facts["target_lower_bound"] <= found <= 1.05 * facts["target_lower_bound"]
        mean, worst = (select(Z, 120, tasks, over_targets=over)[0] for over in OVER)
        assert of_tasks(Z, tasks, worst).max() < of_tasks(Z, tasks, mean).max()
        assert of_tasks(Z, tasks, worst).mean() > of_tasks(Z, tasks, mean).mean()
        plain = selection(Z, 120, unit_rows=True).indices
        for k, task in enumerate(tasks):
            alone = select(Z, 120, task)[0]
            assert of_tasks(Z, tasks, alone)[k] < of_tasks(Z, tasks, plain)[k]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_pool_as_target_is_v_optimality_of_unit_rows(dtype):
    Z = sample(300, 6).astype(dtype)
    rows, facts = select(Z, 40, Z)
    plain = selection(Z, 40, unit_rows=True)
    solver = plain.settings["solver"]
    assert facts["target_lower_bound"] == pytest.approx(solver["lower_bound"], rel=1e-6)
    assert facts["target_v_optimality"] == pytest.approx(plain.diagnosis.v_optimality, rel=1e-3)
    again, _ = select(Z, 40, 3 * Z, unit_rows=True)
    assert again.tolist() == rows.tolist()


def test_one_task_has_no_worst():
    Z, target = sample(200, 4), sample(9, 4, 1)
    mean, worst = (select(Z, 20, target, over_targets=over) for over in OVER)
    assert mean[0].tolist() == worst[0].tolist()
    assert mean[1] == worst[1]


def test_the_diagnosis_is_that_of_the_pool():
    Z, target = sample(200, 4), sample(9, 4, 1)
    found = selection(Z, 20, target, seed=3)
    own = skmm.diagnose(Z, found.indices, seed=3)
    assert found.diagnosis.v_optimality == own.v_optimality
    assert found.diagnosis.lower_bound == own.lower_bound


def test_what_of_the_target_no_row_of_the_pool_shows_is_left_out():
    Q = np.linalg.qr(sample(6, 6))[0]
    narrow, task = sample(100, 4), sample(9, 6, 1)
    Z = np.ascontiguousarray(narrow @ Q[:4])
    rows, facts = select(Z, 20, task)
    assert facts["target_v_optimality"] == pytest.approx(of_tasks(Z, [task], rows)[0])
    assert facts["target_lower_bound"] <= facts["target_v_optimality"]
    assert facts["target_v_optimality"] <= 1.3 * facts["target_lower_bound"]
    rows, facts = select(Z, 20, Q[4:])
    plain = skmm.diagnose(np.ascontiguousarray(unit(Z)), rows).v_optimality
    assert facts["target_v_optimality"] == pytest.approx(0.1 * plain)
    assert facts["target_lower_bound"] == pytest.approx(0.1 * 4, rel=0.2)


@pytest.mark.parametrize("small", [1e-2, 1e-3, 3e-5, 1e-6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_direction_that_the_pool_hardly_shows(small, dtype):
    """Also where W is stored; its second moment is far from the identity."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        scale = np.array([1, 1, 1, small])
        Q = np.linalg.qr(rng.standard_normal((4, 4)))[0]
        Z = np.ascontiguousarray((rng.standard_normal((300, 4)) * scale) @ Q).astype(dtype)
        task = rng.standard_normal((9, 4)).astype(dtype)
        if skmm.moments(Z).rank < 4:
            continue
        rows, facts = select(Z, 30, task)
        Z = Z.astype(float)
        found = of_tasks(Z, [task], rows)[0]
        assert facts["ridge"] == 0
        rel = 1e-2 if dtype == np.float32 else 1e-3  # unit rows are rounded to float32
        assert facts["target_v_optimality"] == pytest.approx(found, rel=rel)
        bound = facts["target_lower_bound"]
        assert bound <= facts["target_v_optimality"] <= 1.3 * bound


def test_too_few_rows_to_span_the_pool():
    Z, tasks = sample(100, 12), [sample(9, 12, 1), sample(5, 12, 2)]
    for over in OVER:
        with pytest.warns(UserWarning, match="n = 5 < rank"):
            rows, facts = select(Z, 5, tasks, over_targets=over)
        assert len(rows) == 5
        assert facts["ridge"] > 0
        assert facts["target_v_optimality"] == "inf"


def test_options():
    Z, tasks = sample(100, 4), [sample(9, 4, 1), sample(5, 4, 2)]
    with pytest.raises(ValueError, match=r"^over_targets: expected one of 'mean', 'worst'"):
        select(Z, 20, tasks, over_targets="best")
    with pytest.raises(ValueError, match=r"^over_targets: expected 'mean' without a target"):
        select(Z, 20, None, over_targets="worst")
    assert select(Z, 20, None, over_targets="mean")[0].tolist() == select(Z, 20, None)[0].tolist()
    assert select(Z, 20, tasks, refine=False)[1]["n_swaps"] == 0
    with pytest.raises(ValueError, match=r"^sampler: "):
        select(Z, 20, tasks, sampler="best")


def test_a_memory_map_stays_on_disk(tmp_path):
    Z, target = sample(500, 6), sample(9, 6, 1)
    np.save(tmp_path / "z.npy", Z)
    mapped, expected = np.load(tmp_path / "z.npy", mmap_mode="r"), select(Z, 30, target)[0]
    for scratch in (None, tmp_path):
        found, _ = select(mapped, 30, target, scratch_dir=scratch)
        assert found.tolist() == expected.tolist()
    assert [p.name for p in tmp_path.iterdir()] == ["z.npy"]
