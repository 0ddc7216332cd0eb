"""The kernel for sparse signs against the product with Γ: compiled on a CUDA device, else
interpreted (TRITON_INTERPRET=1)."""

import os

import pytest
import torch

from skmm_fast.device import gamma

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
FAR = 2**62
compiled_or_interpreted = pytest.mark.skipif(
    DEVICE == "cpu" and os.environ.get("TRITON_INTERPRET") != "1", reason="no CUDA device"
)


def by_kernel(S, X, E, starts):
    given = (None if t is None else t.to(DEVICE) for t in (X, E, starts))
    return gamma._by_kernel(S, *given).cpu()


def check(S, X, E, starts):
    G = X.double()
    if E is not None:
        G = torch.einsum("nc,nd->ncd", E.double(), G).flatten(1)
    run = G.shape[1] // len(starts)
    Gamma = torch.cat([gamma.rows(S, int(j), int(j) + run, "cpu") for j in starts]).double()
    Z = by_kernel(S, X, E, starts)
    assert Z.dtype == torch.float32
    size = G.abs() @ Gamma.abs()
    assert ((Z - G @ Gamma).abs() <= 20 * torch.finfo(torch.float32).eps * (size + 1e-30)).all()
    assert torch.equal(Z, by_kernel(S, X, E, starts))
