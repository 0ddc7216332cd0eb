"""The kernel for sparse signs at fixed shapes, run by `test_the_kernel` and by `make cuda`."""

import pytest
import torch
from support.kernel_sums import DEVICE, FAR, check, compiled_or_interpreted

import skmm_fast as skmm
from skmm_fast.device import gamma, kernel

pytestmark = [pytest.mark.cuda, compiled_or_interpreted]


@pytest.mark.parametrize(
    ("m", "zeta", "n", "cols"),
    [
        (512, 8, 3, 1500),  # segments
        (512, 8, 65, 64),  # tiles of rows, and of four blocks
        (300, 1, 65, 64),  # tiles of one block
        (4100, 2, 3, 70),  # one entry a word
        (40, 40, 3, 300),
    ],
)
def test_tiles(m, zeta, n, cols):
    check(
        skmm.SparseSign(FAR, m, nnz_per_row=zeta, seed=7),
        torch.randn(n, cols),
        None,
        torch.tensor([2**32 - 5]),
    )


def test_the_operator_is_a_good_one():
    args = torch.randn(3, 70, device=DEVICE), None, torch.tensor([5], device=DEVICE), 16, 4, 2, -1
    torch.library.opcheck(kernel.sparse_sign, args)
    outer = (args[0], torch.randn(3, 2, device=DEVICE), *args[2:])
    torch.library.opcheck(kernel.sparse_sign, outer)


def test_the_ways_in_agree_with_plain_torch():
    S = skmm.SparseSign(FAR, 50, nnz_per_row=6, seed=2**64 - 1)
    tensors = (
        (gamma.add_dense, torch.randn(5, 90)),
        (gamma.add_dense, torch.randn(5, 0)),
        (gamma.add_outer, torch.randn(5, 3), torch.randn(5, 40)),
        (gamma.add_rows, torch.randint(0, 9, (5, 6)), torch.randn(5, 6, 20)),
    )
    for add, *arguments in tensors:
        found = []
        for way in (True, False):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(gamma, "_has_kernel", lambda *_, way=way: way)
                Z = torch.ones(5, 50, device=DEVICE)
                add(S, *(t.to(DEVICE) for t in arguments), Z, 2**40)
                found.append(Z)
        assert torch.allclose(*found, rtol=1e-5, atol=1e-5)
