"""Cells of alike rows: spherical k-means, in a tree, so that a row meets at most BRANCHES centres
on a level. The length of a row does not matter, so that outliers of large norm make no cells.

A cell is a set of rows; rows of one cell have one number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import _core
from .._support import checks
from .._support.row_sets import RowSets
from .._support.types import Array, DenseMatrix, Floats, Indices, VectorLike
from ..pool.host_rows import HostRowMatrix
from ..pool.row_matrix import RowMatrix, row_matrix
from ..pool.spectrum import require_finite
from .constraints import power_counts
from .groups import group_seed
from .labels import labels_of

BRANCHES = 32  # cells that a set of rows is cut into at once, at most
SAMPLE = 64  # rows of a set that its centres are found from, for each of them
SWEEPS = 4  # of Lloyd's algorithm over the sample
COHERENT = 0.5  # mean cosine of two rows of a cell from which on the cell is coherent
AT_ONCE = 1 << 17  # rows of samples that are held at a time, or a quarter of Z, or those of a set
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
    seeds = [group_seed(seed, g) for g in range(len(members))]
    more = [share // 10 for share in shares]
    for found in cells_of(rows, squares, members, shares, more, seeds, threads):
        out[found.rows] = made + np.repeat(np.arange(len(found.sizes)), found.sizes)
        made += len(found.sizes)
    return out


def cells_of(
    Z: RowMatrix,
    squares: Floats,
    sets: Sequence[Indices],
    counts: Sequence[int],
    more: Sequence[int],
    seeds: Sequence[int],
    threads: int,
) -> list[Cells]:
    """Each set of rows, ascending, in about so many cells, and at most so many more of stragglers.
    squares (N,) are the ‖z_i‖² of all rows. A set has rows."""
    trees = [_Tree(rows, seed) for rows, seed in zip(sets, seeds, strict=True)]
    _grow(Z, squares, trees, counts, threads)
    for tree, most in zip(trees, more, strict=True):
        for group in _stragglers(Z, tree.rows, tree.cosine, most, threads):
            tree.cell[group] = tree.n_cells
            tree.n_cells += 1
    return [_cells(Z, tree, threads) for tree in trees]


def split_by(number: Array, count: int) -> list[Indices]:
    """For each number below `count` the positions that have it, ascending."""
    few_bits = number.astype(np.min_scalar_type(max(count - 1, 0)))  # up to 16: a radix sort
    order = np.argsort(few_bits, kind="stable")
    return np.split(order, np.cumsum(np.bincount(number, minlength=count))[:-1])


class _Tree:
    """The cells of one set of rows, while they are made."""

    def __init__(self, rows: Indices, seed: int) -> None:
        self.rows = rows
        self.cell = np.empty(len(rows), np.int64)
        self.cosine = np.empty(len(rows))  # of each row to the centre of its cell
        self.n_cells = 0
        self._seed, self._n_seeds = seed, 0

    def next_seed(self) -> int:
        self._n_seeds += 1
        return group_seed(self._seed, self._n_seeds)


@dataclass(frozen=True)
class _Branch:
    """Rows (positions in those of the tree) that are to become `count` cells."""

    tree: _Tree
    part: Indices
    count: int
    seed: int

    @property
    def rows(self) -> Indices:
        return self.tree.rows[self.part]

    @property
    def branches(self) -> int:
        return min(self.count, BRANCHES, len(self.part))

    def sample(self) -> Indices:
        """The rows that centres are found from."""
        most = SAMPLE * self.branches
        if len(self.part) <= most:
            return self.rows
        return self.rows[_core.draw_subset(len(self.part), most, self.seed, 0)]


def _grow(
    Z: RowMatrix, squares: Floats, trees: list[_Tree], counts: Sequence[int], threads: int
) -> None:
    """The cells of the trees, all branches of a level at once."""
    level = [
        _Branch(tree, np.arange(len(tree.rows)), count, tree.next_seed())
        for tree, count in zip(trees, counts, strict=True)
    ]
    while level:
        following: list[_Branch] = []
        first_centre = np.append(0, np.cumsum([branch.branches for branch in level]))
        rows = [branch.rows for branch in level]
        sets = RowSets(np.concatenate(rows), _offsets(rows), first_centre)
        which, product = Z.nearest_centre(sets, _centres(Z, level, threads), threads)
        norms = np.sqrt(squares[sets.rows])
        cosine = product / np.where(norms > 0, norms, 1.0)
        for branch, begin, end in zip(level, sets.first[:-1], sets.first[1:], strict=True):
            tree, part = branch.tree, branch.part
            children = [c for c in split_by(which[begin:end], branch.branches) if len(c)]
            if branch.count <= len(children) or len(children) == 1:
                tree.cosine[part] = cosine[begin:end]
                for child in children:
                    tree.cell[part[child]] = tree.n_cells
                    tree.n_cells += 1
                continue
            sizes = np.array([len(child) for child in children])
            shares = power_counts(sizes, min(branch.count, len(part)), 1.0, 1)
            following += [
                _Branch(tree, part[child], share, tree.next_seed())
                for child, share in zip(children, shares, strict=True)
            ]
        level = following


def _centres(Z: RowMatrix, level: list[_Branch], threads: int) -> Floats:
    """The centres of the branches, one after the other."""
    found, begin, most = [], 0, min(AT_ONCE, len(Z) // 4)
    sizes = np.cumsum([min(len(branch.part), SAMPLE * branch.branches) for branch in level])
    while begin < len(level):
        done = sizes[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(sizes, done + most, "right")))
        block = level[begin:end]
        rows = [branch.sample() for branch in block]
        first_centre = np.append(0, np.cumsum([branch.branches for branch in block]))
        sets = RowSets(np.concatenate(rows), _offsets(rows), first_centre)
        seeds = np.array([branch.seed for branch in block], np.uint64)
        found.append(Z.spherical_centres(sets, seeds, SWEEPS, threads))
        begin = end
    return np.concatenate(found)


def _offsets(parts: list[Indices]) -> Indices:
    return np.append(0, np.cumsum([len(part) for part in parts]))


def _cells(Z: RowMatrix, tree: _Tree, threads: int) -> Cells:
    sizes = np.bincount(tree.cell, minlength=tree.n_cells)
    kept = sizes > 0  # all rows of a cell may be stragglers
    dense = np.cumsum(kept) - 1
    sums = Z.sum_unit_rows(dense[tree.cell], int(kept.sum()), tree.rows, threads)
    sizes = sizes[kept]
    pairs = np.maximum(sizes * (sizes - 1), 1)
    coherent = (np.square(sums).sum(axis=1) - sizes) / pairs > COHERENT
    order = np.concatenate(split_by(tree.cell, tree.n_cells))
    return Cells(tree.rows[order], np.append(0, np.cumsum(sizes)), coherent & (sizes > 1))


def _stragglers(
    Z: RowMatrix, rows: Indices, cosine: Floats, most: int, threads: int
) -> Iterator[Indices]:
    """Groups (positions) of rows that are nearer to each other than to the centres of their cells,
    those first that gain most by a centre of their own. Rows of a cluster are nearer to its centre
    than to each other, so these are of clusters that have no centre."""
    if most == 0 or len(rows) < 2:
        return
    far = np.sort(np.argsort(cosine, kind="stable")[:STRAGGLERS])
    U = Z.array(rows[far]).astype(np.float64)
    norms = np.linalg.norm(U, axis=1, keepdims=True)
    U = (U / np.where(norms > 0, norms, 1.0)).astype(np.float32)
    product = HostRowMatrix(U).times_rounded(U.T.astype(np.float64), None, threads).core
    own = cosine[far]
    least = np.maximum(own, COHERENT)
    near = (product > least) & (product > least[:, None])
    gain = np.where(near, product - own, 0.0)
    of_leader = gain.sum(axis=1)  # over the rows near to each that are in no group yet
    left = np.ones(len(far), np.bool_)
    for _ in range(most):
        leader = int(np.where(left, of_leader, -1.0).argmax())
        group = np.flatnonzero(near[leader] & left)
        if len(group) < 2:
            return
        yield far[group]
        left[group] = False
        of_leader -= gain[:, group].sum(axis=1)
