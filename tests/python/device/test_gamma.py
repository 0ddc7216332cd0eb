"""Γ and its sums in plain torch against the core. The kernel has its own files, kernel*.py."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

import skmm_fast as skmm
from skmm_fast.device import gamma
from skmm_fast.sketch.operators import KINDS, make

FAR = 2**62
FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]


@st.composite
def sketches(draw):
    kind = draw(st.sampled_from(sorted(KINDS)))
    m = draw(st.integers(8, 150))
    zeta = draw(st.integers(1, m)) if kind == "sparse-sign" else None
    return make(kind, FAR, m, seed=draw(st.integers(0, 2**64 - 1)), nnz_per_row=zeta)


offsets = st.one_of(
    st.integers(0, 20_000), st.integers(2**31 - 400, 2**32 + 10), st.integers(0, FAR - 20_000)
)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0,) * 4, (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ],
)
def test_philox_known_answers(counter, key, words):
    i = torch.from_numpy(np.array([counter[1] << 32 | counter[0]], np.uint64).view(np.int64))
    found = gamma.philox(key[1] << 32 | key[0], i, torch.tensor([counter[2]]), counter[3])
    assert " ".join(f"{int(w):08x}" for w in found) == words


@settings(max_examples=80)
@given(sketches(), offsets, st.integers(0, 300))
def test_gamma_is_that_of_the_core(S, start, count):
    Gamma = gamma.rows(S, start, start + count, "cpu").numpy()
    assert Gamma.dtype == np.float32
    expected = S.toarray(start, start + count)
    if isinstance(S, skmm.Gaussian):
        assert np.allclose(Gamma, expected, rtol=1e-6, atol=1e-9)
    else:
        assert np.array_equal(Gamma, expected)


@pytest.mark.parametrize(
    "S",
    [
        skmm.SparseSign(FAR, 4097, nnz_per_row=2),  # one entry a word
        skmm.SparseSign(FAR, 4096, nnz_per_row=2),  # two
        skmm.SparseSign(FAR, 1, nnz_per_row=1),
        skmm.SparseSign(FAR, 2**20 - 1, nnz_per_row=3, seed=2**64 - 1),
        skmm.GroupedSign(FAR, 128),  # aligned places
        skmm.GroupedSign(FAR, 8),
    ],
    ids=str,
)
def test_gamma_at_the_edges(S):
    start = FAR - 20
    assert np.array_equal(gamma.rows(S, start, FAR, "cpu").numpy(), S.toarray(start, FAR))


def sums(Gamma, G, like):
    """The sketch of G in float64, by rows of Γ, and a tolerance for sums in `like`'s type."""
    Gamma, G = torch.from_numpy(Gamma), G.double()
    size = G.abs() @ Gamma.abs().double()
    return G @ Gamma.double(), 20 * torch.finfo(like.dtype).eps * (size + 1e-30)


@settings(max_examples=60)
@given(sketches(), offsets, st.integers(0, 9), st.integers(0, 200), st.data())
def test_dense_rows(S, offset, n, cols, data):
    dtype = data.draw(st.sampled_from(FLOATS))
    Z = torch.randn(n, S.out_dim, dtype=data.draw(st.sampled_from(FLOATS[:2])))
    G = torch.randn(n, cols + 3).to(dtype)[:, :cols]  # a row stride of its own
    before = Z.clone()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gamma, "TILE", data.draw(st.sampled_from([1, 10_000, gamma.TILE])))
        gamma.add_dense(S, G, Z, offset)
        again = before.clone()
        gamma.add_dense(S, G, again, offset)
    expected, tolerance = sums(S.toarray(offset, offset + cols), G, Z)
    assert ((Z - before - expected).abs() <= tolerance + 1e-6 * before.abs()).all()
    assert torch.equal(Z, again)


@settings(max_examples=30)
@given(sketches(), offsets, st.integers(1, 5), st.integers(1, 5), st.integers(1, 40))
def test_outer_products(S, offset, n, classes, d):
    E, X = torch.randn(n, classes), torch.randn(n, d, requires_grad=True)
    Z = torch.zeros(n, S.out_dim)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gamma, "TILE", 1000)
        gamma.add_outer(S, E, X, Z, offset)
    assert not Z.requires_grad
    G = torch.einsum("nc,nd->ncd", E.double(), X.detach().double()).flatten(1)
    expected, tolerance = sums(S.toarray(offset, offset + classes * d), G, Z)
    assert ((Z - expected).abs() <= tolerance).all()


@settings(max_examples=30)
@given(sketches(), offsets, st.integers(1, 4), st.integers(0, 7), st.integers(1, 9))
def test_rows_of_an_embedding(S, offset, n, length, width):
    tokens, values = torch.randint(0, 5, (n, length)), torch.randn(n, length, width)
    Z = torch.zeros(n, S.out_dim, dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gamma, "TILE", 10)
        gamma.add_rows(S, tokens, values, Z, offset)
    G = torch.zeros(n, 5, width, dtype=torch.float64)
    for i in range(n):
        G[i].index_add_(0, tokens[i], values[i].double())
    expected, tolerance = sums(S.toarray(offset, offset + 5 * width), G.flatten(1), Z)
    assert ((Z - expected).abs() <= tolerance).all()


def test_agrees_with_apply():
    torch.manual_seed(0)
    G = torch.randn(7, 9000)
    for kind in KINDS:
        S = make(kind, G.shape[1], 96, seed=3)
        Z = torch.zeros(7, 96)
        for part in (slice(0, 4000), slice(4000, 9000)):
            gamma.add_dense(S, G[:, part], Z, part.start)
        assert (Z - S.apply(G)).abs().max() < 1e-4 * Z.abs().max()


def test_the_kernel():
    """kernel*.py in a process of its own: Triton decides at import whether to interpret."""
    pytest.importorskip("triton")
    environment = dict(os.environ)
    if not torch.cuda.is_available():
        environment["TRITON_INTERPRET"] = "1"
    files = sorted(Path(__file__).parent.glob("kernel*.py"))
    command = [sys.executable, "-m", "pytest", "-q", *files]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
