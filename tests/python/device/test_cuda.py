"""Sketches on a CUDA device against the core."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import skmm_fast as skmm
from skmm_fast.device import gamma
from skmm_fast.sketch.operators import KINDS, make

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_device_agrees_with_the_core(kind, dtype):
    n, r, m = 100, 200_003, 512
    torch.manual_seed(0)
    G = torch.randn(n, r).to(dtype)
    S = make(kind, r, m, seed=2**64 - 1)
    Gamma = gamma.rows(S, r - 3000, r, "cuda").cpu().numpy()
    assert np.allclose(Gamma, S.toarray(r - 3000), rtol=1e-6, atol=1e-9)
    device = G.cuda()
    twice = []
    for _ in range(2):
        Z = torch.zeros(n, m, device="cuda")
        gamma.add_dense(S, device[:, :70_000], Z, 0)
        gamma.add_dense(S, device[:, 70_000:], Z, 70_000)
        twice.append(Z.cpu())
    assert torch.equal(*twice)
    exact = S.apply(G.double())
    assert (twice[0] - exact).abs().max() < 2e-6 * exact.abs().max()


def test_factored_layers():
    S = skmm.Factored(200, 90, 16, factor_dim=32)
    E, X = torch.randn(3, 7, 200), torch.randn(3, 7, 90)
    there = S.apply_tokens(E.cuda(), X.cuda())
    assert there.is_cuda
    assert torch.allclose(there.cpu(), S.apply_tokens(E, X), rtol=1e-4, atol=1e-4)
