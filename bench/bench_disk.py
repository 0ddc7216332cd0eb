"""A matrix larger than memory, on disk: seconds, and what stays in the process.

The file is a hole (it takes no disk space and reads as zeros), so this measures the page cache and
the sketch, not a disk. Each row adds to the peak of those above it.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import skmm_fast as skmm
from common import peak_rss, save
from skmm_fast.sketch.memmap import batches

R, M = 2_400_000, 512


def main() -> None:
    ram = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    n = int(1.2 * ram / (4 * R))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gradients"
        path.touch()
        os.truncate(path, n * R * 4)
        G = np.memmap(path, np.float32, "r", shape=(n, R))

        def read() -> None:
            for batch in batches(G):
                G[batch].sum()

        calls: dict[str, Callable[[], Any]] = {"read, once before": read, "read, 1 thread": read}
        for S in (skmm.GroupedSign(R, M), skmm.SparseSign(R, M)):
            calls[f"{type(S).__name__}, 2 threads"] = lambda S=S: S.apply(G, n_threads=2)
        for who, call in calls.items():
            before = peak_rss()
            began = time.perf_counter()
            call()
            took = time.perf_counter() - began
            rows.append(
                {
                    "who": who,
                    "N": n,
                    "r": R,
                    "file GB": G.nbytes / 1e9,
                    "memory of the machine GB": ram / 1e9,
                    "seconds": took,
                    "GB a second": G.nbytes / took / 1e9,
                    "extra MB": (peak_rss() - before) / 1e6,
                }
            )
    save("disk", rows)


if __name__ == "__main__":
    main()
