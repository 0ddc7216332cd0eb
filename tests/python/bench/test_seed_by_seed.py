"""bench/seed_by_seed.py: what is saved seed by seed is what one comparison gives."""

import json

import numpy as np
import pytest

import seed_by_seed
from compare import METHODS, Task, compare

N = 40
X = np.random.default_rng(0).standard_normal((N, 6)).astype(np.float32)
TRIED = {name: METHODS[name] for name in ("uniform", "herding")}


def make(seed, name="toy"):
    def score(rows, _, weights=None):
        return {"gain": seed + rows.mean()}

    marks = {"even": np.arange(N) % 2 == 0}
    return Task(name, {"gain": "high"}, {"labels": X}, score, facts={"classes": 2}, marks=marks)


def without_time(rows):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def test_seeds_one_by_one_are_the_comparison_of_all(tmp_path):
    path = tmp_path / "found.json"
    rows = seed_by_seed.run(path, make, TRIED, (0.1, 0.25), (0, 1, 2))
    expected = compare(make, TRIED, (4, 10), (0, 1, 2))
    assert without_time(rows) == without_time(expected)
    assert json.loads(path.read_text())["rows"] == rows


def test_each_seed_is_saved_and_other_tasks_stay(tmp_path):
    path = tmp_path / "found.json"
    other = seed_by_seed.run(path, lambda seed: make(seed, "other"), TRIED, (0.1,), (0,))

    def stopped(seed):
        if seed == 2:
            raise KeyboardInterrupt
        return make(seed)

    with pytest.raises(KeyboardInterrupt):
        seed_by_seed.run(path, stopped, TRIED, (0.1,), (0, 1, 2))
    saved = json.loads(path.read_text())["rows"]
    assert saved[: len(other)] == other
    assert [len(row["metrics"]["gain"]["values"]) for row in saved] == [1, 1, 2, 2]
    again = seed_by_seed.run(path, make, TRIED, (0.1,), (0,))
    assert json.loads(path.read_text())["rows"] == other + again


def test_a_run_that_was_stopped_goes_on(tmp_path):
    whole, parts = tmp_path / "whole.json", tmp_path / "parts.json"
    expected = seed_by_seed.run(whole, make, TRIED, (0.1,), range(4))
    seed_by_seed.run(parts, make, TRIED, (0.1,), range(2))
    with pytest.raises(ValueError, match="seeds: expected results of toy for seeds before 3"):
        seed_by_seed.run(parts, make, TRIED, (0.1,), range(3, 4))
    rows = seed_by_seed.run(parts, make, TRIED, (0.1,), range(2, 4))
    assert without_time(rows) == without_time(expected)


def test_rows_of_other_methods_are_refused():
    rows, more = (compare(make, {k: TRIED[k]}, (4,), (0,)) for k in TRIED)
    with pytest.raises(ValueError, match="more: expected rows of the same tasks"):
        seed_by_seed.joined(rows, more)
