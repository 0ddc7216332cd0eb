"""Stage 1 beside its limits (a read of G, sgemm with Γ stored) and beside other sketches.

Headline shape: N = 128 dense float32 gradients of r = 300 032 parameters, m = 512, 8 entries per
row of Γ. Random bits are part of our time; peers hold Γ in memory, made beforehand.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.random_projection import SparseRandomProjection

import skmm_fast as skmm
from common import peak_rss, save, seconds

N, R, M, ZETA = 128, 300_032, 512, 8


def read(G: np.ndarray, n_threads: int) -> float:
    """A streaming sum over G."""
    torch.set_num_threads(n_threads)
    return seconds(torch.from_numpy(G).sum)


def row(case: str, who: str, n_threads: int, time: float, entries: int, limit: float) -> dict:
    return {
        "case": case,
        "who": who,
        "threads": n_threads,
        "ns per entry": time / entries * 1e9,
        "x read": time / limit,
    }


def ours(rng: np.random.Generator) -> list[dict[str, Any]]:
    G = rng.standard_normal((N, R), dtype=np.float32)
    out = np.zeros((N, M), np.float32)
    sketches = {f"SparseSign, ζ = {z}": skmm.SparseSign(R, M, z) for z in (ZETA, 4, 1)}
    sketches["Gaussian"] = skmm.Gaussian(R, M)
    before, rows = peak_rss(), []
    for n_threads in (1, 2):
        limit = read(G, n_threads)
        rows.append(row("dense", "read of G", n_threads, limit, G.size, limit))
        for who, S in sketches.items():
            t = seconds(lambda S=S, k=n_threads: S.apply(G, out=out, n_threads=k))
            rows.append(row("dense", who, n_threads, t, G.size, limit))
    extra = (peak_rss() - before) / 1e6
    return [*rows, {"case": "dense", "who": "peak memory of the above beside G", "MB": extra}]


def peers(rng: np.random.Generator) -> list[dict[str, Any]]:
    G = rng.standard_normal((N, R), dtype=np.float32)
    Gamma = skmm.SparseSign(R, M, ZETA).toarray()
    stored = sp.csr_array(Gamma)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = SparseRandomProjection(M, density=ZETA / M, random_state=0).fit(G)
    limit = read(G, 2)
    calls = {
        ("sgemm, Γ stored (NumPy)", 2): lambda: G @ Gamma,
        ("SciPy G @ Γ sparse, stored", 1): lambda: G @ stored,
        ("scikit-learn SparseRandomProjection.transform", 1): lambda: peer.transform(G),
    }
    return [
        row("dense", who, n_threads, seconds(call), G.size, limit)
        for (who, n_threads), call in calls.items()
    ]


def gaussian(rng: np.random.Generator) -> list[dict[str, Any]]:
    G = rng.standard_normal((1024, 20_000), dtype=np.float32)
    S = skmm.Gaussian(20_000, M)
    Gamma = S.toarray()
    case, limit = "Gaussian, N = 1024, r = 20 000", read(G, 2)
    rows = []
    for n_threads in (1, 2):
        t = seconds(lambda k=n_threads: S.apply(G, n_threads=k))
        rows.append(row(case, "ours", n_threads, t, G.size, limit))
    return [*rows, row(case, "sgemm, Γ stored", 2, seconds(lambda: G @ Gamma), G.size, limit)]


def csr(rng: np.random.Generator) -> list[dict[str, Any]]:
    n, per_row, rows = 256, 2000, []
    for r in (10**5, 10**7, 10**9):
        stride = r // per_row
        columns = rng.integers(0, stride, (n, per_row)) + np.arange(per_row) * stride
        values = rng.standard_normal(columns.size, dtype=np.float32)
        A = sp.csr_array((values, columns.ravel(), np.arange(n + 1) * per_row), shape=(n, r))
        S = skmm.SparseSign(r, M, ZETA)
        for n_threads in (1, 2):
            t = seconds(lambda S=S, A=A, k=n_threads: S.apply(A, n_threads=k))
            rows.append(
                {
                    "case": f"CSR, r = {r:.0e}, {per_row} nonzeros a row",
                    "who": f"SparseSign, ζ = {ZETA}",
                    "threads": n_threads,
                    "ns per entry": t / A.nnz * 1e9,
                }
            )
    return rows


def main() -> None:
    rng = np.random.default_rng(0)
    save("sketch", [*ours(rng), *peers(rng), *gaussian(rng), *csr(rng)])


if __name__ == "__main__":
    main()
