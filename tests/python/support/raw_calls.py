"""Calls of the compiled module with odd arguments, run by test_raw_attack.py as its own process.

`python raw_calls.py odd SEED SECONDS LOG` calls every function, some arguments of each call odd.
`python raw_calls.py scribble SEED SECONDS LOG` calls with valid arguments, while another thread
writes into every array of integers. Both name the present call in LOG, and check the memory around
arrays that are written to.
"""

import os
import sys
import threading
import time

import numpy as np

from skmm_fast import _core

N, M, K = 5, 4, 3  # rows, columns, columns of a product

LEAST = 1500  # calls with odd arguments, however slow they are
EXPECTED = (TypeError, ValueError, MemoryError, RuntimeError, OverflowError, ZeroDivisionError)


class Guarded:
    """Arrays to be written to, each between two guards that must stay as they are."""

    MARGIN = 256

    def __init__(self):
        self.made = []

    def array(self, shape, dtype):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        whole = np.full(size + 2 * self.MARGIN, 0xA5, np.uint8)
        self.made.append((whole, size))
        inner = whole[self.MARGIN : self.MARGIN + size].view(dtype).reshape(shape)
        inner[:] = 0
        return inner

    def holds(self, a):
        return any(a.base is whole for whole, _ in self.made)

    def check(self):
        for whole, size in self.made:
            assert np.all(whole[: self.MARGIN] == 0xA5), "written before an array"
            assert np.all(whole[self.MARGIN + size :] == 0xA5), "written behind an array"
        self.made.clear()


class Rows:
    """Rows that are not in memory. `odd` says what is wrong with the results."""

    def __init__(self, odd=None, shape=(N, M)):
        self.odd, self.shape, self.kept = odd, shape, []

    def result(self, shape, *given):
        self.kept += given  # what the core lends must stay valid
        right = np.ones(shape)
        return {
            None: right,
            "short": right[:-1],
            "reversed": np.ones(shape)[::-1],
            "broadcast": np.broadcast_to(1.0, shape),
            "float16": right.astype(np.float16),
            "integer": right.astype(int),
            "list": right.tolist(),
            "none": None,
            "nan": right * np.nan,
            "strided": np.ones((*shape, 2))[..., 0],
            "text": "text",
        }[self.odd]

    def array(self, rows):
        return self.result((len(rows), self.shape[1]), rows)

    def row_norms(self, d, n_threads):
        return self.result((self.shape[0],), d)

    def column_squares(self, s, n_threads):
        return self.result((self.shape[1],), s)

    def square_dots(self, u, n_threads):
        return self.result((self.shape[0],), u)

    dots = square_dots


ODD_RESULTS = [
    None, "short", "reversed", "broadcast", "float16", "integer", "list", "none", "nan", "strided",
    "text",
]  # fmt: skip


