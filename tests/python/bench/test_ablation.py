"""bench/ablation.py: each method differs in one setting, and all of them run on data made here."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

import ablation
import seed_by_seed
import skmm_fast as skmm
import varied_tasks
from ablation import FACTORS, METHODS, TASKS
from real_tasks import Setting

N, D, CLASSES = 400, 140, 4


def made():
    rng = np.random.default_rng(0)
    y = rng.choice(CLASSES, N, p=[0.5, 0.3, 0.15, 0.05])
    X = rng.standard_normal((CLASSES, D))[y] + rng.standard_normal((N, D))
    return (X / np.sqrt(D)).astype(np.float32), y


@pytest.fixture
def a_task(monkeypatch):
    monkeypatch.setitem(varied_tasks.DATA, "made", made)
    monkeypatch.setitem(varied_tasks.HEADS, "made", varied_tasks.Head())
    setting = Setting(lambda seed: varied_tasks.task("made", "clean", seed), (10,), 1)
    monkeypatch.setitem(ablation.VARIED, "made", {"clean": setting})
    return lambda seed: ablation.task("made/clean", seed)


def test_each_value_but_the_default_is_a_method():
    names = [f"{f} = {v}" for f, (usual, values) in FACTORS.items() for v in values if v != usual]
    assert list(METHODS) == ["uniform", "auto", "linear pilot", *names]
    assert all(usual in values for usual, values in FACTORS.values())
    assert {name.partition("/")[0] for name in TASKS} <= set(varied_tasks.DATA)


def test_the_base_point_is_the_default_of_every_factor(a_task):
    """Written out, or sketched beforehand, the default settings choose the same rows."""
    given = a_task(3)
    G, y = given.pool["labels"], given.inputs["y"]
    base = skmm.select(G, 20, y=y, seed=3).indices
    for factor, (usual, _) in FACTORS.items():
        if factor != "ζ":
            options = ablation.OPTIONS[factor](usual).options
            np.testing.assert_array_equal(skmm.select(G, 20, y=y, seed=3, **options).indices, base)
    sketched = skmm.SparseSign(G.shape[1], 512, nnz_per_row=8, seed=3).apply(G)
    np.testing.assert_array_equal(skmm.select(sketched, 20, y=y, seed=3).indices, base)
    assert set(given.pool) == {"labels", "random", "features"} | {
        f"labels, ζ = {nnz}" for nnz in (1, 2, 4)
    }


def test_all_methods_run_and_are_drawn(a_task, tmp_path):
    path = tmp_path / "found.json"
    rows = seed_by_seed.run(path, a_task, METHODS, (0.1,), (0,))
    assert {row["method"] for row in rows} == set(METHODS)
    assert all(np.isfinite(m["values"]).all() for row in rows for m in row["metrics"].values())
    ablation.picture(rows).savefig(tmp_path / "found.png")
    assert (tmp_path / "found.png").stat().st_size > 0
