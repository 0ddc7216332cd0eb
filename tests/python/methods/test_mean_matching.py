"""Mean matching: its exchanges against a naive sweep, and its result against all selections."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.matching_reference import (
    all_subsets,
    best_in_cells,
    mean_error,
    mean_features,
    sweep_once,
)

import skmm_fast as skmm
from skmm_fast.methods import mean_matching

MANY = 200  # sweeps, which end long before


def skewed(N, m, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.standard_t(4, size=(N, m)) * 0.8 ** np.arange(m) + rng.standard_normal(m)
    return Z.astype(dtype)


@st.composite
def small_problems(draw):
    """(Z, start, cell, weights) with no cell so large that candidates are drawn."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_cells, m = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    cell = rng.permutation(np.repeat(np.arange(n_cells), rng.integers(1, 17, n_cells)))
    N = len(cell)
    n = draw(st.integers(1, N))
    start = rng.permutation(N)[:n]
    weights = rng.exponential(size=n) + 0.1 if draw(st.booleans()) else np.ones(n)
    return skewed(N, m, seed=rng.integers(2**32)), start, cell, weights


@settings(max_examples=120)
@given(small_problems(), st.integers(1, 4), st.sampled_from([0.01, 1.0, 7.0]))
def test_sweeps_are_those_of_a_naive_search(problem, sweeps, ridge):
    Z, start, cell, weights = problem
    assume(len(Z) > 2)  # two rows are equally far from their mean
    B, expected = mean_features(Z, ridge), start
    for _ in range(sweeps):
        expected = sweep_once(B, expected, cell, weights)
    found = skmm.match_mean(Z, start, cells=cell, weights=weights, ridge=ridge, sweeps=sweeps)
    assert found.dtype == np.int64
    assert found.tolist() == expected.tolist()


@settings(max_examples=60)
@given(small_problems())
def test_where_it_ends_no_exchange_helps(problem):
    Z, start, cell, weights = problem
    found = skmm.match_mean(Z, start, cells=cell, weights=weights, sweeps=MANY)
    B = mean_features(Z)
    end = mean_error(B, found, weights)
    for t, row in enumerate(found):
        for other in np.setdiff1d(np.flatnonzero(cell == cell[row]), found):
            changed = found.copy()
            changed[t] = other
            assert mean_error(B, changed, weights) >= end * (1 - 1e-9) - 1e-12


@settings(max_examples=100)
@given(small_problems(), st.sampled_from([np.float32, np.float64]))
def test_what_always_holds(problem, dtype):
    """Rows are distinct and stay in their cells; Φ falls from sweep to sweep."""
    Z, start, cell, weights = problem
    B = mean_features(Z.astype(dtype))
    scale = weights.sum() ** 2 / len(start) * np.square(B).sum(axis=1).max()
    before = mean_error(B, start, weights)
    for sweeps in range(4):
        found = skmm.match_mean(Z.astype(dtype), start, cells=cell, weights=weights, sweeps=sweeps)
        assert len(set(found.tolist())) == len(start)
        assert np.array_equal(cell[found], cell[start])
        after = mean_error(B, found, weights)
        assert after <= before + 1e-6 * scale * (dtype == np.float32) + 1e-12
        before = after
        if sweeps == 0:
            assert found.tolist() == start.tolist()


def test_beside_all_selections():
    """It is never below the optimum, and mostly near it."""
    ratios = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        N, n = 9, int(rng.integers(1, 9))
        Z = skewed(N, 3, seed=seed)
        B = mean_features(Z)
        best = min(mean_error(B, rows) for rows in all_subsets(N, n))
        starts = (rng.permutation(N)[:n] for _ in range(8))
        found = [mean_error(B, skmm.match_mean(Z, s, sweeps=MANY)) for s in starts]
        assert min(found) >= best * (1 - 1e-9)
        ratios.append(min(found) / best)
    # A descent by single exchanges ends in a local optimum; eight starts mostly hold the global.
    assert np.mean(np.array(ratios) < 1 + 1e-6) >= 0.8


