"""The kernel for sparse signs at random shapes, run by `test_the_kernel` and by `make cuda`."""

import pytest
import torch

pytest.importorskip("hypothesis")

from hypothesis import given, settings
from hypothesis import strategies as st
from support.kernel_sums import FAR, by_kernel, check, compiled_or_interpreted

import skmm_fast as skmm
from skmm_fast.device import gamma

pytestmark = [pytest.mark.cuda, compiled_or_interpreted]


@settings(max_examples=25)
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


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # the interpreter's Inf - Inf
@settings(max_examples=20)
@given(st.lists(st.floats(width=32), min_size=1, max_size=16))
def test_a_number_keeps_its_bits(numbers):
    """One column: an entry of Z is an element of G, its sign, and nothing that was rounded."""
    G = torch.tensor([x if abs(x) > 1e-30 else 0.0 for x in numbers])[:, None]
    Z = by_kernel(skmm.SparseSign(9, 1, nnz_per_row=1), G, None, torch.tensor([5]))
    sign = gamma.rows(skmm.SparseSign(9, 1, nnz_per_row=1), 5, 6, "cpu")[0, 0]
    finite = G.isfinite()
    assert torch.equal(Z[finite], (sign * G)[finite])
    assert not Z[~finite].isfinite().any()
