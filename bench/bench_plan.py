"""What `plan` expects of `select` beside what it took: seconds and memory of 30 cases.

Half of the pools are normal rows, which need many exchanges and rounds, and half are clusters. Each
case runs in a process of its own, whose peak is compared; the seconds are the best of the runs
made, as plan's machine is timed in its best moments.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import skmm_fast as skmm
from bench_select import pool
from common import peak_rss, save

RUNS = 3
CASES = [
    (N, m, n, method, kind)
    for method, shapes in {
        "auto": [(1000, 64, 50), (20_000, 128, 1000), (20_000, 512, 2000), (10**6, 64, 10_000)],
        "v-optimal": [
            *[(1000, 64, 200), (5000, 64, 250), (20_000, 128, 400), (20_000, 128, 2000)],
            *[(18_000, 256, 640), (10**5, 128, 5000)],
        ],
        "moment-matching": [(1000, 64, 200), (20_000, 128, 1000), (10**6, 64, 10_000)],
        "uniform": [(20_000, 128, 1000)],
        "herding": [(20_000, 128, 1000)],
    }.items()
    for N, m, n in shapes
    for kind in ("normal", "clusters")
]


def rows(N: int, m: int, kind: str) -> np.ndarray:
    if kind == "clusters":
        return pool(N, m)
    return np.random.default_rng(0).standard_normal((N, m), dtype=np.float32)


def one(number: int) -> dict[str, Any]:
    """A case in this process."""
    N, m, n, method, kind = CASES[number]
    Z = rows(N, m, kind)
    expected = skmm.plan(n_samples=N, sketch_dim=m, n=n, method=method, n_threads=2)
    skmm.select(Z[:500], 20, method=method)  # what a process does once
    before, took = peak_rss(), []
    for _ in range(RUNS):
        began = time.perf_counter()
        skmm.select(Z, n, method=method, n_threads=2)
        took.append(time.perf_counter() - began)
    return {
        "case": f"{method}, N = {N}, m = {m}, n = {n}, {kind}",
        "seconds": min(took),
        "planned": expected.seconds,
        "planned / seconds": expected.seconds / min(took),
        "MB": (peak_rss() - before) / 1e6,
        "planned MB": expected.peak_bytes / 1e6,
    }


def main() -> None:
    found = []
    for number in range(len(CASES)):
        command = [sys.executable, Path(__file__), str(number)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout))
        print(found[-1], file=sys.stderr)
    save("plan", found)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(one(int(sys.argv[1]))))
    else:
        main()