def test_beside_all_selections_of_the_cells():
    equal = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        cell = rng.permutation(np.repeat([0, 1, 2], [4, 5, 3]))
        start = np.concatenate([rng.permutation(np.flatnonzero(cell == c))[:k]
                                for c, k in ((0, 2), (1, 1), (2, 2))])  # fmt: skip
        Z, weights = skewed(12, 3, seed=seed), rng.exponential(size=5) + 0.2
        B = mean_features(Z)
        best = best_in_cells(B, start, cell, weights)
        found = skmm.match_mean(Z, start, cells=cell, weights=weights, sweeps=MANY)
        assert mean_error(B, found, weights) >= best * (1 - 1e-9)
        equal += mean_error(B, found, weights) <= best * (1 + 1e-9)
    assert equal >= 5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_cells_with_drawn_candidates(dtype):
    """Cells of 1000 rows and few places: candidates are drawn, and the mean is still met."""
    Z = skewed(3000, 6, dtype)
    rng = np.random.default_rng(1)
    cell = np.arange(3000) % 3
    start = rng.permutation(3000)[:30]
    B = mean_features(Z)
    found = skmm.match_mean(Z, start, cells=cell, seed=4)
    assert np.array_equal(cell[found], cell[start])
    assert len(set(found.tolist())) == 30
    assert mean_error(B, found) < 0.02 * mean_error(B, start)
    assert found.tolist() == skmm.match_mean(Z, start, cells=cell, seed=4).tolist()
    assert found.tolist() != skmm.match_mean(Z, start, cells=cell, seed=5).tolist()


def test_small_cells_draw_nothing():
    Z, cell = skewed(90, 4), np.arange(90) % 9
    start = np.arange(9)
    found = skmm.match_mean(Z, start, cells=cell, seed=0)
    assert found.tolist() == skmm.match_mean(Z, start, cells=cell, seed=123).tolist()


def test_more_sweeps_draw_anew():
    """With few places in a large cell, the second sweep often finds what the first did not see."""
    Z, start = skewed(5000, 4), [0, 1, 2]
    B = mean_features(Z)
    errors = np.array([
        [mean_error(B, skmm.match_mean(Z, start, sweeps=k, seed=seed)) for k in (1, 2)]
        for seed in range(20)
    ])  # fmt: skip
    assert np.all(errors[:, 1] <= errors[:, 0])
    assert np.mean(errors[:, 1] < errors[:, 0]) > 0.2


