"""A whole `select` of up to 10⁷ rows that lie on a CUDA device: seconds, memory, quality."""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch

import skmm_fast as skmm
from common import result_path, write

CASES = [  # N, n, method
    (10**6, 1000, "v-optimal"),
    (10**7, 1000, "v-optimal"),
    (10**7, 100_000, "moment-matching"),
    (10**7, 100_000, "v-optimal"),
    (10**7, 250, "v-optimal"),  # greedy
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, help="begin no case after so many")
    limit = parser.parse_args().seconds
    if not torch.cuda.is_available():
        print("no CUDA device")
        return
    gpu, rows, began = torch.cuda.get_device_name(), [], time.perf_counter()
    for case in CASES:
        if limit is not None and time.perf_counter() - began > limit:
            print(f"left out after {limit:g} s: {case}")
            continue
        rows.append(run(*case))
        write(result_path("cuda_select", gpu), rows, gpu)  # a run that is stopped keeps what it has
        print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
