"""The same Γ on the device of a tensor (needs torch): gradients are sketched where they are made.

Rows of Γ are made in plain torch, on any device; sums of the sparse sign on CUDA by a kernel
(`kernel.py`). Integers are the core's, so a sign Γ is the core's exactly, and a Gaussian Γ to the
rounding of the device's float32. Sums agree with the core's to rounding; nothing here adds in an
order that is left to chance, so the same call gives the same bits.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

Tensor = torch.Tensor
Sketch = Any  # one of sketch/operators.py, which stands on this module

ROWS = 8192  # of G, taken together
TILE = 1 << 21  # entries of what is made at a time, of G or of Γ, as float64

# As in the core (philox.hpp, kernels.hpp).
WORD = (1 << 32) - 1
SPARSE_SIGN, GAUSSIAN, GROUPED_SIGN = 1, 2, 7
PAIR_WIDTH = 2048
LANES, PARTS, STEPS = 16, 8, 64
PART_WORDS = STEPS * (1 + PARTS // 2)
STRIP = 64


def add_dense(S: Sketch, G: Tensor, Z: Tensor, col_offset: int) -> None:
    """Z (B, m) += G Γ[col_offset : col_offset + c].

    G (B, c) of any float type, best with contiguous rows; Z float32 or float64, on the same device,
    in whose type G is summed.
    """
    _add(S, G, None, _run(G, col_offset), Z)


def add_outer(S: Sketch, E: Tensor, X: Tensor, Z: Tensor, col_offset: int) -> None:
    """Z (B, m) += the sketch of the rows e_i ⊗ x_i, whose coordinate c d + j meets row
    col_offset + c d + j of Γ; E (B, C), X (B, d). The products are not stored all at once.
    """
    _add(S, X, E, _run(X, col_offset), Z)


def add_rows(S: Sketch, tokens: Tensor, values: Tensor, Z: Tensor, col_offset: int) -> None:
    """Z[i] += Σ_t values[i, t] Γ[col_offset + tokens[i, t] D : + D], the gradient of an embedding;
    tokens (B, T) int64, values (B, T, D); a token may occur again.
    """
    if values.numel() == 0:
        return
    batch, length, width = values.shape
    values = values.double()
    # Dense gradients of some tokens at a time, by products with matrices of zeros and ones.
    for some in torch.unique(tokens).split(max(1, 4 * TILE // (batch * max(length, width)))):
        G = (tokens[:, None] == some[:, None]).double() @ values
        _add(S, G.to(Z.dtype).flatten(1), None, col_offset + some * width, Z)


def rows(S: Sketch, start: int, stop: int, device: torch.device | str) -> Tensor:
    """Rows [start, stop) of Γ, (stop - start, m) float32."""
    return _rows(S, torch.arange(start, stop, device=device))


def _run(G: Tensor, col_offset: int) -> Tensor:
    return torch.full((1,), col_offset, device=G.device)


@torch.no_grad()
def _add(S: Sketch, X: Tensor, E: Tensor | None, starts: Tensor, Z: Tensor) -> None:
    """Z += the sketch of X, or of the rows e_i ⊗ x_i. Its columns come in len(starts) runs of equal
    length; run k meets the rows of Γ from starts[k] on.
    """
    d = X.shape[1]
    cols = d if E is None else d * E.shape[1]
    if len(X) * cols == 0:
        return
    if _has_kernel(S, X, E, Z):
        Z += _by_kernel(S, X, E, starts)
        return
    run = cols // len(starts)
    for some in range(0, len(X), ROWS):
        part = slice(some, some + ROWS)
        step = max(1, TILE // max(len(X[part]), S.out_dim))
        for first in range(0, cols, step):
            c = torch.arange(first, min(first + step, cols), device=X.device)
            tile = X[part, c % d].double()
            if E is not None:
                tile *= E[part, c // d]
            # In float64: what torch makes of a float32 product is a setting (TF32, bfloat16).
            Z[part] += (tile @ _rows(S, starts[c // run] + c % run).double()).to(Z.dtype)


def _by_kernel(S: Sketch, X: Tensor, E: Tensor | None, starts: Tensor) -> Tensor:
    from . import kernel

    zeta = S.nnz_per_row
    seed = S.seed - (S.seed >> 63 << 64)  # its bits, as a signed integer
    sums: Tensor = kernel.sparse_sign(X, E, starts, S.out_dim, zeta, _per_word(S), seed)
    return sums * entry(zeta)


def _has_kernel(S: Sketch, X: Tensor, E: Tensor | None, Z: Tensor) -> bool:
    """Whether the kernel makes this sum: the one place that chooses."""
    return (
        S.kind == "sparse-sign"
        and Z.is_cuda
        and all(t is None or t.dtype != torch.float64 for t in (X, E, Z))
        and find_spec("triton") is not None
    )


def philox(key: int, i: Tensor, j: Tensor, last: int) -> tuple[Tensor, ...]:
    """The four words, in [0, 2³²), of Philox4x32-10 at the counters (i, j, last): i has 64 bits, j
    and `last` 32. Products of words wrap around in int64, which leaves their bits.
    """
    w0, w1, w2, w3 = i & WORD, i >> 32 & WORD, j, torch.full_like(j, last)
    for bump in range(10):
        k0, k1 = (key + bump * 0x9E3779B9) & WORD, ((key >> 32) + bump * 0xBB67AE85) & WORD
        p0, p1 = w0 * 0xD2511F53, w2 * 0xCD9E8D57
        w0, w2 = (p1 >> 32 & WORD) ^ w1 ^ k0, (p0 >> 32 & WORD) ^ w3 ^ k1
        w1, w3 = p1 & WORD, p0 & WORD
    return w0, w1, w2, w3


def _rows(S: Sketch, j: Tensor) -> Tensor:
    """Rows j (n,) of Γ, (n, m) float32."""
    if S.kind == "gaussian":
        return _gaussian(S, j)
    target, sign = _sparse_sign(S, j) if S.kind == "sparse-sign" else _grouped_sign(S, j)
    values = (1 - 2 * sign).float() * entry(sign.shape[1])
    return torch.zeros(len(j), S.out_dim, device=j.device).scatter_(1, target, values)


def entry(entries: int) -> float:
    """The absolute value of an entry where a row of Γ has so many."""
    return float(np.float32(1) / np.sqrt(np.float32(entries)))


def _edges(m: int, blocks: int, device: torch.device) -> Tensor:
    return torch.arange(blocks + 1, device=device) * m // blocks


def _per_word(S: Sketch) -> int:
    """Blocks that share a random word."""
    return 2 if S.out_dim <= PAIR_WIDTH * S.nnz_per_row else 1


def _sparse_sign(S: Sketch, j: Tensor) -> tuple[Tensor, Tensor]:
    """Columns and sign bits (n, ζ) of the entries of rows j. Each word is a fraction of 2³² whose
    digits are 2 place + sign in one block, or in two.
    """
    m, zeta = S.out_dim, S.nnz_per_row
    per_word = _per_word(S)
    edges = _edges(m, zeta, j.device)
    group = torch.arange(-(-zeta // (4 * per_word)), device=j.device)
    words = torch.stack(philox(S.seed, j[:, None], group[None], m << 8 | SPARSE_SIGN), -1)
    left = words.flatten(1)
    digits = torch.empty(len(j), zeta, dtype=torch.int64, device=j.device)
    for t in range(min(per_word, zeta)):
        width = edges.diff()[t::per_word]
        scaled = left[:, : len(width)] * (2 * width)
        digits[:, t::per_word] = scaled >> 32
        left = scaled & WORD
    return (digits >> 1) + edges[:-1], digits & 1


def _pick(words: tuple[Tensor, ...], index: Tensor) -> Tensor:
    """words[index], element by element."""
    return torch.stack(words, -1).gather(-1, index[:, None])[:, 0]


def _place_of_lane(bits: Tensor, lane: Tensor) -> Tensor:
    """An affine permutation of 16 lanes over GF(2), from 16 bits."""
    y = lane ^ (bits & 15)
    for bit, column in (
        (0, (bits >> 4 & 7) << 1),
        (1, (bits >> 7 & 3) << 2),
        (2, (bits >> 9 & 1) << 3),
        (3, bits >> 10 & 7),
        (2, bits >> 13 & 3),
        (1, bits >> 15 & 1),
    ):
        y = y ^ (y >> bit & 1) * column
    return y


def _grouped_sign(S: Sketch, j: Tensor) -> tuple[Tensor, Tensor]:
    """Columns and sign bits (n, 8) of the entries of rows j."""
    m, last = S.out_dim, S.out_dim << 8 | GROUPED_SIGN
    unit = LANES if m % (PARTS * LANES) == 0 else 1
    part_rows = STEPS * LANES
    chunk, part = j // (PARTS * part_rows), j // part_rows % PARTS
    of_part = _pick(philox(S.seed, chunk, PART_WORDS + part // 4, last), part % 4)
    step = j // LANES - (of_part >> 26) & STEPS - 1
    lane = _place_of_lane(of_part, j % LANES)
    column_signs = _pick(philox(S.seed, chunk, step, last), part // 2)
    column_sign = column_signs >> part % 2 * LANES + lane

    # Outputs k and k + 1, k even, share a counter.
    k = torch.arange(PARTS, device=j.device)
    pair = STEPS * (1 + k[None, ::2] // 2)
    words = torch.stack(philox(S.seed, chunk[:, None], step[:, None] + pair, last), -1)
    start, bits = words.reshape(len(j), PARTS, 2).unbind(-1)
    edges = _edges(m, PARTS, j.device)
    width = edges.diff()
    place = _place_of_lane(bits >> 16, lane[:, None])
    at = ((start * (width // unit) >> 32) * unit + place) % width
    common = part[:, None] & k  # its parity: the Hadamard matrix
    sign = column_sign[:, None] ^ bits >> place ^ common ^ common >> 1 ^ common >> 2
    return at + edges[:-1], sign & 1


def _gaussian(S: Sketch, j: Tensor) -> Tensor:
    """Rows j of Γ, (n, m). Column 16 c + l of strip s is number c of counter (j, 16 s + l)."""
    m = S.out_dim
    strips = -(-m // STRIP)
    counter = torch.arange(strips * STRIP // 4, device=j.device)
    a, b, c, d = philox(S.seed, j[:, None], counter[None], m << 8 | GAUSSIAN)
    numbers = torch.stack((*_box_muller(a, b), *_box_muller(c, d)), 1)
    numbers = numbers.reshape(len(j), 4, strips, STRIP // 4).transpose(1, 2).flatten(1)
    return numbers[:, :m] * float(np.float32(1) / np.sqrt(np.float32(m)))


def _box_muller(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """sqrt(-2 ln u) (cos, sin)(2π v) of two words: the polynomials of the core, in float32."""
    # u = z 2^e, z in [sqrt(1/2), sqrt(2)); ln z from the odd series in (z - 1) / (z + 1).
    u = ((a >> 1).float() + 0.25) * 2.0**-31
    bits = u.view(torch.int32)
    e = bits - 0x3F3504F3 >> 23
    f = (bits - (e << 23)).view(torch.float32) - 1.0
    t = f / (f + 2.0)
    t2 = t * t
    series = t2 * 0.222222224 + 0.285714298
    for coefficient in (0.399999917, 0.666666687, 2.0):
        series = t2 * series + coefficient
    log_u = e.float() * 0.693147182 + t * series
    # In float64, since torch's own float32 root is off by a bit on some processors.
    r = (log_u * -2.0).clamp(min=0.0).double().sqrt().float()
    # Angle = (quadrant + h) π/2, h in [-1/2, 1/2).
    turned = b + 0x20000000 & WORD
    quadrant = turned >> 30
    q = ((turned & 0x3FFFFFFF) - 0x20000000).float() * float(np.float32(1.57079633) * 2.0**-30)
    q2 = q * q
    sine, cosine = q2 * 2.75573e-6 + -1.98412698e-4, q2 * 2.48015873e-5 + -1.38888889e-3
    for of_sine, of_cosine in ((8.33333333e-3, 4.16666667e-2), (-0.166666667, -0.5)):
        sine, cosine = q2 * sine + of_sine, q2 * cosine + of_cosine
    sine, cosine = q + q * q2 * sine, q2 * cosine + 1.0
    odd = quadrant % 2 == 1
    x, y = torch.where(odd, sine, cosine), torch.where(odd, cosine, sine)
    return (
        r * torch.where((quadrant == 1) | (quadrant == 2), -x, x),
        r * torch.where(quadrant >= 2, -y, y),
    )
