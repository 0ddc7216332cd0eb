"""Stage 2: moment matching beside reads of Y, V-optimal selection, the bound."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

import skmm_fast as skmm
from common import peak_rss, save, seconds
from skmm_fast.pool import Pool
from skmm_fast.relaxation import lower_bound

N, M = 50_000, 128


def pool(n_rows: int, m: int) -> np.ndarray:
    """Rows of uneven norms in clusters, with a spectrum that falls like 1/j."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((50, m))
    noise = rng.standard_normal((n_rows, m)) * rng.exponential(size=(n_rows, 1))
    Z = (centres[rng.integers(0, 50, n_rows)] + noise) / np.sqrt(np.arange(1, m + 1))
    return Z.astype(np.float32)


def matching(Z: np.ndarray) -> list[dict[str, Any]]:
    torch.set_num_threads(2)
    read, rows = seconds(torch.from_numpy(Z).sum), []
    for weighting in ("paper", "relative"):
        for c_s in (0.999, 0.9, 0.7, 0.5):
            fit = skmm.match_moments(Z, 600, c_s, weighting, max_iter=500, n_threads=2)
            took = float(fit.history["seconds"][-1])
            rows.append(
                {
                    "case": f"match_moments, {weighting}, c_S = {c_s}, n = 600",
                    "iterations": fit.n_iter,
                    "converged": fit.converged,
                    "gap / φ(s_1)": float(fit.gap / fit.history["objective"][0]),
                    "seconds": took,
                    "iteration x two reads": took / fit.n_iter / (2 * read),
                }
            )
    return rows


def design(Z: np.ndarray, n: int) -> list[dict[str, Any]]:
    rows = []
    for refine in (False, True):
        began = time.perf_counter()
        result = skmm.v_optimal(Z, n, refine=refine, bound=False, n_threads=2)
        rows.append(
            {
                "case": f"v_optimal, n = {n}, refine = {refine}",
                "seconds": time.perf_counter() - began,
                "V-optimality": result.objective,
                "swaps": result.n_swaps,
            }
        )
    made = Pool.of(Z)
    began = time.perf_counter()
    bound = lower_bound(made, n)
    took = time.perf_counter() - began
    rows.append({"case": f"lower bound, n = {n}", "seconds": took, "V-optimality": bound})
    uniform = skmm.diagnose(Z, result.indices, bound=False).random_v_optimality
    return [*rows, {"case": f"uniform, n = {n}", "V-optimality": float(uniform.mean())}]


def main() -> None:
    Z = pool(N, M)
    rows = [*matching(Z), *design(Z, 600), *design(Z, 5120)]
    save("select", [*rows, {"case": "peak memory of this script", "MB": peak_rss() / 1e6}])


if __name__ == "__main__":
    main()
