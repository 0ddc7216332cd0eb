"""Cells of alike rows: spherical k-means, in a tree, so that a row meets at most BRANCHES centres
on a level. The length of a row does not matter, so that outliers of large norm make no cells.

A cell is a set of rows; rows of one cell have one number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import _core
from .._support import checks
from .._support.types import Array, DenseMatrix, Floats, Indices, VectorLike
from ..pool.row_matrix import HostRowMatrix, RowMatrix, row_matrix
from ..pool.spectrum import require_finite
from .constraints import power_counts
from .groups import group_seed
from .labels import labels_of

BRANCHES = 32  # cells that a set of rows is cut into at once, at most
SAMPLE = 64  # rows of a set that its centres are found from, for each of them
SWEEPS = 4  # of Lloyd's algorithm over the sample
COHERENT = 0.5  # mean cosine of two rows of a cell from which on the cell is coherent
STRAGGLERS = 1024  # rows far from their centre that are looked through for coherent cells


@dataclass(frozen=True)
class Cells:
    """Rows, cell after cell."""

    rows: Indices  # row numbers, ascending within a cell
    first: Indices  # (cells + 1,) Cell c has rows[first[c] : first[c + 1]].
    coherent: npt.NDArray[np.bool_]  # (cells,)

    @property
    def sizes(self) -> Indices:
        return np.diff(self.first)

    def without(self, rows: npt.NDArray[np.bool_]) -> Cells:
        """The cells without these positions of `rows`. Some may be empty."""
        left = np.append(0, np.cumsum(~rows))[self.first]
        return Cells(self.rows[~rows], left, self.coherent)

    def counts(self, n: int) -> list[int]:
        """How many of n rows each cell gives: in proportion to its size, and at least one of a
        coherent cell, so that small clusters are not left out while lone outliers may be."""
        least = self.coherent & (self.sizes > 0)
        if least.sum() > n:  # of the largest ones alone
            largest = np.argsort(-self.sizes * least, kind="stable")[:n]
            least = np.isin(np.arange(len(least)), largest)
        return power_counts(self.sizes, n, 1.0, least.astype(np.int64))


def cells(
    Z: DenseMatrix,
    n: int,
    *,
    y: VectorLike | None = None,
    seed: int = 0,
    n_threads: int | None = None,
) -> Indices:
    """Cut the rows of Z into about n cells of alike directions by spherical k-means.

    The cells are made in a tree: a set of rows is cut into at most 32 parts around centres found on
    a sample, and its cells are shared among the parts in proportion to their sizes. Rows far from
    their centre but near each other become cells of their own. The time is O(N m log n).

    Parameters
    ----------
    Z : (N, m) array or tensor
        float32 or float64; the lengths of rows do not matter. A tensor on a CUDA device stays
        there.
    n : int
        Cells to make, in [1, N]: fewer come where rows cannot be told apart, up to a tenth more
        where small groups stand apart. With y, each class has its share, one at least.
    y : (N,) labels, optional
        Classes: no cell has rows of two.
    seed : int, default 0
        The seed of samples and first centres.
    n_threads : int, optional
        Threads of the core. The cells do not depend on it.

    Returns
    -------
    (N,) array of int64
        The number of each row's cell, from 0 on without gaps.

    Raises
    ------
    TypeError, ValueError
        Z of a wrong type or shape, NaN or Inf in it, n out of range, y that is no label for each
        row. The message names the argument, what was expected and what came.

    Notes
    -----
    Spherical k-means: Dhillon and Modha 2001; first centres as in k-means++, Arthur and
    Vassilvitskii 2007.

    Examples
    --------
    >>> import numpy as np
    >>> import skmm_fast as skmm
    >>> Z = np.repeat(np.eye(3), 5, axis=0)
    >>> cell = skmm.cells(Z, 3)
    >>> [len(set(cell[i : i + 5])) for i in (0, 5, 10)], len(set(cell))
    ([1, 1, 1], 3)
    """
    rows = row_matrix("Z", Z)
    N = len(rows)
    count, seed = checks.integer("n", n, 1, N), checks.seed(seed)
    threads = checks.threads(n_threads)
    number = np.zeros(N, np.int32) if y is None else labels_of(y, N).number
    members = split_by(number, int(number.max()) + 1)
    shares = power_counts(np.array([len(part) for part in members]), max(count, len(members)), 1, 1)
    squares = rows.square_dots(np.ones(rows.shape[1]), threads)
    if not squares.max() < 1e150:
        require_finite(rows, "Z")
        largest = np.sqrt(squares.max())
        raise ValueError(f"Z: expected rows of norm up to 1e75, got {largest:.3g}")
    out, made = np.empty(N, np.int64), 0
    for g, (part, share) in enumerate(zip(members, shares, strict=True)):
        found = cells_of(rows, squares, part, share, share // 10, group_seed(seed, g), threads)
        out[found.rows] = made + np.repeat(np.arange(len(found.sizes)), found.sizes)
        made += len(found.sizes)
    return out


def cells_of(
    Z: RowMatrix, squares: Floats, rows: Indices, count: int, more: int, seed: int, threads: int
) -> Cells:
    """These rows, ascending, in about `count` cells, and at most `more` of stragglers. squares (N,)
    are the ‖z_i‖² of all rows."""
    tree = _Tree(Z, squares, threads, seed)
    cell, cosine = np.empty(len(rows), np.int64), np.empty(len(rows))
    n_cells = 0
    for part, along in tree.leaves(np.arange(len(rows)), rows, count):
        cell[part], cosine[part] = n_cells, along
        n_cells += 1
    for group in _stragglers(Z, rows, cosine, more):
        cell[group] = n_cells
        n_cells += 1
    order = np.argsort(cell, kind="stable")
    sizes = np.bincount(cell, minlength=n_cells)
    kept = sizes > 0  # all rows of a cell may be stragglers
    dense = np.cumsum(kept) - 1
    sums = Z.sum_unit_rows(dense[cell], int(kept.sum()), rows, threads)
    sizes = sizes[kept]
    pairs = np.maximum(sizes * (sizes - 1), 1)
    coherent = (np.square(sums).sum(axis=1) - sizes) / pairs > COHERENT
    return Cells(rows[order], np.append(0, np.cumsum(sizes)), coherent & (sizes > 1))


def split_by(number: Array, count: int) -> list[Indices]:
    """For each number below `count` the positions that have it, ascending."""
    few_bits = number.astype(np.min_scalar_type(max(count - 1, 0)))  # up to 16: a radix sort
    order = np.argsort(few_bits, kind="stable")
    return np.split(order, np.cumsum(np.bincount(number, minlength=count))[:-1])


@dataclass
class _Tree:
    Z: RowMatrix
    squares: Floats  # (N,) ‖z_i‖²
    threads: int
    seed: int
    n_draws: int = 0

    def leaves(self, part: Indices, rows: Indices, count: int) -> Iterator[tuple[Indices, Floats]]:
        """The cells of a part (positions) of all rows (numbers): their positions, and the cosines
        of their rows to the centre of the cell."""
        mine = rows[part]
        branches = min(count, BRANCHES, len(part))
        centres = self._centres(mine, branches)
        which, product = self.Z.largest_product(np.ascontiguousarray(centres.T), mine, self.threads)
        children = [child for child in split_by(which, len(centres)) if len(child)]
        sizes = np.array([len(child) for child in children])
        if count <= len(children) or len(children) == 1:
            norms = np.sqrt(self.squares[mine])
            cosine = product / np.where(norms > 0, norms, 1.0)
            for child in children:
                yield part[child], cosine[child]
            return
        shares = power_counts(sizes, min(count, len(part)), 1.0, 1)
        for child, share in zip(children, shares, strict=True):
            yield from self.leaves(part[child], rows, share)

    def _centres(self, rows: Indices, count: int) -> Floats:
        """(count, m) Centres of unit norm by k-means on a sample."""
        if len(rows) > SAMPLE * count:
            drawn = _core.draw_subset(len(rows), SAMPLE * count, self._next(), 0)
            rows = rows[drawn]
        sample = HostRowMatrix(self._unit(self.Z.array(rows)))
        centres = self._first(sample, count)
        for _ in range(SWEEPS):
            cell, _ = sample.largest_product(centres.T, None, self.threads)
            sums = sample.sum_unit_rows(cell, count, None, self.threads)
            norms = np.linalg.norm(sums, axis=1, keepdims=True)
            centres = np.where(norms > 0, sums / np.where(norms > 0, norms, 1.0), centres)
        return centres

    def _first(self, sample: HostRowMatrix, count: int) -> Floats:
        """Rows of the sample, each drawn in proportion to 1 - its largest cosine to the former."""
        # A row of zeros has no direction: it is drawn only where there are no others.
        left = (sample.square_dots(np.ones(sample.shape[1]), self.threads) > 0).astype(np.float64)
        chosen: list[int] = []
        for _ in range(count):
            total = left.sum()
            pi = left / total if total > 1e-9 * len(sample) else np.full_like(left, 1 / len(left))
            chosen.append(int(_core.draw_systematic(pi, 1, self._next(), None)[0]))
            c = sample.core[chosen[-1]].astype(np.float64)
            np.minimum(left, np.maximum(1 - sample.dots(c, self.threads), 0.0), out=left)
        return sample.core[chosen].astype(np.float64)

    @staticmethod
    def _unit(block: np.ndarray) -> np.ndarray:
        norms = np.linalg.norm(block.astype(np.float64), axis=1, keepdims=True)
        return (block / np.where(norms > 0, norms, 1.0)).astype(block.dtype)

    def _next(self) -> int:
        """A seed for the next draw."""
        self.n_draws += 1
        return group_seed(self.seed, self.n_draws)


def _stragglers(Z: RowMatrix, rows: Indices, cosine: Floats, most: int) -> Iterator[Indices]:
    """Groups (positions) of rows that are far from the centre of their cell and near each other,
    the largest groups first."""
    if most == 0:
        return
    far = np.argsort(cosine, kind="stable")[:STRAGGLERS]
    far = np.sort(far[cosine[far] < COHERENT])
    if len(far) < 2:
        return
    U = _Tree._unit(Z.array(rows[far]).astype(np.float64))
    near = HostRowMatrix(U).times(np.ascontiguousarray(U.T), None, 1).core > COHERENT
    left = np.ones(len(far), np.bool_)
    for _ in range(most):
        several = (near & left).sum(axis=1) * left
        leader = int(several.argmax())
        if several[leader] < 2:
            return
        group = near[leader] & left
        yield far[group]
        left &= ~near[leader]
