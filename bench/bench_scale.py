"""Selection from a memory map of up to 10⁷ rows: seconds, memory, quality, and how they grow.

Each case is a process of its own. Anonymous memory is sampled 50 times a second; the pages of the
map and of the scratch file are the page cache's. Files go to --folder (12 GB).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import skmm_fast as skmm
from common import result_path, save

CASES = [  # N, m, n, method
    *((10**6, 128, n, "v-optimal") for n in (300, 1000, 3000, 10_000, 30_000, 100_000)),
    *((10**6, 128, n, "moment-matching") for n in (1000, 10_000, 100_000)),
    *((N, 128, N // 100, how) for N in (10**5, 10**7) for how in ("v-optimal", "moment-matching")),
    (10**6, 256, 10_000, "v-optimal"),
]


def make(path: Path, n_rows: int, m: int, batch: int = 100_000) -> None:
    """Rows of uneven norms in 50 clusters, with a spectrum that falls like 1/j."""
    rng = np.random.default_rng(0)
    scale = (1 / np.sqrt(np.arange(1, m + 1))).astype(np.float32)
    centres = rng.standard_normal((50, m), np.float32)
    out = np.lib.format.open_memmap(path, "w+", np.float32, (n_rows, m))
    for i in range(0, n_rows, batch):
        b = min(batch, n_rows - i)
        noise = rng.standard_normal((b, m), np.float32)
        noise *= rng.exponential(size=(b, 1)).astype(np.float32)
        out[i : i + b] = (centres[rng.integers(0, 50, b)] + noise) * scale
    out.flush()


def anonymous() -> int:
    """Bytes of this process that no file stands for."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024


@contextmanager
def peak() -> Iterator[list[int]]:
    """The largest `anonymous` so far, in a list of one."""
    most, stop = [anonymous()], threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            most[0] = max(most[0], anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield most
    stop.set()
    watcher.join()


def run(path: Path, n: int, method: str) -> dict[str, Any]:
    Z = np.load(path, mmap_mode="r")
    N, m = Z.shape
    expected = skmm.plan(n_samples=N, sketch_dim=m, n=n, method=method, scratch=True)
    before = anonymous()
    with peak() as most:
        began = time.perf_counter()
        selection = skmm.select(
            Z, n, method=method, scratch_dir=path.parent if method == "moment-matching" else None
        )
        took = time.perf_counter() - began
    solver, d = selection.settings["solver"], selection.diagnosis
    return {
        "seconds": took,
        "planned": expected.seconds,
        "anonymous MB": most[0] / 1e6,
        "planned MB": (before + expected.peak_bytes) / 1e6,
        "route": solver.get("route"),
        "passes": solver.get("n_passes"),
        "V-optimality / bound": d.v_optimality / d.lower_bound,
        "uniform / bound": float(d.random_v_optimality.mean() / d.lower_bound),
    }


def picture(rows: list[dict[str, Any]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    by_n, by_N = figure.subplots(1, 2)
    for method in ("v-optimal", "moment-matching"):
        mine = [r for r in rows if r["method"] == method and r["m"] == 128]
        for axes, x, some in (
            (by_n, "n", [r for r in mine if r["N"] == 10**6]),
            (by_N, "N", [r for r in mine if r["n"] * 100 == r["N"]]),
        ):
            some = sorted(some, key=lambda r: r[x])
            axes.loglog([r[x] for r in some], [r["seconds"] for r in some], "o-", label=method)
            axes.set(xlabel=x, ylabel="seconds")
    by_n.set_title("N = 10⁶, m = 128")
    by_N.set_title("n = N / 100, m = 128")
    by_n.legend()
    figure.savefig(result_path("scale").with_suffix(".png"), dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path("build"))
    parser.add_argument("--largest", type=int, default=10**7)
    parser.add_argument("--case", nargs=3)
    arguments = parser.parse_args()
    if arguments.case:
        path, n, method = arguments.case
        print(json.dumps(run(Path(path), int(n), method)))
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    path, made, rows = arguments.folder / "scale.npy", None, []
    try:
        for N, m, n, method in sorted(CASES):
            if arguments.largest < N:
                continue
            if made != (N, m):
                path.unlink(missing_ok=True)
                make(path, N, m)
                made = N, m
            command = [sys.executable, __file__, "--case", str(path), str(n), method]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rows.append({"N": N, "m": m, "n": n, "method": method, **json.loads(done.stdout)})
            print(rows[-1], flush=True)
    finally:
        path.unlink(missing_ok=True)
    save("scale", rows)
    picture(rows)


if __name__ == "__main__":
    main()
