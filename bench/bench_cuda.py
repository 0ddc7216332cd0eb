"""Sketches of dense gradients on a CUDA device beside a read of G (m = 512, ζ = 8)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

import skmm_fast as skmm
from common import save
from skmm_fast.device import gamma

M, ZETA = 512, 8
DIMS = (2_400_000, 11_700_000, 134_000_000)
BATCH = 64  # rows at most; fewer where they would not fit


def milliseconds(call: Callable[[], Any], repeats: int = 9, at_most: float = 5.0) -> float:
    """Median time of a call on the device, after two calls that are not counted: of `repeats`
    calls, or as many as begin within `at_most` seconds, but one at least."""
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < 3 or (len(times) < 2 + repeats and time.perf_counter() - started < at_most):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record()
        call()
        ended.record()
        ended.synchronize()
        times.append(began.elapsed_time(ended))
    return statistics.median(times[2:])


def compare(r: int, dtype: torch.dtype) -> list[dict[str, Any]]:
    free, _ = torch.cuda.mem_get_info()
    batch = min(BATCH, int(0.8 * free) // (r * dtype.itemsize))
    if batch == 0:
        return []
    G = torch.empty(batch, r, dtype=dtype, device="cuda").normal_()
    Z = torch.zeros(batch, M, device="cuda")
    calls: dict[str, Callable[[], Any]] = {"read of G": lambda: G.sum(dtype=torch.float32)}
    kinds = [skmm.SparseSign(r, M, nnz_per_row=ZETA)]
    if r == DIMS[0]:  # in plain torch
        kinds += [skmm.GroupedSign(r, M), skmm.Gaussian(r, M)]
    for S in kinds:
        calls[type(S).__name__] = lambda S=S: gamma.add_dense(S, G, Z, 0)
    times = {who: milliseconds(call) for who, call in calls.items()}
    return [
        {
            "case": f"N = {batch}, r = {r}, {str(dtype).removeprefix('torch.')}",
            "who": who,
            "ms": t,
            "GB/s": G.nbytes / t * 1e-6,
            "share of the read": times["read of G"] / t,
            "samples/s": batch / t * 1e3,
        }
        for who, t in times.items()
    ]


def main() -> None:
    if not torch.cuda.is_available():
        print("no CUDA device")
        return
    rows = []
    for r in DIMS:
        for dtype in (torch.float32, torch.bfloat16):
            rows += compare(r, dtype)
            torch.cuda.empty_cache()
    save("cuda", rows, gpu=torch.cuda.get_device_name())


if __name__ == "__main__":
    main()
