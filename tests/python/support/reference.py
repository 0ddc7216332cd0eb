"""Naive definitions that the library is compared with."""

import numpy as np

from skmm_fast import _core


def gmm(seed, N=2000, r=2400, std_max=0.1):
    """Synthetic gradients of Table 1 of the paper: 8 clusters of random sizes around μ_k e_k."""
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.integers(1, N - 1, 7))
    sizes = np.diff(np.concatenate([[0], cuts, [N]]))
    G = np.empty((N, r))
    first = 0
    for k, size in enumerate(sizes):
        rows = slice(first, first + size)
        mu, std = 8.0 * rng.integers(1, 9), std_max * rng.random()
        G[rows] = std * rng.standard_normal((size, r))
        G[rows, k] += mu
        first += size
    return G


def second_moment(Z):
    return Z.T.astype(float) @ Z / len(Z)


def whitened(Z):
    lam, V = np.linalg.eigh(second_moment(Z))
    keep = lam > 1e-10 * lam.max()
    return Z @ (V[:, keep] / np.sqrt(lam[keep]))


def v_optimality(Z, rows):
    """tr(Σ̃ Σ̃_S⁻¹)."""
    return np.trace(second_moment(Z) @ np.linalg.inv(second_moment(Z[rows])))


def capped_simplex_projection(v, cap, total):
    """By bisection on the threshold."""
    lo, hi = v.min() - cap, v.max()
    for _ in range(200):
        tau = (lo + hi) / 2
        lo, hi = (tau, hi) if np.clip(v - tau, 0, cap).sum() > total else (lo, tau)
    return np.clip(v - lo, 0, cap)


def moment_terms(Z, c_s, weighting):
    """λ, A = (ZV)² and w of φ(s) = Σ_j w_j [λ_j/c_s - Σ_i s_i a_ij]₊²."""
    lam, V = np.linalg.eigh(second_moment(Z))
    A = (Z.astype(float) @ V) ** 2
    return lam / c_s, A, np.ones_like(lam) if weighting == "paper" else lam**-2


def one_group(N, count):
    """The free rows of a pool of N, of which `count` are chosen."""
    return _core.Constraints(N, None, [count], []).free_rows()
