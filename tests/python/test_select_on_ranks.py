"""Processes that choose together: the rows of one process, whatever their number."""

import os
import signal
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from support.on_ranks import on_ranks, results, started

import skmm_fast as skmm
from skmm_fast import SketchStore
from skmm_fast._support import ranks as ranks_module
from skmm_fast._support.claims import Claims
from skmm_fast._support.float16_rows import scaled_halves
from skmm_fast._support.rows_here import RowsHere
from skmm_fast.sketch.manifest import Manifest
from skmm_fast.sketch.store import made, prepared

N, M, COUNT = 6000, 16, 90


def rows_of(N, M=M, seed=0):
    """Rows of uneven norms and a falling spectrum."""
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((N, M)) * rng.exponential(size=(N, 1)) * np.linspace(2, 0.2, M)
    return Z.astype(np.float32)


def store_of(path, Z, dtype="float32"):
    prepared(path)
    store = made(path, Manifest(len(Z), Z.shape[1], dtype, 1000, 1000, {}), Claims(path))
    for k in store.missing:
        rows = Z[list(store._rows(k))]
        store._write(k, rows if dtype == "float32" else scaled_halves(rows)[0])
    return store


Y = np.array([f"class {i * i % 7 % 4}" for i in range(N)])
MM, VO = {"method": "moment-matching"}, {"method": "v-optimal"}
SOME = {"include": [3, 2047, N - 1], "exclude": [5, 6, 2000, 4100]}
CASES = {
    "moment matching": MM,
    "moment matching, uniform start, top": {**MM, "init": "uniform", "draw": "top"},
    "moment matching by class": {**MM, "y": Y, "per_class": "balanced"},
    "moment matching along classes": {**MM, "y": Y, **SOME},
    "moment matching, refined": {**MM, "refine": True, "c_s": 0.9},
    "greedy": {**VO, "route": "greedy"},
    "greedy in blocks": {**VO, "route": "greedy", "block": 8, **SOME},
    "greedy by class": {**VO, "route": "greedy", "y": Y, "per_class": "sqrt"},
    "relaxation": {**VO, "route": "relaxation"},
    "relaxation by class": {**VO, "route": "relaxation", "y": Y, "per_class": "balanced", **SOME},
    "unit rows": {**VO, "unit_rows": True},
    "for a target": {**VO, "target": rows_of(40, seed=3)},
    "for the worst of two": {
        **VO,
        "target": [rows_of(40, seed=3), rows_of(9, seed=4) ** 3],
        "over_targets": "worst",
        "route": "relaxation",
        "y": Y,
    },
    "sketched further": {**VO, "sketch_dim": 8},
    "fewer rows than directions": {**VO, "sketch_dim": M, "n": 10},
    "rows that do not span": {**VO, "exclude": np.arange(0, N - 200)},
}


def chosen(folder):
    """The selections of all cases, from the store beside the folder."""
    store, found = SketchStore(folder.parent / "store"), {}
    for name, case in CASES.items():
        selection = skmm.select(store, **{"n": COUNT, "seed": 2, "n_threads": 1, **case})
        found[name] = (selection.indices, selection.weights, selection.settings["solver"],
                       selection.diagnosis.plain(), selection.picture)  # fmt: skip
    return found


def choose(folder, rank, size):
    return chosen(folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("size", "dtype"), [(2, "float32"), (3, "float16"), (4, "float32")])
def test_the_rows_of_one_process(tmp_path, size, dtype):
    store_of(tmp_path / "store", rows_of(N), dtype)
    expected = chosen(tmp_path / "alone")
    for found in on_ranks(choose, size, tmp_path / "ranks"):
        assert isinstance(found, dict), found
        for name, (indices, weights, solver, diagnosis, picture) in expected.items():
            assert np.array_equal(found[name][0], indices), name
            assert np.array_equal(found[name][1], weights), name
            for field, value in solver.items():
                if name != "rows that do not span":
                    same_figure(name, field, value, found[name][2][field])
            for field, value in diagnosis.items():
                same_figure(name, field, value, found[name][3][field])
            for field, value in picture.items():
                assert np.array_equal(found[name][4][field], value), (name, field)


