"""Selection by W processes of one thread each, beside one process of as many threads.

All read one store of N rows (clusters, a falling spectrum), whose pages are in memory. Seconds are
those of `select` without the diagnosis, the longest of the ranks, after a call that loaded the
modules; processes of a process group exchange by gloo on this machine. Bytes are those that a rank
gives to all exchanges together. The rows chosen are compared: they are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import skmm_fast as skmm
from common import save, seconds
from skmm_fast import SketchStore, _core
from skmm_fast._support.claims import Claims
from skmm_fast._support.ranks import Ranks
from skmm_fast._support.rows_here import RowsHere
from skmm_fast.sketch.manifest import Manifest
from skmm_fast.sketch.store import made, prepared

M, CLUSTERS, SHARD_ROWS = 128, 100, 4096
METHODS = {
    "moment-matching": {},
    "v-optimal, relaxation": {"route": "relaxation"},
    "v-optimal, greedy": {"route": "greedy", "n": 300},
}


def make(folder: Path, n_rows: int) -> None:
    prepared(folder)
    store = made(folder, Manifest(n_rows, M, "float32", SHARD_ROWS, SHARD_ROWS, {}), Claims(folder))
    rng = np.random.default_rng(0)
    scale = (1 / np.sqrt(np.arange(1, M + 1))).astype(np.float32)
    centres = rng.standard_normal((CLUSTERS, M), np.float32)
    for k in store.missing:
        n = len(store._rows(k))
        Z = centres[rng.integers(0, CLUSTERS, n)] + rng.standard_normal((n, M), np.float32)
        store._write(k, Z * rng.exponential(size=(n, 1)).astype(np.float32) * scale)


def child(folder: Path, name: str, n: int, rank: int, size: int, threads: int) -> None:
    """Prints seconds, exchanges, bytes and the rows of one process."""
    warnings.simplefilter("ignore")
    used: list[Any] = []
    if size > 1:
        import torch

        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{folder}.meet", rank=rank, world_size=size
        )
        module = sys.modules["skmm_fast._select"]
        found = module.ranks_of_group
        module.ranks_of_group = lambda: used.append(found()) or used[-1]
    store = SketchStore(folder)
    here = RowsHere(len(store), Ranks(size, rank) if size > 1 else None)
    store._array_of(here).sum()  # the pages are in memory, the checksums verified
    options = {"n": n, **METHODS[name], "method": name.split(",")[0], "diagnose": "none"}
    for _ in range(2):
        began = time.perf_counter()
        selection = skmm.select(store, n_threads=threads, **options)
        seconds = time.perf_counter() - began
    sent = used[-1].sent if used else []
    rows = selection.indices.tolist()
    print(json.dumps([seconds, len(sent), sum(sent), max(sent, default=0), rows]))


def stages(m: int = 512, n_rows: int = 10**5, threads: int = 2) -> dict[str, Any]:
    """Nanoseconds a row of the passes that selections are made of."""
    Z = np.random.default_rng(0).standard_normal((n_rows, m), np.float32)
    B, s = np.eye(m), np.full(n_rows, 1 / n_rows)
    out = np.empty_like(Z)
    passes = {
        "second moment": lambda: _core.second_moment(Z, s, threads),
        "rotation": lambda: _core.multiply(Z, B, None, out, threads),
        "norms": lambda: _core.row_norms(Z, B, n_threads=threads),
        "moments of s": lambda: _core.column_squares(Z, s, threads),
        "B u": lambda: _core.square_dots(Z, s[:m], threads),
    }
    found = {f"{name}, ns": seconds(f, 3) / n_rows * 1e9 for name, f in passes.items()}
    return {"method": "passes, a row", "N": n_rows, "m": m, "threads": threads, **found}


def run(folder: Path, name: str, n: int, size: int, threads: int) -> list[Any]:
    """What the processes say: the longest time, and the rest of the first."""
    Path(f"{folder}.meet").unlink(missing_ok=True)
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, "--child", str(folder), name, str(n), str(rank), str(size),
             str(threads)],
            env={**os.environ, "OPENBLAS_NUM_THREADS": str(threads)},
            stdout=subprocess.PIPE, text=True,
        )
        for rank in range(size)
    ]  # fmt: skip
    said = [json.loads(process.communicate()[0]) for process in processes]
    return [max(one[0] for one in said), *said[0][1:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-N", type=int, default=10**6)
    parser.add_argument("-n", type=int, default=2000)
    parser.add_argument("-W", type=int, nargs="*", default=[2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--no-save", action="store_true")
    parser.add_argument("--child", nargs=6)
    args = parser.parse_args()
    if args.child:
        folder, name, *numbers = args.child
        child(Path(folder), name, *map(int, numbers))
        return
    rows = [stages()]
    print(rows[0], flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "store"
        make(folder, args.N)
        for name in args.methods:
            n = METHODS[name].get("n", args.n)
            for W in args.W:
                runs = [
                    (run(folder, name, n, 1, W), run(folder, name, n, W, 1))
                    for _ in range(args.repeats)
                ]
                alone, together = (median(r[i][0] for r in runs) for i in range(2))
                _, exchanges, sent, most, chosen = runs[-1][1]
                rows.append(
                    {
                        "method": name, "N": args.N, "m": M, "n": n, "W": W,
                        "one process, s": alone, "W processes, s": together,
                        "ratio": together / alone, "exchanges": exchanges, "bytes sent": sent,
                        "largest": most,
                        "same rows": chosen == runs[-1][0][4],
                    }
                )  # fmt: skip
                print(rows[-1], flush=True)
    if not args.no_save:
        save("ranks", rows)


if __name__ == "__main__":
    main()
