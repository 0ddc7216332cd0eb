"""Default threads beside one thread while other processes keep every core busy.

A team of threads waits for the one that gets least of a core. So more threads may take longer than
one, which these ratios show.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import skmm_fast as skmm
from bench_select import pool
from bench_sketch import M, N, R
from common import in_turns, save


@contextmanager
def spinning(count: int | None = None) -> Iterator[list[subprocess.Popen[bytes]]]:
    """`count` processes that do nothing but compute, one for each core by default."""
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(count or os.cpu_count() or 1)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def busy(
    select_shape: tuple[int, int, int] = (20_000, 50, 100),
    sketch_shape: tuple[int, int, int] = (N, R, M),
) -> list[dict[str, Any]]:
    """Seconds of one `select`, N x m and n, and of one `SparseSign.apply`, N x r and m."""
    (n_rows, width, n), (n_gradients, r, m) = select_shape, sketch_shape
    Z = pool(n_rows, width)
    G = np.random.default_rng(0).standard_normal((n_gradients, r), dtype=np.float32)
    S = skmm.SparseSign(r, m)
    cases = {
        f"select, N = {n_rows}, m = {width}, n = {n}": lambda k: skmm.select(Z, n, n_threads=k),
        f"SparseSign, N = {n_gradients}, r = {r}, m = {m}": lambda k: S.apply(G, n_threads=k),
    }
    rows = []
    with spinning():
        for case, call in cases.items():
            times = in_turns(
                {"default": lambda f=call: f(None), "one": lambda f=call: f(1)}, repeats=5
            )
            rows.append(
                {
                    "case": case,
                    "seconds, default threads": times["default"],
                    "seconds, one thread": times["one"],
                    "x one thread": times["default"] / times["one"],
                }
            )
    return rows


if __name__ == "__main__":
    save("busy", busy())
