"""`PartlyFactored`: sketches of gradients that are sums of products over tokens, which are not
formed.

The gradient of a weight (o, i) is M = Σ_t e_t x_tᵀ over the tokens t of a sample. Both sides are
sketched to k dimensions, the k x k matrix A M Bᵀ = Σ_t (A e_t)(B x_t)ᵀ is summed, and its entries
are sketched to m. With ζ entries in a row of a sketch that takes O(T (ζ (o + i) + k²)) operations
for T tokens, where M itself takes O(T o i).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from scipy import sparse

from .._support import checks
from .._support.arrays import BFLOAT16
from .._support.cached import cached_property
from .._support.types import Array
from .base import Sketch
from .operators import SparseSign

# Rows of the Γ of the sides: two ranges that no coordinate of a gradient is in, so that the signs
# of the two sides and of the last step are independent. A matrix has its first coordinate's there.
LEFT, RIGHT = 1 << 61, 3 << 60
SIDE_NNZ = 8  # entries in a row of a side's Γ
CHUNK = 1 << 22  # entries of CSR rows that are made dense at a time

# add(S, G, Z, first): Z (n, m) += G (n, c) Γ[first : first + c], with the Γ of S. It has been told
# how: by the core for arrays, by a device for its tensors.
Add = Callable[[Sketch, Any, Any, int], None]


class Block(NamedTuple):
    """A matrix among the coordinates of a gradient: its entries in row-major order."""

    first: int  # its first coordinate
    rows: int
    cols: int

    @property
    def stop(self) -> int:
        return self.first + self.rows * self.cols


@dataclass(frozen=True)
class PartlyFactored(Sketch):
    """Γ that is a product for some matrices among the coordinates, and sparse signs elsewhere.

    Entry (c, j) of such a matrix has the row (a_c ⊗ b_j) Γ' of Γ, where a_c and b_j are rows of
    sparse-sign matrices with `factor_dim` columns, and Γ' the rows of a `SparseSign` that belong to
    the first coordinates of the matrix. E[ΓΓᵀ] = I as for every sketch. Sums over tokens embed as
    well as with `SparseSign`; a matrix that is a single product e xᵀ is embedded worse, with a
    relative error of its squared norm of about √(4/factor_dim).

    Parameters
    ----------
    in_dim, out_dim : int
        r and m, the shape of Γ.
    matrices : list of (int, int, int), default ()
        The first coordinate, the rows and the columns of each matrix, in order and apart.
    factor_dim : int, default 128
        k. A side of at most k entries is taken as it is. A matrix has more than k² entries.
    seed : int, default 0
        64 bits.

    Raises
    ------
    TypeError, ValueError
        Matrices that overlap, are too small or beyond in_dim; out_dim above the number of
        coordinates that are left when each matrix has become k x k.

    Notes
    -----
    The two-sided form is that of the Johnson-Lindenstrauss maps of products that LoGra (arXiv
    2405.13954) applies to gradients; here their k² results are sketched once more.

    Examples
    --------
    >>> import numpy as np
    >>> from skmm_fast.sketch.factored import PartlyFactored
    >>> S = PartlyFactored(40 * 50 + 7, 16, matrices=[(0, 40, 50)], factor_dim=32)
    >>> G = np.random.default_rng(0).standard_normal((3, 40 * 50 + 7))
    >>> np.allclose(S.apply(G), G @ S.toarray())
    True
    """

    in_dim: int
    out_dim: int
    matrices: Sequence[Sequence[int]] = field(default=(), kw_only=True)
    factor_dim: int = field(default=128, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    kind: ClassVar[str] = "factored"

    def __post_init__(self) -> None:
        super().__post_init__()
        k = checks.integer("factor_dim", self.factor_dim, 1, 1 << 16)
        blocks = tuple(_block(matrix) for matrix in self.matrices)
        end = 0
        for block in blocks:
            if block.first < end or block.stop > min(self.in_dim, 1 << 60):
                raise ValueError(
                    f"matrices: expected matrices in order, apart and below {self.in_dim}, got "
                    f"{tuple(block)} after {end} coordinates"
                )
            if block.rows * block.cols <= k * k:
                raise ValueError(
                    f"matrices: expected more than factor_dim² = {k * k} entries, got "
                    f"{tuple(block)}"
                )
            end = block.stop
        left = self.in_dim - sum(b.rows * b.cols - min(b.rows, k) * min(b.cols, k) for b in blocks)
        if self.out_dim > left:
            raise ValueError(
                f"out_dim: expected at most {left}, the coordinates that are left with factor_dim "
                f"= {k}, got {self.out_dim}"
            )
        object.__setattr__(self, "factor_dim", k)
        object.__setattr__(self, "matrices", tuple(map(tuple, blocks)))

    @property
    def _last(self) -> SparseSign:
        """Γ', the sketch of coordinates outside of the matrices and of their k x k forms."""
        return SparseSign(self.in_dim, self.out_dim, seed=self.seed)

    @cached_property
    def _blocks(self) -> dict[int, Block]:
        """The matrices by their first coordinates, in order."""
        return {matrix[0]: Block(*matrix) for matrix in self.matrices}

    @property
    def _core(self) -> Any:
        return _Core(self)

    def _parts(self, start: int, stop: int) -> Iterator[tuple[Block | None, int, int]]:
        """Coordinates [start, stop) in runs [first, end), each in one matrix or in none."""
        for block in self._blocks.values():
            if block.stop <= start or block.first >= stop:
                continue
            if block.first > start:
                yield None, start, block.first
            yield block, max(start, block.first), min(stop, block.stop)
            start = block.stop
        if start < stop:
            yield None, start, stop

    def _has_matrices(self, start: int, stop: int) -> bool:
        """Whether coordinates [start, stop) have entries of matrices."""
        return any(block is not None for block, _, _ in self._parts(start, stop))

    def _add_on_device(self, A: Any, Z: Any, col_offset: int) -> None:
        from ..device.gamma import add_dense

        self._add_dense(add_dense, A, Z, col_offset)

    def _add_dense(self, add: Add, G: Any, Z: Any, first: int) -> None:
        """Z (n, m) += G (n, c) Γ[first : first + c]."""
        for block, start, end in self._parts(first, first + G.shape[1]):
            part = G[:, start - first : end - first]
            if block is None:
                add(self._last, part, Z, start)
            else:
                self._add_entries(add, block, part, Z, start - block.first)

    def _add_products(self, add: Add, block: Block, E: Any, X: Any, Z: Any) -> None:
        """Z (n, m) += Σ_t e_t ⊗ x_t for the matrix `block`, E (n, T, rows) and X (n, T, cols)."""
        self._add_sides(add, block, self._side(add, LEFT, block, E, Z), X, Z)

    def _add_sides(self, add: Add, block: Block, A: Any, X: Any, Z: Any) -> None:
        """As `_add_products`, for left sides A (n, T, k) in place of E."""
        P = A.swapaxes(1, 2) @ self._side(add, RIGHT, block, X, Z)
        add(self._last, P.reshape(len(P), -1), Z, block.first)

    def _side(self, add: Add, which: int, block: Block, E: Any, Z: Any, start: int = 0) -> Any:
        """The vectors E (n, T, c), which begin at entry `start` of the rows (LEFT) or columns
        (RIGHT) of a matrix, in at most k dimensions; in the type of Z."""
        n, T, c = E.shape
        size = block.rows if which == LEFT else block.cols
        sums = _zeros(Z, (n * T, min(size, self.factor_dim)))
        rows = E.reshape(n * T, c)
        if size <= self.factor_dim:
            sums[:, start : start + c] = rows
        else:
            add(self._side_sketch, rows, sums, which + block.first + start)
        return sums.reshape(n, T, -1)

    def _unit_sides(self, which: int, block: Block, start: int, stop: int) -> Array:
        """(stop - start, k) What `_side` makes of unit vectors, for these rows or columns."""
        size = block.rows if which == LEFT else block.cols
        if size <= self.factor_dim:
            return np.eye(size, dtype=np.float32)[start:stop]
        first = which + block.first
        return self._side_sketch.toarray(first + start, first + stop)

    @property
    def _side_sketch(self) -> SparseSign:
        k = self.factor_dim
        return SparseSign(1 << 62, k, nnz_per_row=min(SIDE_NNZ, k), seed=self.seed)

    def _add_entries(self, add: Add, block: Block, G: Any, Z: Any, first: int) -> None:
        """Adds gradients of which G (n, c) are entries [first, first + c) of a matrix."""
        n, c = G.shape
        row, before = divmod(first, block.cols)
        rows = -(-(before + c) // block.cols)
        if before or c % block.cols:  # whole rows, with zeros around what is given
            whole = _zeros(Z, (n, rows * block.cols))
            whole[:, before : before + c] = G
            G = whole
        M = self._side(add, RIGHT, block, G.reshape(n, rows, block.cols), Z)
        P = self._side(add, LEFT, block, M.swapaxes(1, 2), Z, row).swapaxes(1, 2)
        add(self._last, P.reshape(n, -1), Z, block.first)


class _Core:
    """The functions that the core has for other sketches of arrays, made of its functions."""

    def __init__(self, sketch: PartlyFactored) -> None:
        self.sketch = sketch

    def sketch_dense(
        self, A: Array, col_offset: int, accumulate: bool, threads: int, Z: Array, tick: Any = None
    ) -> None:
        if not accumulate:
            Z[:] = 0
        if A.dtype == BFLOAT16:  # NumPy cannot copy its numbers, only their bits
            A = (A.astype(np.uint32) << 16).view(np.float32)
        self.sketch._add_dense(by_core(threads), A, Z, col_offset)
        if tick is not None:
            tick(A.size)

    def sketch_outer(
        self,
        E: Array,
        X: Array,
        col_offset: int,
        accumulate: bool,
        threads: int,
        Z: Array,
        tick: Any = None,
    ) -> None:
        S, cols = self.sketch, E.shape[1] * X.shape[1]
        if not S._has_matrices(col_offset, col_offset + cols):
            S._last._core.sketch_outer(E, X, col_offset, accumulate, threads, Z, tick)
            return
        if not accumulate:
            Z[:] = 0
        block = S._blocks.get(col_offset)
        if block is not None and block[1:] == (E.shape[1], X.shape[1]):
            S._add_products(by_core(threads), block, E[:, None], X[:, None], Z)
            if tick is not None:
                tick(len(E) * cols)
            return
        for i in range(len(E)):
            G = np.outer(E[i], X[i]).reshape(1, -1)
            self.sketch_dense(G, col_offset, True, threads, Z[i : i + 1])
            if tick is not None:
                tick((i + 1) * cols)

    def sketch_csr(
        self,
        values: Array,
        indices: Array,
        indptr: Array,
        cols: int,
        col_offset: int,
        accumulate: bool,
        threads: int,
        Z: Array,
        tick: Any = None,
    ) -> None:
        """Rows are made dense, some at a time, where they have entries of a matrix."""
        S = self.sketch
        if not S._has_matrices(col_offset, col_offset + cols):
            S._last._core.sketch_csr(
                values, indices, indptr, cols, col_offset, accumulate, threads, Z, tick
            )
            return
        G = sparse.csr_array((values, indices, indptr), shape=(len(Z), cols))
        step = max(1, CHUNK // cols)
        for i in range(0, len(Z), step):
            rows = slice(i, i + step)
            self.sketch_dense(G[rows].toarray(), col_offset, accumulate, threads, Z[rows])
            if tick is not None:
                tick(int(indptr[rows][-1]))

    def rows(self, start: int, out: Array) -> None:
        """Rows [start, start + len(out)) of Γ."""
        S = self.sketch
        for block, first, end in S._parts(start, start + len(out)):
            part = out[first - start : end - start]
            if block is None:
                S._last._core.rows(first, part)
                continue
            c, j = np.divmod(np.arange(first - block.first, end - block.first), block.cols)
            a = S._unit_sides(LEFT, block, c[0], c[-1] + 1)[c - c[0]]
            b = S._unit_sides(RIGHT, block, 0, block.cols)[j]
            S._last._core.sketch_outer(a, b, block.first, False, 1, part)


def by_core(threads: int) -> Add:
    """How the core adds the sketch of an array, with so many threads."""

    def add(S: Sketch, G: Any, Z: Any, first: int) -> None:
        rows = G if G.strides[1] == G.itemsize else np.ascontiguousarray(G)
        S._core.sketch_dense(rows, first, True, threads, Z)

    return add


def _zeros(like: Any, shape: tuple[int, int]) -> Any:
    """Zeros of the type of an array, or of the type and on the device of a tensor."""
    return np.zeros(shape, like.dtype) if isinstance(like, np.ndarray) else like.new_zeros(shape)


def _block(matrix: Sequence[int]) -> Block:
    if isinstance(matrix, str) or not hasattr(matrix, "__len__") or len(matrix) != 3:
        raise TypeError(f"matrices: expected (first, rows, columns) of each, got {matrix!r}")
    first, rows, cols = matrix
    return Block(
        checks.integer("matrices", first, 0),
        checks.integer("matrices", rows, 1),
        checks.integer("matrices", cols, 1),
    )
