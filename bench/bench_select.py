"""Stage 2: moment matching beside reads of Y, passes on three tasks, V-optimal selection and its
certificate."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

import skmm_fast as skmm
from common import peak_rss, save, seconds
from problems import problem_of
from skmm_fast.methods import moment_matching, v_optimality
from skmm_fast.methods.moment_matching import MatchOptions
from skmm_fast.methods.v_optimality import VOptimalOptions
from skmm_fast.pool.pool import Pool
from tasks import Task, digits, gmm, text

N, M = 50_000, 128
C_S = (0.999, 0.9, 0.7, 0.5)


def pool(n_rows: int, m: int) -> np.ndarray:
    """Rows of uneven norms in clusters, with a spectrum that falls like 1/j."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((50, m))
    noise = rng.standard_normal((n_rows, m)) * rng.exponential(size=(n_rows, 1))
    Z = (centres[rng.integers(0, 50, n_rows)] + noise) / np.sqrt(np.arange(1, m + 1))
    return Z.astype(np.float32)


def iterations(n_rows: int = 10**6, n: int = 10_000, rounds: int = 9) -> list[dict[str, Any]]:
    """Seconds of two passes, with all that is done between them, beside two reads of Y."""
    torch.set_num_threads(2)
    Z, rows = pool(n_rows, M), []
    made, tensor = Pool.of(Z, n_threads=2), torch.from_numpy(Z)
    for init in ("random", "uniform"):
        for weighting, c_s in (("paper", 0.9), ("relative", 0.3), ("relative", 0.02)):
            spent, ratios = [], []
            for _ in range(rounds):
                before = seconds(tensor.sum, repeats=5, warm_up=0.1)
                options = MatchOptions(c_s, weighting, init, tol=1e-9)
                fit = moment_matching.solve(problem_of(made, n, n_threads=2), options)
                after = seconds(tensor.sum, repeats=5, warm_up=0.1)
                clock = fit.history["seconds"]  # the first iteration ends after three passes
                spent.append(2 * (clock[-1] - clock[0]) / (fit.n_passes - 3))
                ratios.append(spent[-1] / (before + after))
            rows.append(
                {
                    "case": f"N = 10⁶, n = 10⁴, {weighting}, c_S = {c_s}, from {init}",
                    "iterations": fit.n_iter,
                    "passes": fit.n_passes,
                    "seconds": float(clock[-1]),
                    "ms for two passes": 1e3 * float(np.median(spent)),
                    "x two reads": float(np.median(ratios)),
                }
            )
    return rows


def matching(task: Task, n: int) -> list[dict[str, Any]]:
    """Passes until φ <= 1e-6 φ(s_0) or, where φ cannot be that low, gap <= 1e-4 φ(s_0)."""
    rows, made = [], Pool.of(task.Z, n_threads=2)
    for weighting in ("paper", "relative"):
        for c_s in C_S:
            problem = problem_of(made, n, n_threads=2)
            exact = moment_matching.solve(problem, MatchOptions(c_s, weighting, tol=1e-9))
            feasible = exact.objective <= 1e-6 * exact.start_objective
            tol = 1e-6 if feasible else 1e-4
            fit = moment_matching.solve(problem, MatchOptions(c_s, weighting, tol=tol))
            rows.append(
                {
                    "case": f"{task.name}, n = {n}, {weighting}, c_S = {c_s}",
                    "reached": "φ <= 1e-6 φ(s_0)" if feasible else "gap <= 1e-4 φ(s_0)",
                    "converged": fit.converged,
                    "iterations": fit.n_iter,
                    "passes": fit.n_passes,
                    "seconds": float(fit.history["seconds"][-1]) if fit.n_iter else 0.0,
                    "min φ / φ(s_0)": exact.objective / exact.start_objective,
                }
            )
    return rows


def timed(made: Pool, n: int, bound: bool = True, **options: Any) -> dict[str, Any]:
    problem = problem_of(made, n, n_threads=2)
    began = time.perf_counter()
    result, _ = v_optimality.solve(problem, VOptimalOptions(**options), bound)
    took = time.perf_counter() - began
    if not bound:
        options["bound"] = False
    said = ", ".join(f"{name} = {value}" for name, value in options.items())
    return {
        "options": said,
        "route": result.route,
        "seconds": took,
        "V-optimality": result.objective,
        "swaps": result.n_swaps,
    }


def design(n: int) -> list[dict[str, Any]]:
    made = Pool.of(pool(N, M), n_threads=2)
    cases: list[dict[str, Any]] = [
        {"route": "greedy", "refine": False, "bound": False},
        {"route": "greedy", "refine": False, "bound": False, "block": 32},
        {"route": "greedy", "refine": False, "bound": False, "block": 256},
        {"route": "relaxation", "refine": False},
        {},
    ]
    rows = [{"case": f"N = 50 000, m = 128, n = {n}", **timed(made, n, **c)} for c in cases]
    bound = v_optimality.solve(problem_of(made, n, n_threads=2), VOptimalOptions())[0].lower_bound
    return [{**row, "x bound": row["V-optimality"] / bound} for row in rows]


def certified(task: Task, times: tuple[int, ...] = (3, 5, 10, 40)) -> list[dict[str, Any]]:
    """How near the bound selections come, by n in units of m."""
    rows, made = [], Pool.of(task.Z, n_threads=2)
    for n in (t * task.Z.shape[1] for t in times):
        if 2 * n > len(task.Z):
            continue
        best = skmm.diagnose(task.Z, skmm.v_optimal(task.Z, n).indices)
        for options in ({"route": "greedy", "refine": False, "bound": False}, {}):
            row = {"case": f"{task.name}, n = {n}", **timed(made, n, **options)}
            rows.append({**row, "x bound": row["V-optimality"] / best.lower_bound})
        uniform = float(best.random_v_optimality.mean())
        rows.append(
            {
                "case": f"{task.name}, n = {n}",
                "options": "uniform draws",
                "V-optimality": uniform,
                "x bound": uniform / best.lower_bound,
            }
        )
    return rows


def main() -> None:
    tasks = [(gmm(), 120), (gmm(), 400), (digits(), 192), (text(), 640), (text(), 5120)]
    save("matching", [*iterations(), *(row for task, n in tasks for row in matching(task, n))])
    some = [gmm(), gmm(m=80), digits(), text(m=64), text()]
    rows = [*design(600), *design(5120), *(row for task in some for row in certified(task))]
    save("select", [*rows, {"case": "peak memory of this script", "MB": peak_rss() / 1e6}])


if __name__ == "__main__":
    main()
