"""Sketches of tensors on their own device (needs torch), with the same Γ as in the core.

Plain torch makes the rows of Γ on any device; a kernel (`kernel.py`) makes the sparse-sign sums on
CUDA. Random words are the core's bit for bit. So a sign Γ equals the core's exactly, and a Gaussian
Γ equals it up to the rounding of the device's float32. Sums agree with the core's up to rounding.
Every sum has a fixed order, so that the same call gives the same bits.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

Tensor = torch.Tensor
Sketch = Any  # a Sketch of sketch/operators.py, which imports this module

ROWS = 8192  # rows of G that share a tile of Γ
TILE = 1 << 21  # entries, of a tile of G or of Γ in float64

# These constants equal those of the core (philox.hpp, kernels.hpp).
WORD = (1 << 32) - 1  # the mask of a random word
SPARSE_SIGN, GAUSSIAN, GROUPED_SIGN = 1, 2, 7  # the streams of random words of the families
PAIR_WIDTH = 2048  # mean width of a block up to which one word serves two blocks
# Grouped signs: a chunk of rows of Γ has 8 parts of 64 vectors (one for each step) of 16 lanes.
LANES, PARTS, STEPS = 16, 8, 64
PART_WORDS = STEPS * (1 + PARTS // 2)  # the first counter of a chunk whose words are of its parts
STRIP = 64  # columns of a Gaussian Γ that are made together


def add_dense(S: Sketch, G: Tensor, Z: Tensor, col_offset: int) -> None:
    """Z (B, m) += G Γ[col_offset : col_offset + c].

    G (B, c) may have any float type; contiguous rows are read fastest. Z is float32 or float64, on
    the same device; tiles of the product are summed in its type.
    """
    _add(S, G, None, _run(G, col_offset), Z)


def add_outer(S: Sketch, E: Tensor, X: Tensor, Z: Tensor, col_offset: int) -> None:
    """Z (B, m) += the sketch of the rows e_i ⊗ x_i, for E (B, C) and X (B, d).

    Entry c d + j of a row is multiplied with row col_offset + c d + j of Γ. The products e_i ⊗ x_i
    are formed a tile at a time.
    """
    _add(S, X, E, _run(X, col_offset), Z)


def add_rows(S: Sketch, tokens: Tensor, values: Tensor, Z: Tensor, col_offset: int) -> None:
    """Z (B, m) += the sketch of the gradients of an embedding.

    In the gradient of sample i, row tokens[i, t] of the embedding's weight gets values[i, t] added.
    Row v of the weight is multiplied with rows [col_offset + v D, col_offset + (v + 1) D) of Γ.
    tokens (B, T) is int64 and may repeat a token; values is (B, T, D).
    """
    if values.numel() == 0:
        return
    batch, length, width = values.shape
    values = values.double()
    # The gradients of some of the tokens at a time are made dense: a 0/1 matrix, which says where a
    # token occurs, is multiplied with the values.
    for some in torch.unique(tokens).split(max(1, 4 * TILE // (batch * max(length, width)))):
        G = (tokens[:, None] == some[:, None]).double() @ values
        _add(S, G.to(Z.dtype).flatten(1), None, col_offset + some * width, Z)


def rows(S: Sketch, start: int, stop: int, device: torch.device | str) -> Tensor:
    """Rows [start, stop) of Γ, (stop - start, m) float32."""
    return _rows(S, torch.arange(start, stop, device=device))


def _run(G: Tensor, col_offset: int) -> Tensor:
    """The argument `starts` of `_add` for columns that form a single run."""
    return torch.full((1,), col_offset, device=G.device)


@torch.no_grad()
def _add(S: Sketch, X: Tensor, E: Tensor | None, starts: Tensor, Z: Tensor) -> None:
    """Z += the sketch of G, where G is X, or has the rows e_i ⊗ x_i if E is given.

    The columns of G come in len(starts) runs of equal length. Run k is multiplied with consecutive
    rows of Γ, the first of which is starts[k].
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
            # The product is float64, since the precision of torch's float32 products is a setting
            # of its user (TF32, bfloat16).
            Z[part] += (tile @ _rows(S, starts[c // run] + c % run).double()).to(Z.dtype)


def _by_kernel(S: Sketch, X: Tensor, E: Tensor | None, starts: Tensor) -> Tensor:
    """The sketch (B, m) that `_add` adds, made by the kernel, in float32."""
    from . import kernel

    zeta = S.nnz_per_row
    seed = S.seed - (S.seed >> 63 << 64)  # the 64 bits of the seed as a signed integer
    sums: Tensor = kernel.sparse_sign(X, E, starts, S.out_dim, zeta, _per_word(S), seed)
    return sums * entry(zeta)


def _has_kernel(S: Sketch, X: Tensor, E: Tensor | None, Z: Tensor) -> bool:
    """Whether the kernel makes this sum. Only this function decides it."""
    return (
        S.kind == "sparse-sign"
        and Z.is_cuda
        and all(t is None or t.dtype != torch.float64 for t in (X, E, Z))
        and find_spec("triton") is not None
    )


def philox(key: int, i: Tensor, j: Tensor, last: int) -> tuple[Tensor, ...]:
    """The four random words, in [0, 2³²), of Philox4x32-10 at the counters (i, j, last).

    i has 64 bits, j and `last` have 32. Tensors are int64: the product of two words may wrap around
    to a negative number, which has the same 64 bits.
    """
    w0, w1, w2, w3 = i & WORD, i >> 32 & WORD, j, torch.full_like(j, last)
    for bump in range(10):
        k0, k1 = (key + bump * 0x9E3779B9) & WORD, ((key >> 32) + bump * 0xBB67AE85) & WORD
        p0, p1 = w0 * 0xD2511F53, w2 * 0xCD9E8D57
        w0, w2 = (p1 >> 32 & WORD) ^ w1 ^ k0, (p0 >> 32 & WORD) ^ w3 ^ k1
        w1, w3 = p1 & WORD, p0 & WORD
    return w0, w1, w2, w3


def _rows(S: Sketch, j: Tensor) -> Tensor:
    """The rows of Γ numbered j (n,), as (n, m) float32."""
    if S.kind == "gaussian":
        return _gaussian(S, j)
    target, sign = {"sparse-sign": _sparse_sign, "grouped-sign": _grouped_sign}[S.kind](S, j)
    values = (1 - 2 * sign).float() * entry(sign.shape[1])
    return torch.zeros(len(j), S.out_dim, device=j.device).scatter_(1, target, values)


def entry(entries: int) -> float:
    """The absolute value 1/√entries of each entry where a row of Γ has `entries` of them."""
    return float(np.float32(1) / np.sqrt(np.float32(entries)))


def _edges(m: int, blocks: int, device: torch.device) -> Tensor:
    """Where the m columns are cut into blocks: block t has columns [edges[t], edges[t + 1])."""
    return torch.arange(blocks + 1, device=device) * m // blocks


def _per_word(S: Sketch) -> int:
    """How many blocks of columns share a random word."""
    return 2 if S.out_dim <= PAIR_WIDTH * S.nnz_per_row else 1


def _sparse_sign(S: Sketch, j: Tensor) -> tuple[Tensor, Tensor]:
    """Columns and sign bits (n, ζ) of the entries of rows j.

    Read a word as a fraction u in [0, 1), in units of 2⁻³². The integer part of 2·width·u is
    2·place + sign: the place in a block of columns and the sign bit of its entry. Where a word
    serves two blocks, the fractional part is the fraction of the second.
    """
    m, zeta = S.out_dim, S.nnz_per_row
    per_word = _per_word(S)
    edges = _edges(m, zeta, j.device)
    group = torch.arange(-(-zeta // (4 * per_word)), device=j.device)
    words = torch.stack(philox(S.seed, j[:, None], group[None], m << 8 | SPARSE_SIGN), -1)
    fractions = words.flatten(1)  # (n, words)
    digits = torch.empty(len(j), zeta, dtype=torch.int64, device=j.device)
    for t in range(min(per_word, zeta)):
        width = edges.diff()[t::per_word]
        scaled = fractions[:, : len(width)] * (2 * width)
        digits[:, t::per_word] = scaled >> 32
        fractions = scaled & WORD
    return (digits >> 1) + edges[:-1], digits & 1


def _pick(words: tuple[Tensor, ...], index: Tensor) -> Tensor:
    """words[index[i]][i] for each i: one of four words, chosen element by element."""
    return torch.stack(words, -1).gather(-1, index[:, None])[:, 0]


def _place_of_lane(bits: Tensor, lane: Tensor) -> Tensor:
    """The place of a lane under the permutation of 16 lanes that 16 random bits describe.

    The permutation is affine over GF(2): a shift of the 4 bits of the lane, then a unit lower and a
    unit upper triangular matrix. Each step below adds a multiple of one bit to others.
    """
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
    """Columns and sign bits (n, 8) of the entries of rows j.

    Rows of Γ come in chunks of PARTS · STEPS · LANES rows. In each step the 8 rows that have the
    same lane (one from each part, each part's lanes permuted) share their 8 columns; their signs
    differ by the rows of a Hadamard matrix.
    """
    m, last = S.out_dim, S.out_dim << 8 | GROUPED_SIGN
    unit = LANES if m % (PARTS * LANES) == 0 else 1
    part_rows = STEPS * LANES
    chunk, part = j // (PARTS * part_rows), j // part_rows % PARTS
    of_part = _pick(philox(S.seed, chunk, PART_WORDS + part // 4, last), part % 4)
    step = j // LANES - (of_part >> 26) & STEPS - 1
    lane = _place_of_lane(of_part, j % LANES)
    column_signs = _pick(philox(S.seed, chunk, step, last), part // 2)
    column_sign = column_signs >> part % 2 * LANES + lane

    # Entry k of a row lies in block k of the columns. The words of entries k and k + 1, k even,
    # come from one counter.
    k = torch.arange(PARTS, device=j.device)
    pair = STEPS * (1 + k[None, ::2] // 2)
    words = torch.stack(philox(S.seed, chunk[:, None], step[:, None] + pair, last), -1)
    start, bits = words.reshape(len(j), PARTS, 2).unbind(-1)
    edges = _edges(m, PARTS, j.device)
    width = edges.diff()
    place = _place_of_lane(bits >> 16, lane[:, None])
    at = ((start * (width // unit) >> 32) * unit + place) % width
    common = part[:, None] & k  # its parity is entry (part, k) of the Hadamard matrix
    sign = column_sign[:, None] ^ bits >> place ^ common ^ common >> 1 ^ common >> 2
    return at + edges[:-1], sign & 1


def _gaussian(S: Sketch, j: Tensor) -> Tensor:
    """Rows j of Γ, (n, m). Column 16 c + l of strip s is normal number c of the four that counter
    (j, 16 s + l) gives."""
    m = S.out_dim
    strips = -(-m // STRIP)
    counter = torch.arange(strips * STRIP // 4, device=j.device)
    a, b, c, d = philox(S.seed, j[:, None], counter[None], m << 8 | GAUSSIAN)
    numbers = torch.stack((*_box_muller(a, b), *_box_muller(c, d)), 1)
    numbers = numbers.reshape(len(j), 4, strips, STRIP // 4).transpose(1, 2).flatten(1)
    return numbers[:, :m] * float(np.float32(1) / np.sqrt(np.float32(m)))


def _box_muller(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two normal numbers from the words a and b: r cos(2π v) and r sin(2π v), r = √(-2 ln u).

    u in (0, 1) comes from a, and v = b / 2³². The polynomials are the core's, in float32.
    """
    # u = z 2^e with z in [sqrt(1/2), sqrt(2)); ln z is an odd series in t = (z - 1) / (z + 1).
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
    # The root is taken in float64, since torch's float32 root is off by a bit on some processors.
    r = (log_u * -2.0).clamp(min=0.0).double().sqrt().float()
    # The angle is (quadrant + h) π/2 with h in [-1/2, 1/2), and q = h π/2.
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
