"""Selection beside other packages: each on its own objective, and ours on all of them.

Facility location is the mean over rows of the largest cosine to a row chosen (higher is better),
the least distance that of two rows chosen (higher), V-optimality tr(Σ̃ Σ̃_S⁻¹) and Φ the error of the
mean over its expectation for uniform draws (lower). Packages that are not there are skipped. The
others run at the smallest N alone: two keep N² cosines, 40 GB at N = 10⁵, and one takes a minute.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import skmm_fast as skmm
from bench_select import pool
from common import save

DIM, CHOSEN = 64, 100
SIZES = (10_000, 100_000, 1_000_000)
FEW = SIZES[0]  # N² cosines fit in memory, or some 76 greedy choices in patience
Selector = Callable[[np.ndarray], Any]


def ours(method: str) -> Selector:
    return lambda X: skmm.select(X, CHOSEN, method=method, diagnose="none", n_threads=2).indices


def apricot(X: np.ndarray) -> Any:
    module = importlib.import_module("apricot")
    chosen = module.FacilityLocationSelection(CHOSEN, metric="cosine", optimizer="lazy")
    return chosen.fit(X).ranking


def submodlib(X: np.ndarray) -> Any:
    module = importlib.import_module("submodlib")
    f = module.FacilityLocationFunction(n=len(X), mode="dense", data=X, metric="cosine")
    return [i for i, _ in f.maximize(budget=CHOSEN, optimizer="LazyGreedy", show_progress=False)]


def gist(X: np.ndarray) -> Any:
    """Distances alone: all rows have the same utility, 1."""
    module = importlib.import_module("gist")
    utility = module.LinearUtility(np.ones(len(X)))
    return module.gist(X, utility, module.EuclideanDistance(), k=CHOSEN, seed=0).indices


SELECTORS: dict[str, tuple[Selector, int]] = {
    "gradient matching (auto)": (ours("auto"), SIZES[-1]),
    "V-optimal": (ours("v-optimal"), SIZES[-1]),
    "k-center": (ours("k-center"), SIZES[-1]),
    "herding": (ours("herding"), SIZES[-1]),
    "uniform": (ours("uniform"), SIZES[-1]),
    "apricot, facility location": (apricot, FEW),
    "submodlib, facility location": (submodlib, FEW),
    "gist-select, distances": (gist, FEW),
}


def facility_location(X: np.ndarray, S: np.ndarray) -> float:
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    return float(np.mean([(part @ unit[S].T).max(axis=1).mean() for part in np.split(unit, 10)]))


def least_distance(X: np.ndarray, S: np.ndarray) -> float:
    rows = X[S].astype(np.float64)
    square = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    return float(np.sqrt(square[np.triu_indices(len(S), 1)].min()))


def judged(X: np.ndarray, who: str, select: Selector) -> dict[str, Any]:
    select(X[:1000])  # imports and compilation
    began = time.perf_counter()
    chosen = np.asarray(select(X), dtype=np.int64)
    took = time.perf_counter() - began
    S = np.unique(chosen)
    d = skmm.diagnose(X, S, n_random=0, bound=False)
    return {
        "N": len(X),
        "who": who,
        "rows": len(S),
        "seconds": took,
        "facility location": facility_location(X, S),
        "least distance": least_distance(X, S),
        "V-optimality": d.v_optimality,
        "Φ / expected": d.mean_error / d.random_mean_error,
    }


def main() -> None:
    rows = []
    for N in SIZES:
        X = pool(N, DIM)
        for who, (select, most) in SELECTORS.items():
            if most < N:
                continue
            try:
                rows.append(judged(X, who, select))
            except ImportError as error:
                print(f"{who}: skipped, {error}")
    save("selectors", rows)


if __name__ == "__main__":
    main()
