"""The synthetic data of the paper: gradients in well separated clusters of random sizes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Mixture(NamedTuple):
    G: np.ndarray  # (N, r) float64, rows of a cluster one after the other
    y: np.ndarray  # (N,) float64 labels, without noise: the centre of the row's cluster · θ
    cluster: np.ndarray  # (N,) int64


def gmm(
    seed: int = 0, std_max: float = 0.04, n_rows: int = 2000, r: int = 2400, clusters: int = 8
) -> Mixture:
    """Clusters around μ_k e_k, μ_k = clusters · (1..clusters), with isotropic noise in R^r of
    standard deviation std_max · (0..1) each; θ ~ N(0, I) on the first `clusters` coordinates.

    Numbers are drawn in the order cut points, μ, noise levels, θ, noise. In this order the
    defaults are the data of the published Table 1 (see paper/gmm.py).
    """
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.integers(1, n_rows - 1, clusters - 1))
    sizes = np.diff(cuts, prepend=0, append=n_rows)
    mu = float(clusters) * rng.integers(1, clusters + 1, clusters)
    std = std_max * rng.random(clusters)
    theta = rng.standard_normal(clusters)
    cluster = np.repeat(np.arange(clusters), sizes)
    G = rng.standard_normal((n_rows, r))
    G *= std[cluster, None]
    G[np.arange(n_rows), cluster] += mu[cluster]
    return Mixture(G, (mu * theta)[cluster], cluster)
