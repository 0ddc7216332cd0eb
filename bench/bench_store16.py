"""Selection from stores of float32 and of float16: disk, seconds from the disk and from the page
cache, memory, and how alike the selections are.

Each selection is a process of its own, and its seconds are those of a user's call: up to 4 GB the
shards are held against their checksums first. Both selections are judged by the rows of float32.
The pages of a store's files are dropped before a run "from the disk", as far as the system follows
the advice. Files go to --folder (N = 10⁷, m = 256: 16 GB).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import skmm_fast as skmm
from bench_scale import peak
from common import save
from skmm_fast._support.claims import Claims
from skmm_fast._support.float16_rows import scaled_halves
from skmm_fast.sketch.manifest import Manifest
from skmm_fast.sketch.store import SketchStore, made, prepared

M, SHARD_ROWS, CLASSES = 256, 1 << 15, 50
METHODS = ("auto", "v-optimal", "moment-matching", "herding")
DTYPES = ("float32", "float16")


def make(folder: Path, n_rows: int) -> None:
    """Two stores of the same rows, in clusters, of uneven norms, with a spectrum that falls like
    1/j; and the clusters."""
    rng = np.random.default_rng(0)
    scale = (1 / np.sqrt(np.arange(1, M + 1))).astype(np.float32)
    centres = rng.standard_normal((CLASSES, M), np.float32)
    stores = {}
    for dtype in DTYPES:
        prepared(folder / dtype)
        manifest = Manifest(n_rows, M, dtype, SHARD_ROWS, SHARD_ROWS, {})
        stores[dtype] = made(folder / dtype, manifest, Claims(folder / dtype))
    y = rng.integers(0, CLASSES, n_rows)
    for k in stores["float32"].missing:
        own = y[list(stores["float32"]._rows(k))]
        Z = rng.standard_normal((len(own), M), np.float32)
        Z *= rng.exponential(size=(len(own), 1)).astype(np.float32)
        Z = (centres[own] + Z) * scale
        stores["float32"]._write(k, Z)
        stores["float16"]._write(k, scaled_halves(Z)[0])
    np.save(folder / "y.npy", y)


def gigabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.iterdir()) / 1e9


def drop_pages(folder: Path) -> None:
    for path in folder.glob("shard-*.npy"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def run(folder: Path, dtype: str, method: str, n: int) -> None:
    """The process of one selection: its rows to a file, what it took to stdout."""
    store, y = SketchStore(folder / dtype), np.load(folder / "y.npy")
    labels: dict[str, Any] = {"y": y} if method == "auto" else {}
    if method == "moment-matching":
        labels["scratch_dir"] = folder
    with peak() as most:
        began = time.perf_counter()
        selection = skmm.select(store, n, method=method, diagnose="none", **labels)
        took = time.perf_counter() - began
    np.save(folder / f"{dtype}-{method}.npy", selection.indices)
    print(json.dumps({"seconds": took, "anonymous MB": most[0] / 1e6}))


def measured(folder: Path, dtype: str, method: str, n: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--folder", str(folder), "--run", dtype, method, str(n)]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(json.loads(text))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path("build/bench_store16"))
    parser.add_argument("--rows", type=int, nargs="*", default=[10**5, 10**6, 10**7])
    parser.add_argument("--methods", nargs="*", default=METHODS)
    parser.add_argument("--run", nargs=3)
    args = parser.parse_args()
    if args.run:
        dtype, method, n = args.run
        run(args.folder, dtype, method, int(n))
        return
    rows: list[dict[str, Any]] = []
    for N in args.rows:
        shutil.rmtree(args.folder, ignore_errors=True)
        make(args.folder, N)
        Z = SketchStore(args.folder / "float32").array()
        for method in args.methods:
            n = 100 if method == "herding" else max(1000, N // 1000)
            found = {}
            for dtype in DTYPES:
                drop_pages(args.folder / dtype)
                cold = measured(args.folder, dtype, method, n)
                warm = measured(args.folder, dtype, method, n)
                found[dtype] = np.load(args.folder / f"{dtype}-{method}.npy")
                judged = skmm.diagnose(Z, found[dtype])
                rows.append(
                    {
                        "case": f"N = {N}, m = {M}, n = {n}",
                        "method": method,
                        "store": dtype,
                        "GB": gigabytes(args.folder / dtype),
                        "seconds from the disk": cold["seconds"],
                        "seconds": warm["seconds"],
                        "anonymous MB": warm["anonymous MB"],
                        "the same rows": len(np.intersect1d(found[dtype], found["float32"])) / n,
                        "V-optimality": judged.v_optimality,
                        "mean error": judged.mean_error,
                    }
                )
                print(rows[-1], flush=True)
    save("store16", rows)


if __name__ == "__main__":
    main()