@pytest.mark.parametrize("name", ["BLOCK", "WHOLE"])
def test_what_is_held_in_memory_does_not_matter(name, monkeypatch):
    """Candidates come block by block, and products are made when they are asked for."""
    Z, cell, start = skewed(900, 4), np.arange(900) % 40, np.arange(80)
    expected = skmm.match_mean(Z, start, cells=cell)
    monkeypatch.setattr(mean_matching, name, 50)
    assert np.array_equal(skmm.match_mean(Z, start, cells=cell), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_do_not_matter(dtype):
    Z, cell = skewed(4000, 7, dtype), np.arange(4000) % 5
    start = np.arange(0, 4000, 80)
    one, *others = (skmm.match_mean(Z, start, cells=cell, n_threads=k) for k in (1, 2, 4))
    for other in others:
        assert np.array_equal(one, other)


def test_kinds_of_input(tmp_path):
    torch = pytest.importorskip("torch")
    Z, cell, start = skewed(200, 4, np.float32), np.arange(200) % 4, np.arange(20)
    weights = np.linspace(1, 2, 20)
    expected = skmm.match_mean(Z, start, cells=cell, weights=weights).tolist()
    np.save(tmp_path / "z.npy", Z)
    for same in (torch.from_numpy(Z), np.load(tmp_path / "z.npy", mmap_mode="r")):
        assert skmm.match_mean(same, start, cells=cell, weights=weights).tolist() == expected
    tensors = (torch.from_numpy(start), torch.from_numpy(cell), torch.from_numpy(weights))
    found = skmm.match_mean(Z, tensors[0], cells=tensors[1], weights=tensors[2])
    assert found.tolist() == expected
    lists = skmm.match_mean(Z, start.tolist(), cells=cell.tolist(), weights=weights.tolist())
    assert lists.tolist() == expected


def test_both_float_types_find_the_same_rows():
    """Where no two exchanges are within rounding of float32."""
    Z, cell = skewed(120, 3, np.float32), np.arange(120) % 6
    start = np.arange(12)
    single = skmm.match_mean(Z, start, cells=cell, sweeps=1)
    assert single.tolist() == skmm.match_mean(Z.astype(float), start, cells=cell, sweeps=1).tolist()


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_integers_of_any_type(dtype):
    """Rows that come in have higher numbers than a small type of `start` could hold."""
    for N, start in ((1000, np.arange(20)), (300, np.arange(100))):
        Z, cell = skewed(N, 4), np.arange(N) % 3
        expected = skmm.match_mean(Z, start, cells=cell)
        found = skmm.match_mean(Z, start.astype(dtype), cells=cell.astype(dtype))
        assert found.dtype == np.int64
        assert found.tolist() == expected.tolist()


def test_names_of_cells_are_free():
    """Negative, large, with gaps; only their order counts, as ties and turns follow it."""
    Z, cell, start = skewed(60, 4), np.arange(60) % 3, np.arange(9)
    expected = skmm.match_mean(Z, start, cells=cell).tolist()
    for names in ([-5, 0, 2**40], [7, 9, 1000]):
        named = np.array(names)[cell]
        assert skmm.match_mean(Z, start, cells=named).tolist() == expected


def test_only_ratios_of_weights_count():
    Z, start, weights = skewed(60, 4), np.arange(9), np.linspace(1, 3, 9)
    expected = skmm.match_mean(Z, start, weights=weights).tolist()
    for scale in (1e-30, 4.0, 1e30):
        assert skmm.match_mean(Z, start, weights=scale * weights).tolist() == expected
    assert skmm.match_mean(Z, start, weights=np.full(9, 7)).tolist() == (
        skmm.match_mean(Z, start).tolist()
    )


def test_all_rows_and_rows_that_are_equal():
    Z = skewed(12, 3)
    start = np.random.default_rng(0).permutation(12)
    assert skmm.match_mean(Z, start).tolist() == start.tolist()
    assert skmm.match_mean(np.ones((12, 3)), [4, 2]).tolist() == [4, 2]
    assert skmm.match_mean(Z, [3, 5], cells=np.arange(12)).tolist() == [3, 5]


@pytest.mark.parametrize("ridge", [1e-300, 1e-12, 1e300])
def test_extreme_ridges(ridge):
    Z = skewed(60, 2) @ np.ones((2, 6))
    found = skmm.match_mean(Z, np.arange(10), ridge=ridge)
    gap = abs(Z[found, 0].mean() - Z[:, 0].mean())
    assert gap < 0.01 * abs(Z[:10, 0].mean() - Z[:, 0].mean())


def test_progress(capsys):
    Z, start = skewed(60, 4), np.arange(9)
    expected = skmm.match_mean(Z, start).tolist()
    assert skmm.match_mean(Z, start, progress=True).tolist() == expected
    assert "match the mean" in capsys.readouterr().err


ERRORS = [
    ({"Z": [[1.0, 2.0]] * 9}, TypeError, "Z: expected an array, got list"),
    ({"Z": np.ones((9, 2), int)}, TypeError, "Z: .* got int64"),
    ({"Z": np.full((9, 2), np.nan)}, ValueError, "Z: expected finite values"),
    ({"Z": np.zeros((9, 2))}, ValueError, "Z: expected a nonzero entry"),
    ({"start": []}, ValueError, "start: expected at least one row"),
    ({"start": None}, (ValueError, TypeError), "start: "),
    ({"start": [0, 0]}, ValueError, "start: expected distinct rows, got row 0"),
    ({"start": [9]}, ValueError, r"start: expected rows in \[0, 8\], got 9"),
    ({"start": [-1]}, ValueError, "start: .* got -1"),
    ({"start": [1.0]}, TypeError, "start: expected integer row numbers"),
    ({"start": [[1]]}, ValueError, "start: expected 1 dimension"),
    ({"cells": [0] * 8}, ValueError, r"cells: expected shape \(9,\), got \(8,\)"),
    ({"cells": [0.0] * 9}, TypeError, "cells: expected integers, got float64"),
    ({"cells": ["a"] * 9}, TypeError, "cells: expected integers"),
    ({"cells": np.ones((9, 1), int)}, ValueError, "cells: expected 1 dimension"),
    ({"weights": [1.0]}, ValueError, r"weights: expected shape \(3,\), got \(1,\)"),
    ({"weights": [1.0, 0.0, 1.0]}, ValueError, "weights: expected positive numbers, got 0.0 in 1"),
    ({"weights": [1.0, 1.0, np.nan]}, ValueError, "weights: .* got nan in 2"),
    ({"weights": [1.0, np.inf, 1.0]}, ValueError, "weights: .* got inf in 1"),
    ({"weights": ["a", "b", "c"]}, TypeError, "weights: expected numbers"),
    ({"ridge": 0.0}, ValueError, "ridge: "),
    ({"ridge": -1.0}, ValueError, "ridge: "),
    ({"ridge": np.nan}, ValueError, "ridge: "),
    ({"ridge": "1"}, TypeError, "ridge: "),
    ({"sweeps": -1}, ValueError, "sweeps: "),
    ({"sweeps": 1.5}, TypeError, "sweeps: "),
    ({"seed": -1}, ValueError, "seed: "),
    ({"n_threads": 0}, ValueError, "n_threads: "),
    ({"progress": 1}, TypeError, "progress: "),
]


@pytest.mark.parametrize(("change", "error", "message"), ERRORS)
def test_errors_name_the_argument(change, error, message):
    arguments = {"Z": skewed(9, 2), "start": [0, 4, 8], **change}
    Z, start = arguments.pop("Z"), arguments.pop("start")
    with pytest.raises(error, match=f"^{message}"):
        skmm.match_mean(Z, start, **arguments)
