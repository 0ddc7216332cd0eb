"""The sparse-sign sketch of dense rows as a GPU kernel that makes Γ as it goes (needs triton).

A program handles a segment of the columns of G, a tile of the rows of G, and some columns of Γ. It
makes Γ in tiles of -1, 0 and 1, by comparing random places with column numbers, and multiplies them
with G on the tensor cores. These products are exact: bfloat16 holds -1, 0 and 1 exactly, and a
float32 number is the sum of three bfloat16 numbers. For float32, the product of a tile is added to
the sums outside the tensor cores, because additions inside are not rounded to nearest. The sums of
the segments are added in a fixed order, without atomics. So the same call gives the same bits on
one kind of device.

Prediction for an H100 with r = 2.4 10⁶, 64 rows of float32, m = 512 and ζ = 8 (not measured; see
bench/NOTES.md): one read of G takes 0.18 ms; the 6 · 64 · m flops of each column of G take 0.48 ms
in all at the peak rate of bfloat16.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

Tensor = torch.Tensor

ROWS = 64  # rows of G in a program, at most
COLUMNS = 256  # columns of Γ in a program, at most
DEPTH = 64  # rows of Γ, or columns of G, in a tile
ROUND = 4 * DEPTH  # a segment is a multiple of this many columns of G
SEGMENT = 1 << 15  # columns of G in a segment, at most: long float32 sums lose accuracy


@triton.jit(  # type: ignore[untyped-decorator]
    do_not_specialize=["rows", "run", "d", "e_row", "seed", "m", "zeta"]
)
def _sums(  # type: ignore[no-untyped-def]
    x,  # (rows, d): G itself, or the right factor of its rows e_i ⊗ x_i if OUTER
    e,  # (rows, cols / d): the left factor if OUTER, else not read
    starts,  # (runs,) int64: the row of Γ that belongs to the first column of each run
    out,  # (segments, rows, m): √zeta times the sketch of each segment
    rows,  # rows of G
    cols,  # columns of G
    run,  # columns of G in a run, which are multiplied with consecutive rows of Γ
    d,  # columns of x
    x_row,  # strides of x and e
    x_col,
    e_row,
    e_col,
    seed,
    m,  # columns of Γ, in zeta blocks
    zeta,
    segment,  # columns of G in a segment, a multiple of DEPTH
    row_tiles,  # number of tiles that cover the rows of G
    place_tiles,  # number of tiles that cover a block of columns of Γ
    block_tiles,  # number of tiles that cover the zeta blocks
    RUNS: tl.constexpr,  # whether there is more than one run
    OUTER: tl.constexpr,  # whether G consists of the rows e_i ⊗ x_i
    SPLIT: tl.constexpr,  # whether entries of G are split into three of type DOT, or have type DOT
    DOT: tl.constexpr,  # the type of the factors on the tensor cores
    PER_WORD: tl.constexpr,  # blocks that share a random word
    BLOCKS: tl.constexpr,  # blocks in a program; divides 4 PER_WORD, the blocks of one counter
    PLACES: tl.constexpr,  # columns of each block in a program
    ROWS: tl.constexpr,  # rows of G in a program
    DEPTH: tl.constexpr,  # columns of G in a tile
):
    # Programs that read the same part of G have neighbouring numbers.
    pid = tl.program_id(0)
    place_tile, pid = pid % place_tiles, pid // place_tiles
    block_tile, pid = pid % block_tiles, pid // block_tiles
    row_tile, s = pid % row_tiles, pid // row_tiles

    i = (row_tile * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    first_block = block_tile.to(tl.int64) * BLOCKS
    block = first_block + tl.arange(0, BLOCKS)
    width = (block + 1) * m // zeta - block * m // zeta
    # A word, read as a fraction u in [0, 1), gives int(2·width·u) = 2·place + sign in a block. If
    # two blocks share the word, the fractional part of 2·width·u serves the second: a product with
    # even_scale, modulo 2³², leaves it. For the first block of a word even_scale is 1.
    even = block // PER_WORD * PER_WORD  # the first block of the same word
    even_width = (even + 1) * m // zeta - even * m // zeta
    scale = (2 * width).to(tl.uint32)[:, None]
    even_scale = tl.where(even == block, 1, 2 * even_width).to(tl.uint32)[:, None]
    word = (block // PER_WORD % 4)[:, None]
    place = place_tile * PLACES + tl.arange(0, PLACES)

    sums = tl.zeros((BLOCKS * PLACES, ROWS), tl.float32)
    begin = s.to(tl.int64) * segment
    for first in range(begin, tl.minimum(begin + segment, cols), DEPTH):
        depth = tl.arange(0, DEPTH)
        c = first + depth
        if RUNS:
            in_run = (first % run).to(tl.int32) + depth  # may go on into the next runs
            k = first // run + in_run // run
            j = tl.load(starts + k, mask=c < cols, other=0) + in_run % run
        else:
            j = tl.load(starts) + c

        zero = tl.zeros((DEPTH,), tl.uint32)
        w0, w1, w2, w3 = tl.philox(
            seed,
            (j & 0xFFFFFFFF).to(tl.uint32),
            (j >> 32).to(tl.uint32),
            zero + (first_block // (4 * PER_WORD)).to(tl.uint32),
            zero + (m << 8 | 1).to(tl.uint32),  # the stream of sparse signs (philox.hpp)
        )
        w = tl.where(word < 2, tl.where(word == 0, w0, w1), tl.where(word == 2, w2, w3))
        digit = tl.umulhi(w * even_scale, tl.broadcast_to(scale, (BLOCKS, DEPTH)))
        sign = 1.0 - 2.0 * (digit & 1).to(tl.float32)
        hit = (digit >> 1).to(tl.int32)[:, None, :] == place[None, :, None]
        gamma = tl.where(hit, sign.to(DOT)[:, None, :], tl.zeros((1, 1, 1), DOT))
        gamma = tl.reshape(gamma, (BLOCKS * PLACES, DEPTH))

        inside = (c[:, None] < cols) & (i[None, :] < rows)
        if OUTER:
            in_x = (first % d).to(tl.int32) + depth
            at_x = x + i[None, :] * x_row + (in_x % d).to(tl.int64)[:, None] * x_col
            at_e = e + i[None, :] * e_row + (first // d + in_x // d)[:, None] * e_col
            g = tl.load(at_x, mask=inside, other=0.0).to(tl.float32)
            g *= tl.load(at_e, mask=inside, other=0.0).to(tl.float32)
        else:
            at_x = x + i[None, :] * x_row + c[:, None] * x_col
            g = tl.load(at_x, mask=inside, other=0.0).to(tl.float32)
        if SPLIT:
            # g is the sum of its first 8 binary digits, the next 8 and the last 8. Digits are cut
            # off rather than rounded, since rounding up could overflow.
            high = (g.to(tl.uint32, bitcast=True) & 0xFFFF0000).to(tl.float32, bitcast=True)
            rest = g - high
            middle = (rest.to(tl.uint32, bitcast=True) & 0xFFFF0000).to(tl.float32, bitcast=True)
            product = tl.dot(gamma, (rest - middle).to(DOT))
            product = tl.dot(gamma, middle.to(DOT), product)
            product = tl.dot(gamma, high.to(DOT), product)
        else:
            product = tl.dot(gamma, g.to(DOT))
        sums += product

    r = tl.arange(0, BLOCKS * PLACES)
    block = first_block + r // PLACES
    place = place_tile * PLACES + r % PLACES
    first = block * m // zeta
    valid = (block < zeta) & (place < (block + 1) * m // zeta - first)
    at = out + (s.to(tl.int64) * rows + i)[None, :] * m + (first + place)[:, None]
    tl.store(at, sums, mask=valid[:, None] & (i < rows)[None, :])


def _programs(device: torch.device) -> int:
    """The number of programs that fill the device twice."""
    if device.type != "cuda":
        return 4  # Triton's interpreter, on the CPU
    return 2 * int(torch.cuda.get_device_properties(device).multi_processor_count)


@torch.library.custom_op(
    "skmm_fast::sparse_sign",
    mutates_args=(),
    schema="(Tensor x, Tensor? e, Tensor starts, int m, int zeta, int per_word, int seed)"
    " -> Tensor",
)
def sparse_sign(
    x: Tensor, e: Tensor | None, starts: Tensor, m: int, zeta: int, per_word: int, seed: int
) -> Tensor:
    """√zeta times the sketch, (rows, m) float32, of G = x, or of the rows e_i ⊗ x_i if e is given.

    x and e are float32, float16 or bfloat16. The columns of G come in len(starts) runs of equal
    length; run k is multiplied with consecutive rows of Γ from starts[k] on. `seed` is a signed
    64-bit integer; `per_word` is the number of blocks that share a random word.
    """
    rows, d = x.shape
    cols = d if e is None else d * e.shape[1]
    width = triton.cdiv(m, zeta)
    places = min(max(triton.next_power_of_2(width), 16), COLUMNS)
    blocks = min(triton.next_power_of_2(zeta), 4 * per_word, COLUMNS // places)
    tile = min(max(triton.next_power_of_2(rows), 16), ROWS)
    tiles = triton.cdiv(rows, tile), triton.cdiv(width, places), triton.cdiv(zeta, blocks)
    across = tiles[0] * tiles[1] * tiles[2]
    fair = triton.cdiv(cols * across, _programs(x.device))
    segment = min(triton.cdiv(fair, ROUND) * ROUND, SEGMENT)
    segments = triton.cdiv(cols, segment)

    split = e is not None or x.dtype == torch.float32
    dot = tl.float16 if x.dtype == torch.float16 and not split else tl.bfloat16
    if not x.is_cuda:
        dot = tl.float32  # the interpreter cannot multiply bfloat16
    out = torch.empty(segments, rows, m, device=x.device)
    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
        _sums[(segments * across,)](
            x,
            x if e is None else e,
            starts,
            out,
            rows,
            cols,
            cols // len(starts),
            d,
            *x.stride(),
            *((0, 0) if e is None else e.stride()),
            seed,
            m,
            zeta,
            segment,
            *tiles,
            RUNS=len(starts) > 1,
            OUTER=e is not None,
            SPLIT=split,
            DOT=dot,
            PER_WORD=per_word,
            BLOCKS=blocks,
            PLACES=places,
            ROWS=tile,
            DEPTH=DEPTH,
            num_warps=8,
            enable_fp_fusion=False,
        )
    return out.sum(0)


@sparse_sign.register_fake
def _(
    x: Tensor, e: Tensor | None, starts: Tensor, m: int, zeta: int, per_word: int, seed: int
) -> Tensor:
    return x.new_empty(x.shape[0], m, dtype=torch.float32)