def valid_calls(rng, out, n=N, m=M):
    """Name of each function -> (function, arguments that it takes)."""
    dtype = rng.choice([np.float32, np.float64])
    integer = rng.choice([np.int32, np.int64])
    z = values = rng.standard_normal((n, m)).astype(dtype)
    halves = np.column_stack([z, rng.integers(-9, 9, n)]).astype(np.float16)
    if dtype == np.float32 and rng.integers(2):
        z = _core.HalfRows(halves, True)
    d, u, s = rng.standard_normal((m, K)), rng.standard_normal(m), rng.random(n)
    rows = rng.integers(0, n, n)
    threads = int(rng.integers(1, 4))
    per_set = n // 2
    first, first_centre = np.array([0, per_set, n]), np.array([0, 1, 2])
    held = np.array([0, per_set])
    group = rng.integers(0, 2, n).astype(np.int32)
    group[:2] = 0, 1
    limits = _core.Constraints(n, group, [1, 1], [])
    nnz = 2 * n
    indices = np.tile(np.array([0, m - 1], integer), n)
    indptr = np.arange(0, nnz + 1, 2, dtype=integer)
    nonzeros = rng.standard_normal(nnz).astype(dtype)
    half = rng.standard_normal((n, 2)).astype(dtype)
    sketches = {
        "SparseSign": _core.SparseSign(4 * m, 10, 2, 0),
        "GroupedSign": _core.GroupedSign(4 * m, 10, 0),
        "Gaussian": _core.Gaussian(4 * m, 10, 0),
    }
    calls = {
        "team_size": (_core.team_size, [threads]),
        "philox": (_core.philox, [(1, 2, 3, 4), 5]),
        "random_target_uniforms": (_core.random_target_uniforms, [rows, 1, 3]),
        "HalfRows": (_core.HalfRows, [halves, bool(rng.integers(2))]),
        "HalfRows.widen": (
            _core.HalfRows.widen,
            [_core.HalfRows(halves, True), out.array((n, m), np.float32), threads],
        ),
        "second_moment": (_core.second_moment, [z, s, threads, None]),
        "row_norms": (_core.row_norms, [z, d, rows, threads, None]),
        "multiply": (_core.multiply, [z, d, rows, out.array((n, K), dtype), threads, None]),
        "multiply_rounded": (
            _core.multiply_rounded,
            [z, d, rows, out.array((n, K), dtype), threads, None],
        ),
        "square_dots": (_core.square_dots, [z, u, threads, None]),
        "dots": (_core.dots, [z, u, threads, None]),
        "column_squares": (_core.column_squares, [z, s, threads, None]),
        "sum_unit_rows": (_core.sum_unit_rows, [z, rows % 2, 2, rows, threads, None]),
        "spherical_centres": (
            _core.spherical_centres,
            [z, rows, first, first_centre, np.arange(2, dtype=np.uint64), 2, threads, None],
        ),
        "nearest_centre": (
            _core.nearest_centre,
            [z, rows, first, first_centre, rng.standard_normal((2, m)), threads, None],
        ),
        "draw_candidates": (
            _core.draw_candidates,
            [first, first_centre, np.arange(n), held, 2, 0, 0],
        ),
        "exchange_in_cells": (
            _core.exchange_in_cells,
            [values, first, first_centre, np.arange(n), np.ones(2), held, u],
        ),
        "Constraints": (_core.Constraints, [n, group, [1, 1], [0]]),
        "free_rows": (_core.Constraints.free_rows, [limits]),
        "FreeRows.positions": (_core.FreeRows.positions, [limits.free_rows(), 0]),
        "rows_of_rank": (_core.rows_of_rank, [10000, 2, 1]),
        "match_moments": (
            _core.match_moments,
            [z, u**2, np.ones(m), limits, np.full(n, 2 / n), 1e-3, 5, threads, None, None],
        ),
        "project": (_core.project, [s, limits.free_rows(), 1.0, threads]),
        "support": (_core.support, [s, limits.free_rows(), 1.0, 0.1, threads]),
        "Strips": (_core.Strips, [n, None]),
        "Strips.of_some": (_core.Strips.of_some, [_core.Strips(n), np.arange(n // 2)]),
        "inner": (_core.inner, [s, s, _core.Strips(n), threads]),
        "draw_systematic": (_core.draw_systematic, [np.full(n, 2 / n), 2, 0, rows]),
        "draw_systematic_on_ranks": (
            _core.draw_systematic_on_ranks,
            [np.full(n, 2 / n), rows, 2, 0, _core.Strips(n)],
        ),
        "draw_pivotal": (_core.draw_pivotal, [np.full(n, 2 / n), 2, 0, rows]),
        "draw_subset": (_core.draw_subset, [n, 2, 0, 0]),
        "random_order": (_core.random_order, [n, 0, 0]),
        "v_optimal": (
            _core.v_optimal,
            [z, d, limits, 2, list(_core.Sampler.__members__.values())[rng.integers(3)], 0.1, 1.0,
             bool(rng.integers(2)), 0.0, 0.0, 0, [], threads, None],
        ),
        "herding_pursuit": (
            _core.herding_pursuit,
            [z, limits, u, u, rng.standard_normal((m, m)), s, threads, None],
        ),
        "k_center": (_core.k_center, [z, limits, m // 2, s, 0, threads, None]),
        "random_pivoting": (_core.random_pivoting, [z, limits, s, 0, threads, None]),
    }  # fmt: skip
    for name, sketch in sketches.items():
        to = out.array((n, 10), dtype)
        entries = values if rng.integers(2) else values.astype(np.float16)
        into = to if entries is values else out.array((n, 10), np.float32)
        calls |= {
            name: (getattr(_core, name), [4 * m, 10, *([2] if name == "SparseSign" else []), 0]),
            f"{name}.sketch_dense": (sketch.sketch_dense, [entries, m, True, threads, into, None]),
            f"{name}.sketch_outer": (
                sketch.sketch_outer,
                [half, half, 1, False, threads, to, None],
            ),
            f"{name}.sketch_csr": (
                sketch.sketch_csr,
                [nonzeros, indices, indptr, m, 2, True, threads, to, None],
            ),
            f"{name}.rows": (sketch.rows, [3, out.array((2, 10), np.float32)]),
        }
    return calls


def resized(a, old, new, out):
    """The array a with `new` in place of `old` rows or columns, and with integers to match."""
    shape = tuple(new if size == old else size for size in a.shape)
    if out.holds(a):
        return out.array(shape, a.dtype)
    part = a[tuple(slice(size) for size in shape)].copy()
    return np.minimum(part, max(new, 1)) if a.dtype.kind in "iu" else part


def odd_array(rng, a):
    """A relative of the array a: of another shape, layout, type or content."""
    if a.size == 0:
        return np.zeros([(size + 1) % 3 for size in a.shape], a.dtype)
    flat = a.reshape(-1)
    extreme = np.array([-(2**63), -1, 0, 1, len(flat), 2**31 - 1, 2**31, 2**40, 2**63 - 1])
    kind = rng.integers(14)
    if kind == 0:
        return a[:0]
    if kind == 1:
        return a[..., :0]
    if kind == 2:
        return np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)[..., ::2]
    if kind == 3:
        return a[::-1]
    if kind == 4:
        return np.broadcast_to(flat[:1].reshape((1,) * a.ndim), a.shape)
    if kind == 5:
        read_only = a.copy()
        read_only.flags.writeable = False
        return read_only
    if kind == 6:  # not aligned
        raw = np.zeros(a.nbytes + 1, np.uint8)
        return raw[1:].view(a.dtype).reshape(a.shape)
    if kind == 7:
        return np.asfortranarray(a)
    if kind == 8:
        return a.astype(rng.choice(["e", "f", "d", "i", "q", "Q", "?", "D", "O", ">f8", ">i8"]))
    if kind == 9:
        return flat if a.ndim > 1 else a[:, None]
    if kind == 10:
        return np.concatenate([a, a])
    if kind == 11:
        return np.broadcast_to(a, (100_000, *a.shape)) if rng.integers(2) else a[None]
    if a.dtype.kind == "f":
        odd = np.array([np.nan, np.inf, -np.inf, 1e300, -1.0, 0.0, 5e-324, 2.0])
        return np.where(rng.random(a.shape) < 0.5, a, rng.choice(odd, a.shape)).astype(a.dtype)
    changed = rng.choice(extreme, a.shape).astype(a.dtype)
    return np.where(rng.random(a.shape) < rng.random(), a, changed).astype(a.dtype)


INTEGERS = [0, -1, 1, 2, 3, 7, 2**24, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, -(2**63), 2**64]
SMALL = [-(2**63), -(2**31), -1, 0, 1, 2, 3, 7, 100, 2**63, 2**64]  # what decides the work
FLOATS = [0.0, -1.0, 0.5, 1e300, 5e-324, np.nan, np.inf, -np.inf]
# Positions of the integers that decide how much is computed or allocated.
WORK = {
    "random_target_uniforms": [2],
    "spherical_centres": [5],
    "match_moments": [6],
    "draw_subset": [0, 1],
    "random_order": [0],
    "Constraints": [0],
    "rows_of_rank": [0, 1, 2],
    "Strips": [0],
    "SparseSign": [1],
    "GroupedSign": [1],
    "Gaussian": [1],
}
THREADS = [-1, 0, 1, 2, 3, 16, 1025, 2**31]


def stop(done):
    raise ZeroDivisionError


def odd(rng, name, place, value, args):
    """An argument in place of `value`, the argument of a call at this place."""
    kind = rng.integers(12)
    arrays = [a for a in args if isinstance(a, np.ndarray)]
    if kind == 0:
        others = [
            None, "text", [], [0, 0], [-1], [2**70], object(), {}, 1.5, True, stop, (1, 2),
            _core.Constraints(N + 1, None, [1], []),
            _core.Constraints.__new__(_core.Constraints),
            _core.Strips.__new__(_core.Strips), _core.Strips(N), _core.Strips(N + 1),
            _core.SparseSign.__new__(_core.SparseSign),
            _core.HalfRows.__new__(_core.HalfRows),
            _core.HalfRows(np.ones((N, M), np.float16), bool(rng.integers(2))),
            _core.HalfRows(np.ones((0, M), np.float16), False),
            Rows(), Rows(rng.choice(ODD_RESULTS[1:])),
            Rows(shape=(N, int(rng.choice([-1, 0, 2**62])))),
            Rows(shape=(-1, M)), Rows(shape="text"),
        ]  # fmt: skip
        return others[rng.integers(len(others))]
    if kind == 1 and arrays:
        return arrays[rng.integers(len(arrays))]  # perhaps the memory of `out`
    if kind == 2 and arrays and isinstance(value, np.ndarray):
        shared = arrays[rng.integers(len(arrays))]  # the same memory as another type
        if shared.flags.c_contiguous and shared.nbytes % value.itemsize == 0:
            return shared.view(np.uint8).reshape(-1).view(value.dtype)[: value.size]
    if isinstance(value, np.ndarray):
        if value.shape == (N, M) and rng.integers(5) == 0:
            return Rows(rng.choice(ODD_RESULTS))
        return odd_array(rng, value)
    if value is None:
        return stop
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return float(rng.choice(FLOATS))
    if isinstance(value, int):
        if place in WORK.get(name, ()):
            return SMALL[rng.integers(len(SMALL))]
        if 1 <= value <= 3 and place == len(args) - 2:
            return THREADS[rng.integers(len(THREADS))]
        return INTEGERS[rng.integers(len(INTEGERS))]
    if isinstance(value, list):
        return [INTEGERS[rng.integers(len(INTEGERS))] for _ in range(rng.integers(4))]
    return value


def log(file, text):
    os.pwrite(file, text.encode()[:500].ljust(500), 0)


def call(function, args):
    """Whether the core took the arguments."""
    try:
        result = function(*args)
    except EXPECTED:
        return False
    for name in dir(result) if type(result).__module__ == "skmm_fast._core" else ():
        if not name.startswith("_") and not callable(getattr(result, name)):
            repr(getattr(result, name))
    return True


def attack(seed, seconds, file):
    rng = np.random.default_rng(seed)
    out = Guarded()
    end, calls, taken = time.monotonic() + seconds, 0, 0
    while calls < LEAST or time.monotonic() < end:
        for name, (function, args) in valid_calls(rng, out).items():
            places = rng.permutation(len(args))[: rng.integers(0, 4)]
            changed = list(args)
            if rng.integers(3) == 0:
                old, new = int(rng.choice([N, M, K])), int(rng.integers(2))
                places = places[:1] if rng.integers(2) else places[:0]
                changed = [
                    resized(a, old, new, out) if isinstance(a, np.ndarray) else a for a in args
                ]
            for place in places:
                changed[place] = odd(rng, name, place, changed[place], args)
            if name == "team_size" and changed == [16]:
                continue
            log(file, f"{calls} {name} {[repr(a)[:40] for a in changed]}")
            calls += 1
            taken += call(function, changed)
        out.check()
    return calls, taken


def scribble(seed, seconds, file):
    rng = np.random.default_rng(seed)
    out = Guarded()
    n, m = 6000, 24
    calls, done = 0, threading.Event()
    targets = []

    def write():
        dice = np.random.default_rng(seed + 1)
        wild = np.array([-(2**62), -1, 0, 1, 2**20, 2**31 - 1, 2**40, 2**62])
        while not done.is_set():
            for a, right in list(targets):
                a[dice.integers(0, a.size, 50)] = dice.choice(wild, 50).astype(a.dtype)
                a[:] = right

    writer = threading.Thread(target=write)
    writer.start()
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for name, (function, args) in valid_calls(rng, out, n, m).items():
                targets[:] = [
                    (a, a.copy())
                    for a in args
                    if isinstance(a, np.ndarray) and a.dtype.kind in "iu"
                ]
                if not targets:
                    continue
                log(file, f"{calls} {name}")
                for _ in range(4):
                    call(function, args)
                    calls += 1
            targets.clear()
            out.check()
    finally:
        done.set()
        writer.join()
    return calls, calls


if __name__ == "__main__":
    mode, seed, seconds, path = sys.argv[1:]
    np.seterr(all="ignore")
    opened = os.open(path, os.O_RDWR | os.O_CREAT)
    print(*(attack if mode == "odd" else scribble)(int(seed), float(seconds), opened))
