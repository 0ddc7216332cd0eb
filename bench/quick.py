"""Headline ratios beside their targets and beside the last run on the same machine, in minutes.

A target is the most that a figure should be. The figures are saved in results/<machine>/quick.json,
and the next run compares its own with them.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

import bench_sketch as sketch
import skmm_fast as skmm
from bench_busy import busy
from bench_select import iterations, pool, timed
from common import blas, processor, result_path, seconds, write
from skmm_fast.pool.pool import Pool

THREADS = (1, 2)


class Figure(NamedTuple):
    case: str
    value: float
    unit: str
    target: float | None = None  # at most


def ns_per_entry(rows: list[sketch.Row], who: str, n_threads: int, case: str = "") -> float:
    """The one row of this name and number of threads, in a case that begins so."""
    (found,) = (
        row["ns per entry"]
        for row in rows
        if (row["who"], row["threads"]) == (who, n_threads) and row["case"].startswith(case)
    )
    return float(found)


def dense(rng: np.random.Generator) -> Iterator[Figure]:
    rows = sketch.beside_read(rng.standard_normal((sketch.N, sketch.R), dtype=np.float32))
    for k in THREADS:
        read, grouped = (ns_per_entry(rows, who, k) for who in ("read of G", "GroupedSign"))
        yield Figure(f"GroupedSign, {k} thread(s)", grouped, "ns per entry")
        # Where a read is very fast, 0.135 ns per entry is enough.
        target = max(1.25, 0.135 / read)
        yield Figure(f"GroupedSign, {k} thread(s)", grouped / read, "x a read of G", target)
    for zeta, target in ((8, 0.31), (1, None)):
        who = f"SparseSign, ζ = {zeta}"
        yield Figure(f"{who}, 2 threads", ns_per_entry(rows, who, 2), "ns per entry", target)


def gaussian(rng: np.random.Generator) -> Iterator[Figure]:
    rows, target = sketch.gaussian(rng), 0.6 if "AMD" in processor() else 1.0
    for k in THREADS:
        ours, theirs = (ns_per_entry(rows, who, k) for who in ("Gaussian", "sgemm, Γ stored"))
        yield Figure(f"Gaussian, N = 1024, {k} thread(s)", ours / theirs, "x sgemm", target)


def few_rows(rng: np.random.Generator) -> Iterator[Figure]:
    rows, who = sketch.few_rows(rng), f"SparseSign, ζ = {sketch.ZETA}"
    ns = {n: ns_per_entry(rows, who, 2, f"N = {n},") for n in (1, 2, 4, 8, 16)}
    yield Figure("SparseSign, N = 1, 2 threads", ns[1], "ns per entry", 2.5)
    for n, target in ((2, None), (4, 2.0), (8, 1.3)):
        yield Figure(f"SparseSign, N = {n}, 2 threads", ns[n] / ns[16], "x N = 16", target)


def csr(rng: np.random.Generator) -> Iterator[Figure]:
    rows = sketch.csr(rng, dims=(10**6,))
    for who in ("SparseSign", "GroupedSign"):
        ns = ns_per_entry(rows, f"{who}, r = 1e+06", 2)
        yield Figure(f"{who} of CSR, 2 threads", ns, "ns per nonzero")


def selection(rng: np.random.Generator) -> Iterator[Figure]:
    Z, n = rng.standard_normal((18_000, 128), dtype=np.float32), 640
    parts: dict[str, tuple[dict[str, Any], float | None]] = {
        "greedy": ({"route": "greedy", "refine": False, "bound": False}, None),
        "bound": ({"route": "relaxation", "refine": False}, None),
        "whole": ({}, 1.0),
    }
    for part, (options, target) in parts.items():
        times = [timed(Pool.of(Z, n_threads=2), n, **options)["seconds"] for _ in range(3)]
        case = f"v_optimal, N = 18 000, m = 128, n = {n}: {part}"
        yield Figure(case, statistics.median(times), "s", target)
    Z = pool(20_000, 64)
    for method in ("auto", "uniform"):
        took = seconds(lambda m=method: skmm.select(Z, 200, method=m, n_threads=2), repeats=5)
        yield Figure(f"select, {method}, N = 20 000, m = 64, n = 200", took, "s")
    ratios = [row["x two reads"] for row in iterations(rounds=3)]
    case = "moment matching, N = 10⁶: two passes, median of fits"
    yield Figure(case, statistics.median(ratios), "x two reads of Y")


def busy_machine() -> Iterator[Figure]:
    for row in busy():
        case = f"all cores busy: {row['case'].partition(',')[0]}, default threads"
        yield Figure(case, row["x one thread"], "x one thread", 1.3)


def figures() -> Iterator[Figure]:
    rng = np.random.default_rng(0)
    for part in (dense, gaussian, few_rows, csr, selection):
        yield from part(rng)
    yield from busy_machine()


def line(figure: Figure, last: float | None) -> str:
    text = f"{figure.case:55} {figure.value:8.3g} {figure.unit:17}"
    if figure.target is not None:
        met = "met" if figure.value <= figure.target else "MISSED"
        text += f" target <= {figure.target:.3g}: {met:6}"
    else:
        text += " " * 24
    return f"{text} last {last:.3g}" if last is not None else text.rstrip()


def about() -> Iterator[str]:
    """What the figures depend on beside the code."""
    yield f"{processor()}, instruction set {skmm._core.isa}"
    yield f"BLAS of NumPy and SciPy: {blas()}"
    yield f"sgemm: torch's, {'MKL' if torch.backends.mkl.is_available() else 'not MKL'}"
    if kernel := os.environ.get("OPENBLAS_CORETYPE"):
        yield f"Warning: OPENBLAS_CORETYPE={kernel} is set, so OpenBLAS did not choose its kernel"


def main() -> None:
    began, path, before = time.perf_counter(), result_path("quick"), {}
    print(*about(), sep="\n")
    if path.exists():
        last = json.loads(path.read_text())
        print(
            f"last: {last['machine']['date']}, {last['machine']['isa']}, {last['machine']['blas']}"
        )
        before = {(row["case"], row["unit"]): row["value"] for row in last["rows"]}
    found = []
    for figure in figures():
        print(line(figure, before.get((figure.case, figure.unit))), flush=True)
        found.append(figure._asdict())
    write(path, found)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
