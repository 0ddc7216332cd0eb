"""A whole `select` of up to 10⁷ rows that lie on a CUDA device: seconds, memory, quality."""

from __future__ import annotations

import sys
import time
from typing import Any

import torch

import skmm_fast as skmm
from common import save

CASES = [  # N, n, method
    (10**6, 1000, "v-optimal"),
    (10**7, 250, "v-optimal"),  # greedy
    (10**7, 1000, "v-optimal"),
    (10**7, 100_000, "v-optimal"),
    (10**7, 100_000, "moment-matching"),
]
M = 128


def pool(n_rows: int) -> torch.Tensor:
    """Rows of uneven norms in 50 clusters, with a spectrum that falls like 1/j."""
    torch.manual_seed(0)
    Z = torch.randn((n_rows, M), device="cuda")
    Z *= torch.empty((n_rows, 1), device="cuda").exponential_()
    Z += torch.randn((50, M), device="cuda")[torch.randint(50, (n_rows,), device="cuda")]
    return Z.mul_(torch.arange(1, M + 1, device="cuda").rsqrt())


def run(n_rows: int, n: int, method: str) -> dict[str, Any]:
    Z = pool(n_rows)
    skmm.select(Z[:1000], 300, method=method, sketch_dim=M)  # starts what is made once
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    began = time.perf_counter()
    selection = skmm.select(Z, n, method=method, sketch_dim=M)
    took = time.perf_counter() - began
    solver, d = selection.settings["solver"], selection.diagnosis
    return {
        "N": n_rows,
        "m": M,
        "n": n,
        "method": method,
        "seconds": took,
        "device MB": (torch.cuda.max_memory_allocated() - before) / 1e6,
        "route": solver.get("route"),
        "passes": solver.get("n_passes"),
        "V-optimality / bound": d.v_optimality / d.lower_bound,
        "uniform / bound": float(d.random_v_optimality.mean() / d.lower_bound),
    }


if __name__ == "__main__":
    if not torch.cuda.is_available():
        print("no CUDA device")
        sys.exit()
    rows = [run(*case) for case in CASES]
    device = torch.cuda.get_device_name()
    save("cuda_select", [{"device": device, **row} for row in rows])
