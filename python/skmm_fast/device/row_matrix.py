"""Passes over rows Z that are a torch tensor on a CUDA device; Z is not copied to the host.

Products and sums are float64, a block of rows at a time, so results agree with the core's up to
rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from .. import _core
from .._support.row_sets import RowSets
from .._support.types import Array, Floats, Indices

BLOCK_BYTES = 1 << 25  # bytes of a block of rows in float64; up to four blocks exist at a time


@dataclass(frozen=True)
class TensorRowMatrix:
    """A `RowMatrix` (pool/row_matrix.py, which says what each method returns).

    The core's solvers take it in place of an array: they call `array`, `row_norms`,
    `column_squares`, `square_dots` and `dots`. The core's number of threads is ignored here.
    """

    x: torch.Tensor  # (N, m) float32 or float64

    least_block: ClassVar[int] = 256
    entry_error: ClassVar[float] = 0.0

    @property
    def ranks(self) -> None:
        return None

    @property
    def core(self) -> TensorRowMatrix:
        return self

    @property
    def shape(self) -> tuple[int, int]:
        return self.x.shape[0], self.x.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(str(self.x.dtype).removeprefix("torch."))

    def __len__(self) -> int:
        return len(self.x)

    def array(self, rows: Indices | slice) -> Array:
        return _here(self.x[rows] if isinstance(rows, slice) else self.take(rows).x)

    def own(self, rows: Indices) -> Array:
        return self.array(rows)

    def take(self, rows: Indices) -> TensorRowMatrix:
        return TensorRowMatrix(self.x[self._there(rows)])

    def second_moment(self, s: Floats | None, threads: int, strips: object = None) -> Floats:
        root = None if s is None else self._there(s).sqrt()
        total = self._zeros(self.shape[1], self.shape[1])
        for part, block in self._blocks():
            scaled = block if root is None else root[part, None] * block
            total += scaled.T @ scaled
        return _here(total)

    def row_norms(self, D: Floats, threads: int) -> Floats:
        by = self._there(D)
        return self._each_row(lambda block: (block @ by).square().sum(dim=1))

    def column_squares(self, s: Floats | None, threads: int, strips: object = None) -> Floats:
        weight = self._zeros(len(self)).add_(1) if s is None else self._there(s)
        total = self._zeros(self.shape[1])
        for part, block in self._blocks():
            total += weight[part] @ block.square()
        return _here(total)

    def square_dots(self, u: Floats, threads: int) -> Floats:
        by = self._there(u)
        return self._each_row(lambda block: block.square() @ by)

    def times(
        self, B: Floats, rows: Indices | None, threads: int, scratch_dir: object = None
    ) -> TensorRowMatrix:
        by, which = self._there(B), None if rows is None else self._there(rows)
        out = self.x.new_empty((len(self) if which is None else len(which), by.shape[1]))
        for part, block in self._blocks(which):
            out[part] = block @ by
        return TensorRowMatrix(out)

    def times_rounded(self, B: Floats, rows: Indices | None, threads: int) -> TensorRowMatrix:
        by = self._there(B).to(self.x.dtype)
        return TensorRowMatrix((self.x if rows is None else self.take(rows).x) @ by)

    def gram(self, B: Floats, rows: Indices | None = None) -> Floats:
        by, which = self._there(B), None if rows is None else self._there(rows)
        total = self._zeros(by.shape[1], by.shape[1])
        for _, block in self._blocks(which):
            product = block @ by
            total += product.T @ product
        return _here(total)

    def dots(self, u: Floats, threads: int) -> Floats:
        by = self._there(u)
        return self._each_row(lambda block: block @ by)

    def mean(self, rows: Indices | None = None) -> Floats:
        total = self._zeros(self.shape[1])
        for _, block in self._blocks(None if rows is None else self._there(rows)):
            total += block.sum(dim=0)
        return _here(total / (len(self) if rows is None else len(rows)))

    def spherical_centres(
        self, sets: RowSets, seeds: npt.NDArray[np.uint64], sweeps: int, threads: int
    ) -> Floats:
        return _core.spherical_centres(
            self.array(sets.rows), np.arange(len(sets.rows)), sets.first, sets.first_centre, seeds,
            sweeps, threads,
        )  # fmt: skip

    def nearest_centre(
        self, sets: RowSets, centres: Floats, threads: int
    ) -> tuple[Indices, Floats]:
        which, product = np.empty(len(sets.rows), np.int64), np.empty(len(sets.rows))
        for g in range(len(sets.first) - 1):
            mine = slice(sets.first[g], sets.first[g + 1])
            by = self._there(centres[sets.first_centre[g] : sets.first_centre[g + 1]].T)
            blocks = self._blocks(self._there(sets.rows[mine]))
            found = [(block @ by).max(dim=1) for _, block in blocks]
            which[mine] = _here(torch.cat([most.indices for most in found]))
            product[mine] = _here(torch.cat([most.values for most in found]))
        return which, product

    def sum_unit_rows(
        self, cell: Indices, cells: int, rows: Indices | None, threads: int
    ) -> Floats:
        which, of = None if rows is None else self._there(rows), self._there(cell)
        total = self._zeros(cells, self.shape[1])
        for part, block in self._blocks(which):
            norm = block.norm(dim=1, keepdim=True)
            total.index_add_(0, of[part], block / norm.where(norm > 0, norm + 1))
        return _here(total)

    def _blocks(self, rows: torch.Tensor | None = None) -> Iterator[tuple[slice, torch.Tensor]]:
        """Pairs (part, block) in order: a slice of the rows, and these rows in float64."""
        count = len(self) if rows is None else len(rows)
        step = max(1, BLOCK_BYTES // (8 * self.shape[1]))
        for first in range(0, count, step):
            part = slice(first, min(first + step, count))
            yield part, (self.x[part] if rows is None else self.x[rows[part]]).double()

    def _each_row(self, per_block: Callable[[torch.Tensor], torch.Tensor]) -> Array:
        """One number for each row, from a function of a block of rows."""
        return _here(torch.cat([per_block(block) for _, block in self._blocks()]))

    def _zeros(self, *shape: int) -> torch.Tensor:
        return self.x.new_zeros(shape, dtype=torch.float64)

    def _there(self, x: Array) -> torch.Tensor:
        """x on the device."""
        return torch.as_tensor(np.ascontiguousarray(x), device=self.x.device)


def _here(x: torch.Tensor) -> Array:
    """x on the host."""
    return x.cpu().numpy()