def same_figure(name, field, expected, found):
    """Figures of the diagnosis are the same to rounding."""
    if isinstance(expected, list) and field in ("random_v_optimality", "v_optimality_of_tasks"):
        expected, found = np.array(expected, float), np.array(found, float)
    if isinstance(expected, (float, np.ndarray)):
        np.testing.assert_allclose(found, expected, rtol=1e-9, err_msg=f"{name}: {field}")
    else:
        assert found == expected, (name, field)


def test_more_ranks_than_strips(tmp_path):
    """3000 rows are two strips: a third rank has no rows."""
    Z = rows_of(3000)
    store_of(tmp_path / "store", Z)
    expected = [skmm.select(Z, 40, seed=2, **case).indices for case in (MM, VO)]
    for found in on_ranks(choose_few, 3, tmp_path / "ranks"):
        assert all(map(np.array_equal, found, expected)), found


def choose_few(folder, rank, size):
    store = SketchStore(folder.parent / "store")
    return [skmm.select(store, 40, seed=2, **case).indices for case in (MM, VO)]


@pytest.mark.filterwarnings("ignore")
def test_ranks_without_rows_know_the_rank_of_others(tmp_path):
    """Of a store of 16 bits whose rows span half of the columns; all rows of a rank are excluded;
    and more rows of one score than candidates."""
    Z = rows_of(5000)
    Z[:, M // 2 :] = Z[:, : M // 2]
    Z[2500:4000] = 0
    store_of(tmp_path / "store", Z, "float16")
    expected = narrow(tmp_path / "alone", 0, 1)
    for found in on_ranks(narrow, 4, tmp_path / "ranks"):
        assert not isinstance(found, str), found
        assert all(map(np.array_equal, found, expected)), found


def narrow(folder, rank, size):
    store = SketchStore(folder.parent / "store")
    without = {"exclude": np.arange(2048), "scratch_dir": folder.parent}
    tops = {**MM, "draw": "top", "c_s": 1.0}
    cases = (MM, VO, {**MM, **without}, {**VO, **without}, tops)
    return [skmm.select(store, 40, seed=2, **case).indices for case in cases]


def test_methods_that_need_all_rows_choose_in_each_process(tmp_path):
    Z = rows_of(1500)
    store_of(tmp_path / "store", Z)
    expected = skmm.select(Z, 40, seed=2).indices
    for found in on_ranks(choose_alone, 2, tmp_path / "ranks"):
        assert np.array_equal(found[0], expected)
        assert found[1] == 40


def choose_alone(folder, rank, size):
    """By the default method; and on one rank alone, from an array."""
    store = SketchStore(folder.parent / "store")
    alone = len(skmm.select(store.array(), 40, **VO).indices) if rank == 0 else 40
    return skmm.select(store, 40, seed=2).indices, alone


def test_what_is_sent_does_not_grow_with_the_rows(tmp_path):
    """Bytes of a rank: in an iteration of moment matching, and in a step of the relaxation. The
    Hessian's sample is at most max(4096, 16 m) rows; candidates are some thousand rows."""
    sent = {}
    for size_of_pool in (8000, 64000):
        folder = tmp_path / f"{size_of_pool}"
        folder.mkdir()
        store_of(folder / "store", rows_of(size_of_pool))
        sent[size_of_pool] = on_ranks(count_bytes, 2, folder / "ranks")[0]
    for name, (most, of_iteration) in sent[64000].items():
        assert most <= sent[8000][name][0] * 1.5 + 1000, name
        assert of_iteration <= sent[8000][name][1] * 2 + 1000, name
    sample = 8 * (M + 1) * 4096
    assert sent[64000]["moment-matching"][0] <= sample
    assert sent[64000]["v-optimal"][0] <= 8 * (M + 1) * (2048 + 2 * COUNT)


def count_bytes(folder, rank, size):
    """The largest exchange, and bytes per iteration, of each method."""
    store, found = SketchStore(folder.parent / "store"), {}
    used, of_group = [], ranks_module.ranks_of_group
    select_module = __import__("sys").modules["skmm_fast._select"]
    select_module.ranks_of_group = lambda: used.append(of_group()) or used[-1]
    for method, options in (("moment-matching", {"init": "uniform"}), ("v-optimal", {})):
        selection = skmm.select(store, COUNT, method=method, diagnose="none", **options)
        steps = selection.settings["solver"].get("n_iter", 1)
        found[method] = max(used[-1].sent), sum(used[-1].sent) / steps
    return found


def test_memory_falls_with_the_number_of_ranks(tmp_path):
    store_of(tmp_path / "store", rows_of(64000, 8))
    peaks = {size: max(on_ranks(peak, size, tmp_path / f"{size}")) for size in (1, 4)}
    assert peaks[4] < 0.5 * peaks[1]


def peak(folder, rank, size):
    """Of NumPy's arrays, in bytes."""
    store = SketchStore(folder.parent / "store")
    options = {**MM, "max_iter": 2, "diagnose": "none"}
    skmm.select(store, COUNT, **options)  # modules are loaded
    tracemalloc.start()
    skmm.select(store, COUNT, **options)
    return tracemalloc.get_traced_memory()[1]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("other_n", "ValueError: n: expected the same on all ranks"),
        ("other_labels", "ValueError: y: expected the same on all ranks"),
        (
            "other_target",
            "ValueError: target: expected the same on all ranks",
        ),
        ("one_more_task", "ValueError: target: expected the same on all ranks"),
        ("bad_row", "ValueError: X: expected finite values, got NaN or Inf in 1 of 6000 rows, on"),
        ("raises", "another rank failed; rank 1: ZeroDivisionError"),
        ("absent", "not there: rank 1; all ranks must make the call"),
        ("one_more_option", "ValueError: refine: expected the same on all ranks"),
        ("pivotal", "ValueError: draw: expected 'systematic' or 'top' where rows"),
        ("start", "ValueError: init: expected one of ('random', 'uniform') where rows"),
        ("sampler", "ValueError: sampler: expected 'greedy' where rows"),
    ],
)
def test_a_rank_that_fails_ends_all(tmp_path, function, said):
    Z = rows_of(N)
    if function == "bad_row":
        Z[4000, 3] = np.nan
    store_of(tmp_path / "store", Z)
    began = time.monotonic()
    found = on_ranks(globals()[function], 3, tmp_path / "ranks", timeout=5)
    assert time.monotonic() - began < 60  # starting the processes takes some seconds
    assert all(isinstance(x, str) for x in found), found
    assert said in found[0], found
    if function == "bad_row":
        assert "X[2048:4096]: expected finite values" in found[1], found
    assert said in found[2] or "RankError" in found[2], found


