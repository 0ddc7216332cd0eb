"""No cliffs: ns per entry of dense float32 sketches over shapes, 2 threads, ζ = 8.

"x best" is beside the fastest N and r of the same kind and m.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import skmm_fast as skmm
from common import save, seconds

ENTRIES = 2**25  # of G at most, where 16 rows allow it
SHAPES = [
    (16, 10_000_000),
    (16, 2_000_003),
    (17, 1_000_000),
    (33, 300_000),
    (64, 500_000),
    (100, 300_001),
    (1000, 30_000),
    (4096, 8192),
    (4096, 5_000),
    (4096, 501),
]
DIMS = (16, 100, 128, 500, 512, 1000, 2048, 4096)


def main() -> None:
    rng = np.random.default_rng(0)
    pool = rng.standard_normal(max(n * r for n, r in SHAPES), dtype=np.float32)
    rows: list[dict[str, Any]] = []
    for kind in (skmm.SparseSign, skmm.GroupedSign):
        found = {}
        for m in DIMS:
            for n, r in SHAPES:
                if m > r:
                    continue
                G = pool[: n * r].reshape(n, r)
                S = kind(r, m)
                t = seconds(
                    lambda S=S, G=G: S.apply(G, n_threads=2), repeats=5, warm_up=0.1, at_least=0.3
                )
                found[m, n, r] = t / G.size * 1e9
        for n, r in SHAPES:
            row: dict[str, Any] = {"who": kind.__name__, "N": n, "r": r}
            for m in DIMS:
                if (m, n, r) in found:
                    best = min(v for k, v in found.items() if k[0] == m)
                    row[f"m = {m}"] = f"{found[m, n, r]:.3f} ({found[m, n, r] / best:.1f}x)"
            rows.append(row)
    save("shapes", rows)


if __name__ == "__main__":
    main()
