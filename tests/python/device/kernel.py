"""The kernel for sparse signs, compiled on a CUDA device, else interpreted (TRITON_INTERPRET=1)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import skmm_fast as skmm
from skmm_fast.device import gamma, kernel

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
FAR = 2**62


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


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_equals_the_product_with_gamma(data):
    m = data.draw(st.integers(1, 150))
    S = skmm.SparseSign(
        FAR,
        m,
        nnz_per_row=data.draw(st.integers(1, min(m, 20))),
        seed=data.draw(st.integers(0, 2**64 - 1)),
    )
    n, d = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 150))
    dtypes = st.sampled_from([torch.float32, torch.float16, torch.bfloat16])
    X, E = torch.randn(n, d + 5).to(data.draw(dtypes))[:, :d], None
    if data.draw(st.booleans()):
        X = X.T.contiguous().T
    shape = data.draw(st.sampled_from(["dense", "outer", "runs"]))
    runs = 1
    if shape == "outer":
        E = torch.randn(n, data.draw(st.integers(1, 5))).to(data.draw(dtypes))
    elif shape == "runs":
        runs = data.draw(st.sampled_from([k for k in range(1, d + 1) if d % k == 0]))
    near, far = st.integers(0, 9999), st.integers(2**31 - 99, FAR - 9999)
    starts = data.draw(st.lists(st.one_of(near, far), min_size=runs, max_size=runs))
    check(S, X, E, torch.tensor(starts))


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


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # the interpreter's Inf - Inf
@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(width=32), min_size=1, max_size=16))
def test_a_number_keeps_its_bits(numbers):
    """One column: an entry of Z is an element of G, its sign, and nothing that was rounded."""
    G = torch.tensor([x if abs(x) > 1e-30 else 0.0 for x in numbers])[:, None]
    Z = by_kernel(skmm.SparseSign(9, 1, nnz_per_row=1), G, None, torch.tensor([5]))
    sign = gamma.rows(skmm.SparseSign(9, 1, nnz_per_row=1), 5, 6, "cpu")[0, 0]
    finite = G.isfinite()
    assert torch.equal(Z[finite], (sign * G)[finite])
    assert not Z[~finite].isfinite().any()


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