def other_n(folder, rank, size):
    return skmm.select(SketchStore(folder.parent / "store"), 50 + (rank == 1), **VO)


def other_labels(folder, rank, size):
    y = Y.copy()
    y[17] = y[14] if rank == 1 else y[17]
    return skmm.select(SketchStore(folder.parent / "store"), 50, y=y, **VO)


def other_target(folder, rank, size):
    few = rows_of(40, seed=3)
    few[39, 2] += rank == 1
    return skmm.select(SketchStore(folder.parent / "store"), 50, target=few, **VO)


def one_more_task(folder, rank, size):
    tasks = [rows_of(40, seed=3)] * (1 + (rank == 1))
    return skmm.select(SketchStore(folder.parent / "store"), 50, target=tasks, **VO)


def bad_row(folder, rank, size):
    return skmm.select(SketchStore(folder.parent / "store"), 50, **MM)


def raises(folder, rank, size):
    def callback(iteration, objective, gap):
        return 1 / (iteration - 2) if rank == 1 else None

    store = SketchStore(folder.parent / "store")
    return skmm.select(store, 50, tol=1e-12, callback=callback, **MM)


def one_more_option(folder, rank, size):
    more = {"refine": True} if rank == 1 else {}
    return skmm.select(SketchStore(folder.parent / "store"), 50, **MM, **more)


