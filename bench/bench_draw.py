"""Draws: seconds at N = 10⁷, and how far the moments of a draw are from those of its weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import numpy as np

import skmm_fast as skmm
from bench_select import pool
from common import save, seconds
from skmm_fast import _core
from skmm_fast.methods.sampling import DrawMethod, walk_order
from tasks import Task, digits, text

N, CHOSEN, SUBSET = 10**7, 10**6, 10**5
C_S, DRAWS = 0.9, 200  # of the moment error
RANDOM = ("pivotal", "systematic")


def speed() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    s = rng.exponential(size=N)
    s = _core.project_capped_simplex(s / s.sum(), 1 / CHOSEN, 1.0, 2)
    values, classes = rng.standard_normal(N).astype(np.float32), rng.integers(0, 100, N)
    order = walk_order(values, classes)
    calls: dict[str, Callable[[], Any]] = {
        **{
            f"{who}, n = 10⁶": partial(skmm.draw, s, CHOSEN, method=who)
            for who in get_args(DrawMethod)
        },
        **{
            f"{who} along an order, n = 10⁶": partial(skmm.draw, s, CHOSEN, method=who, order=order)
            for who in RANDOM
        },
        "that order: by class and value": partial(walk_order, values, classes),
        "uniform subset, n = 10⁵": partial(_core.draw_subset, N, SUBSET, 0),
    }
    return [{"case": f"N = 10⁷: {who}", "seconds": seconds(call)} for who, call in calls.items()]


def moment_errors(task: Task, n: int) -> list[dict[str, Any]]:
    """Means over DRAWS draws of ‖Σ̃_S - Zᵀ diag(s) Z‖_F; rows come shuffled."""
    shuffled = np.random.default_rng(1).permutation(len(task.Z))
    Z, y = task.Z[shuffled], None if task.y is None else task.y[shuffled]
    s = skmm.match_moments(Z, n, c_s=C_S, max_iter=100).s
    relaxed = Z.T @ (s[:, None] * Z)
    along = Z @ skmm.moments(Z).eigenvectors[:, 0]
    orders = {"": None, ", principal direction": walk_order(along)}
    if y is not None:
        orders[", class"] = walk_order(np.zeros(len(y)), y)
        orders[", class and principal direction"] = walk_order(along, y)

    def weighted(seed: int) -> np.ndarray:
        return np.random.default_rng(seed).choice(len(Z), n, replace=False, p=s)

    def error(draw: Callable[..., np.ndarray]) -> float:
        drawn = (Z[draw(seed=seed)] for seed in range(DRAWS))
        return float(np.mean([np.linalg.norm(X.T @ X / n - relaxed) for X in drawn]))

    errors = {"weighted choice": error(weighted)}
    for who in RANDOM:
        for along_what, order in orders.items():
            errors[who + along_what] = error(partial(skmm.draw, s, n, method=who, order=order))
    return [
        {
            "case": f"{task.name}, n = {n}: {who}",
            "moment error": value / float(np.linalg.norm(relaxed)),
            "x weighted": value / errors["weighted choice"],
        }
        for who, value in errors.items()
    ]


def main() -> None:
    clusters = Task("clusters, m = 128", pool(20_000, 128), None)
    rows = speed()
    for task, n in ((clusters, 600), (digits(), 200), (text(), 600)):
        rows += moment_errors(task, n)
    save("draw", rows)


if __name__ == "__main__":
    main()
