"""bench/settings.py: all methods run, are drawn, and are compared with their own base point."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

import default_report
import seed_by_seed
import settings
from compare import Task
from settings import BASES, COMPARED, LAYERS, SKETCHED

N, D, CLASSES = 300, 40, 3


def task(seed):
    rng = np.random.default_rng(seed)
    y = rng.choice(CLASSES, N, p=[0.5, 0.3, 0.2])
    X = (rng.standard_normal((CLASSES, D))[y] + rng.standard_normal((N, D))).astype(np.float32)
    seen = {name: X * (1 + 0.1 * rng.random((N, 1))) for name in settings.SEEN}
    made = Task(
        "toy",
        {"accuracy": "high"},
        seen,
        lambda rows, seed, weights=None: {"accuracy": float(np.mean(y[rows] == 0))},
        {"y": y},
        {"classes": CLASSES, "parameters": D},
    )
    return settings.with_sketches(settings.Setting(lambda _: made, 24, 1), seed)


def test_a_setting_differs_from_its_base_alone():
    assert set(BASES) < set(COMPARED)
    for base, several in BASES.items():
        assert COMPARED[base].options == {}
        for setting, method in several.items():
            assert COMPARED[f"{base}, {setting}"] is method
            assert method.method == base
    assert all(task.n < 500 and task.seeds >= 3 for task in settings.TASKS.values())


def test_sketches_of_each_nnz_are_of_half_n():
    made = task(0)
    assert {made.pool[name].shape for name in SKETCHED} == {(N, 12)}


@pytest.mark.filterwarnings("ignore:c_s = 2")
def test_all_methods_run_are_drawn_and_reported(tmp_path):
    rows = seed_by_seed.run(tmp_path / "found.json", task, COMPARED, (24,), (0, 1))
    assert {row["n"] for row in rows} == {24}
    assert {row["method"] for row in rows} == set(COMPARED)
    settings.picture(rows).savefig(tmp_path / "found.png")
    text = "\n".join(default_report.of_settings(rows))
    for base in BASES:
        assert f"| {base}, beside its base point |" in text
    assert "| **base point** | +0.0000 | 0 | 0 |" in text
    assert f"| {LAYERS[0]} |" in text
    assert f"| {SKETCHED[0]} |" in text