def pivotal(folder, rank, size):
    return skmm.select(SketchStore(folder.parent / "store"), 50, draw="pivotal", **MM)


def start(folder, rank, size):
    return skmm.select(SketchStore(folder.parent / "store"), 50, init=np.full(N, 1 / N), **MM)


def sampler(folder, rank, size):
    return skmm.select(SketchStore(folder.parent / "store"), 50, sampler="exp", **VO)


def absent(folder, rank, size):
    if rank == 1:
        time.sleep(20)
        return "absent"
    return skmm.select(SketchStore(folder.parent / "store"), 50, **VO)


def test_a_rank_that_is_killed_ends_all(tmp_path):
    store_of(tmp_path / "store", rows_of(N))
    folder = tmp_path / "ranks"
    folder.mkdir()
    processes = started(endless, 3, folder)
    while not (folder / "begun").exists():
        time.sleep(0.05)
    os.kill(processes[1].pid, signal.SIGKILL)
    began = time.monotonic()
    found = results(processes, folder)
    assert time.monotonic() - began < 30
    assert found[1] is None
    assert all("RankError: " in found[rank] for rank in (0, 2)), found


def endless(folder, rank, size):
    store = SketchStore(folder.parent / "store")
    while True:
        skmm.select(store, 50, diagnose="none", **MM)
        (folder / "begun").touch()


class TestRowsHere:
    """What ranks find out together, with ranks that are lists in one process."""

    def together(self, parts, f):
        """f(RowsHere) of each of the parts, whose exchanges meet in this process."""
        import threading

        barrier, given = threading.Barrier(len(parts)), [None] * len(parts)
        found = [None] * len(parts)

        class Meet:
            size = len(parts)

            def __init__(self, rank):
                self.rank = rank

            def gather(self, numbers):
                given[self.rank] = np.array(numbers, np.float64)
                barrier.wait()
                every = np.stack(given)
                barrier.wait()
                return every

        def run(rank):
            found[rank] = f(RowsHere(100, Meet(rank)), parts[rank])

        threads = [threading.Thread(target=run, args=(rank,)) for rank in range(len(parts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    @pytest.mark.parametrize("seed", range(5))
    def test_nth_largest(self, seed):
        rng = np.random.default_rng(seed)
        x = np.round(rng.standard_normal(60) * 10.0 ** rng.integers(-200, 200), 1)
        x[rng.integers(0, 60, 9)] = rng.choice([0.0, -0.0, 5e-324, -1e308, 1e308], 9)
        cuts = np.sort(rng.integers(0, 61, 2))
        for n in (1, 2, 30, 59, 60):
            found = self.together(
                np.split(x, cuts), lambda here, part, n=n: here.nth_largest([(part, n)])
            )
            for result in found:
                assert result == np.sort(x)[-n]

    def test_lists_and_sums(self):
        parts = [np.arange(2), np.arange(0), np.arange(3)]
        for here, whole, before in self.together(
            parts,
            lambda here, part: (
                here.concatenated(part), here.summed(np.array([len(part), 1.0])),
                here.before(np.array([float(len(part))])),
            ),
        ):  # fmt: skip
            assert here.tolist() == [0, 1, 0, 1, 2]
            assert whole.tolist() == [5, 3]
            assert before[0] in (0, 2)


def test_no_group_is_no_ranks():
    assert ranks_module.ranks_of_group() is None


def test_rows_of_ranks_are_shards_of_a_store(tmp_path):
    Z = rows_of(N)
    store = store_of(tmp_path / "store", Z)
    for size in (1, 2, 3, 7):
        parts = []
        for rank in range(size):
            here = RowsHere(N, ranks_module.Ranks(size, rank))
            part = store._array_of(here)
            assert len(part) == here.count
            parts.append(np.asarray(part))
        assert np.concatenate(parts).tobytes() == Z.tobytes()
    assert Path(store.path).exists()
