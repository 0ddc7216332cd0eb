"""How well the sketches embed: singular values of UᵀΓ for subspaces span(U) of dimension k = 64.

All would be 1 for an isometry. Over 60 seeds: the median and the worst of the smallest, the
median of the largest. Families, of r = 32 768 coordinates: k random ones ("coherent"), adjacent
ones, every 16th, every 1024th, runs of 16, a random dense subspace, and 8 whole groups of the
GroupedSign at hand, for which its seed must be known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

import skmm_fast as skmm
from common import save

R, K, TRIALS = 32_768, 64, 60
Rows = Callable[[np.random.Generator], np.ndarray]


def runs(rng: np.random.Generator) -> np.ndarray:
    return (rng.choice(R // 16, K // 16, replace=False)[:, None] * 16 + np.arange(16)).ravel()


COORDINATES: dict[str, Rows] = {
    "coherent": lambda rng: np.sort(rng.choice(R, K, replace=False)),
    "adjacent": lambda rng: rng.integers(R - K) + np.arange(K),
    "every 16th": lambda rng: rng.integers(R - 16 * K) + 16 * np.arange(K),
    "every 1024th, 2 runs": lambda rng: np.sort(
        (rng.choice(1000, 2, replace=False) + 1024 * np.arange(K // 2)[:, None]).ravel()
    ),
    "4 runs of 16": runs,
}


def kinds(m: int, seed: int) -> dict[str, skmm.Sketch]:
    signs = {
        f"SparseSign, ζ = {z}": skmm.SparseSign(R, m, nnz_per_row=z, seed=seed) for z in (8, 1)
    }
    return {
        "Gaussian": skmm.Gaussian(R, m, seed=seed),
        **signs,
        "GroupedSign": skmm.GroupedSign(R, m, seed=seed),
    }


def rows_of(S: skmm.Sketch, columns: np.ndarray) -> np.ndarray:
    ones = np.ones(len(columns))
    return S.apply(
        sp.csr_array((ones, columns, np.arange(len(columns) + 1)), shape=(len(columns), R))
    )


def whole_groups(S: skmm.Sketch) -> np.ndarray:
    """64 columns in 8 groups, those of the first places of the first chunk."""
    places = np.argwhere(S.toarray(0, 8192))[:, 1].reshape(8192, 8)
    _, group = np.unique(places, axis=0, return_inverse=True)
    return np.sort(np.argsort(group.ravel(), kind="stable")[:K])


def figures(embedded: list[np.ndarray]) -> dict[str, float]:
    values = [np.linalg.svd(x, compute_uv=False) for x in embedded]
    least, largest = [v[-1] for v in values], [v[0] for v in values]
    return {
        "smallest, median": float(np.median(least)),
        "worst": float(min(least)),
        "largest, median": float(np.median(largest)),
    }


def main() -> None:
    rows: list[dict[str, Any]] = []
    bases = [
        np.ascontiguousarray(np.linalg.qr(np.random.default_rng(t).standard_normal((R, K)))[0].T)
        for t in range(TRIALS)
    ]
    for m in (2 * K, 8 * K, 8 * K - 12):
        for who in kinds(m, 0):
            embedded: dict[str, list[np.ndarray]] = {}
            for t in range(TRIALS):
                S = kinds(m, t)[who]
                for name, draw in COORDINATES.items():
                    columns = draw(np.random.default_rng(t))
                    embedded.setdefault(name, []).append(rows_of(S, columns))
                embedded.setdefault("dense", []).append(S.apply(bases[t]))
                if who == "GroupedSign" and m % 128 == 0:
                    columns = whole_groups(S)
                    embedded.setdefault("8 whole groups", []).append(rows_of(S, columns))
            rows += [
                {"m": m, "subspace": name, "who": who, **figures(found)}
                for name, found in embedded.items()
            ]
    rows.sort(
        key=lambda row: (row["m"], [*COORDINATES, "dense", "8 whole groups"].index(row["subspace"]))
    )
    save("quality", rows)


if __name__ == "__main__":
    main()
