"""What gradient matching takes beside a read of Z and sgemm: its parts, and the whole selection.

    python bench/bench_mean_matching.py --large

--large adds N = 10⁷ from a memory map (5 GB in the folder for temporary files).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import skmm_fast as skmm
from common import peak_rss, save, seconds
from skmm_fast.methods import gradient_matching
from skmm_fast.methods.problem import Problem

THREADS = 2
EMBEDDINGS, WIDTH, CLASSES = 20_000, 384, 53


def measure(case: str, Z: np.ndarray, n: int, repeats: int = 5) -> dict[str, Any]:
    def problem() -> Problem:
        return Problem.of_matrix(
            Z, n, y=None, per_class=None, include=None, exclude=None, seed=0, n_threads=THREADS,
            progress=False,
        )  # fmt: skip

    def once(call: Any) -> float:
        return seconds(call, repeats=repeats, warm_up=0.0)

    made = problem()
    read = once(lambda: float(sum(part.sum() for part in np.array_split(Z, 64))))
    block = np.asarray(Z[:16384])
    by = block[: Z.shape[1]].T.copy()
    return {
        "case": case,
        "read of Z": read,
        "sgemm Z (m, m)": once(lambda: block @ by) * len(Z) / len(block),
        "second moment": once(lambda: problem().pool),
        "method": once(lambda: (made.pool, gradient_matching.run(made))),
        "select, fast diagnosis": once(
            lambda: skmm.select(Z, n, diagnose="fast", n_threads=THREADS)
        ),
    }


def with_pilot() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, EMBEDDINGS)
    X = rng.standard_normal((CLASSES, WIDTH))[y] + 2 * rng.standard_normal((EMBEDDINGS, WIDTH))
    X = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)
    whole = seconds(
        lambda: skmm.select(X, 1000, y=y, pilot="linear", diagnose="fast", n_threads=THREADS),
        repeats=5,
    )
    case = f"pilot, {EMBEDDINGS} embeddings of {WIDTH}, {CLASSES} classes, n = 1000"
    return {"case": case, "select, fast diagnosis": whole}


def large(folder: str) -> dict[str, Any]:
    N, m, n = 10**7, 128, 10**5
    Z = np.lib.format.open_memmap(Path(folder) / "Z.npy", mode="w+", dtype=np.float32, shape=(N, m))
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((1000, m), dtype=np.float32)
    for i in range(0, N, 10**5):
        noise = rng.standard_normal((10**5, m), dtype=np.float32)
        Z[i : i + 10**5] = centres[rng.integers(0, 1000, 10**5)] + noise
    row = measure(f"N = 10⁷, m = {m}, n = 10⁵, memory map", Z, n, repeats=1)
    return {**row, "peak RSS, GB, with pages of the map": peak_rss() / 1e9}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--large", action="store_true")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = []
    for N, m, n in ((18_000, 512, 640), (200_000, 128, 2_000)):
        Z = rng.standard_normal((N, m), dtype=np.float32)
        rows.append(measure(f"N = {N}, m = {m}, n = {n}", Z, n))
    rows.append(with_pilot())
    if args.large:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(large(folder))
    save("mean_matching", rows)


if __name__ == "__main__":
    main()
