"""Mean matching: rows whose weighted mean gradient is that of the pool, found by exchanges inside
cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .. import _core
from .._support import arrays, checks
from .._support.progress import bar
from .._support.types import Array, DenseMatrix, Floats, Indices, VectorLike
from ..pool.mean_metric import MeanMetric, mean_metric
from ..pool.row_matrix import RowMatrix, row_matrix
from ..pool.spectrum import second_moment
from .groups import SUBSETS
from .spherical_cells import split_by

SWEEPS = 4  # over the rows chosen; the last ones change little
CANDIDATES = 16  # rows drawn for each slot of a cell that has more, in each sweep
BLOCK = 1 << 15  # candidates whose products are held at a time
WHOLE = 1 << 28  # bytes of the products of all rows, up to which they are made once


@dataclass(frozen=True)
class Slots:
    """The rows chosen, cell after cell, and where each may move: a slot of cell c holds one of
    members[c]."""

    members: list[Indices]  # for each cell its rows, ascending
    first: Indices  # (cells + 1,) Cell c has the slots first[c], ..., first[c + 1] - 1.
    rows: Indices  # (slots,)
    weights: Floats  # (slots,)


def match_mean(
    Z: DenseMatrix,
    start: VectorLike,
    *,
    cells: VectorLike | None = None,
    weights: VectorLike | None = None,
    ridge: float = 1.0,
    sweeps: int = SWEEPS,
    seed: int = 0,
    n_threads: int | None = None,
    progress: bool = False,
) -> Indices:
    """Exchange rows for others of their cell until their weighted mean is near that of all rows.

    What falls is Φ(S) = n ‖n⁻¹ Σ_S ω_i b_i‖² with b_i = Rᵀ(z_i - z̄), R Rᵀ = (Σ_c + ridge λ̄ I)⁻¹,
    where z̄ and Σ_c are mean and centred second moment of all rows, and λ̄ the mean of its
    eigenvalues. A sweep puts in the place of each row in turn the best row of its cell; where a
    cell is large, the best of 16 rows drawn anew for each place that it has. So the time of a sweep
    does not depend on N.

    Parameters
    ----------
    Z : (N, m) array or tensor
        float32 or float64: gradients, with labels, best at a head that has seen a first draw. A
        tensor on a CUDA device stays there.
    start : (n,) row numbers
        The distinct rows to begin with.
    cells : (N,) integers, optional
        The cell of each row, as `cells` makes them. Default: all rows are one cell.
    weights : (n,) numbers, optional
        ω of the rows of start, positive; only their ratios count. Default: all are equal.
    ridge : float, default 1.0
        Of the metric, in units of λ̄.
    sweeps : int, default 4
        Sweeps at most; they end with one that changes nothing, where no candidates are drawn.
    seed : int, default 0
        The seed of drawn candidates.
    n_threads : int, optional
        Threads of the core. The result does not depend on it.
    progress : bool, default False
        Show a bar (needs tqdm).

    Returns
    -------
    (n,) array of int64
        Distinct rows: row t took the place of start[t], and is of its cell.

    Raises
    ------
    TypeError, ValueError
        An argument of a wrong type, shape or value, NaN or Inf in Z. The message names the
        argument, what was expected and what came.

    Notes
    -----
    The mean is what SkMM (arXiv 2407.06120) leaves to noise, its second moment the metric.

    Examples
    --------
    >>> import numpy as np
    >>> import skmm_fast as skmm
    >>> Z = np.random.default_rng(0).standard_normal((500, 8))
    >>> rows = skmm.match_mean(Z, np.arange(50))
    >>> error = np.linalg.norm(Z[rows].mean(axis=0) - Z.mean(axis=0))
    >>> bool(error < 0.1 * np.linalg.norm(Z[:50].mean(axis=0) - Z.mean(axis=0)))
    True
    """
    z = row_matrix("Z", Z)
    N = len(z)
    given = arrays.vector("start", start)
    arrays.rows("start", given, N)
    begin, n = given.astype(np.int64), len(given)  # a small type would not hold other rows
    if n == 0:
        raise ValueError("start: expected at least one row, got none")
    ridge = checks.real("ridge", ridge, above=0.0)
    sweeps, seed = checks.integer("sweeps", sweeps, 0), checks.seed(seed)
    threads = checks.threads(n_threads)
    number = np.zeros(N, np.int64) if cells is None else _numbers(cells, N)
    omega = arrays.weights("weights", weights, n)
    metric = mean_metric(z, second_moment(z, "Z", threads), None, ridge)
    members = split_by(number, int(number.max()) + 1)
    order = np.argsort(number[begin], kind="stable")
    counts = np.bincount(number[begin], minlength=len(members))
    slots = Slots(members, np.append(0, np.cumsum(counts)), begin[order], omega[order])
    out = np.empty(n, np.int64)
    checks.boolean("progress", progress)
    out[order] = exchange(z, metric, slots, sweeps, seed, threads, progress=progress)
    return out


def exchange(
    Z: RowMatrix,
    metric: MeanMetric,
    slots: Slots,
    sweeps: int,
    seed: int,
    threads: int,
    *,
    fixed: tuple[Indices, Floats] | None = None,
    progress: bool = False,
) -> Indices:
    """The rows that the slots hold after at most this many sweeps of exchanges, which bring
    Σ ω_i z_i over them and over the fixed rows (with their weights) near Σ ω_i times the goal of
    the metric."""
    products = _Products(Z, metric.R, threads)
    target = metric.goal @ metric.R
    rows = slots.rows.copy()
    if len(rows) == 0:
        return rows
    places = np.diff(slots.first)
    drawn = any(
        len(several) > CANDIDATES * k for several, k in zip(slots.members, places, strict=True) if k
    )
    with bar("match the mean", sweeps, progress, "sweeps") as tick:
        for sweep in range(sweeps):
            r = products.sum(rows, slots.weights) - slots.weights.sum() * target
            if fixed is not None:
                r += products.sum(fixed[0], fixed[1]) - fixed[1].sum() * target
            exchanges = 0
            for part in _blocks(slots):
                draws = seed, (sweep + 1) * len(slots.members)
                candidates, first, held = _candidates(slots, part, rows, draws)
                own = slice(slots.first[part.start], slots.first[part.stop])
                held, r, made = _core.exchange_in_cells(
                    products.of(candidates), first,
                    slots.first[part.start : part.stop + 1] - slots.first[part.start],
                    slots.weights[own], held, r,
                )  # fmt: skip
                rows[own] = candidates[held]
                exchanges += made
            if tick is not None:
                tick(sweep + 1)
            if exchanges == 0 and not drawn:
                break
    return rows


def _blocks(slots: Slots) -> Iterator[range]:
    """Consecutive cells, of BLOCK candidates together where each has fewer."""
    begin, held = 0, 0
    for c in range(len(slots.members)):
        size = min(len(slots.members[c]), CANDIDATES * int(slots.first[c + 1] - slots.first[c]))
        if held and held + size > BLOCK:
            yield range(begin, c)
            begin, held = c, 0
        held += size
    yield range(begin, len(slots.members))


def _candidates(
    slots: Slots, part: range, rows: Indices, draws: tuple[int, int]
) -> tuple[Indices, Indices, Indices]:
    """Of these cells the candidates, cell after cell, where each cell's begin, and the number of
    the candidate that each slot holds. Cells without slots have none."""
    found, held, first = [], [], [0]
    seed, offset = draws
    for c in part:
        mine = rows[slots.first[c] : slots.first[c + 1]]
        several = slots.members[c]
        if len(mine) == 0:
            several = several[:0]
        elif len(several) > CANDIDATES * len(mine):
            which = SUBSETS + offset + c
            drawn = _core.draw_subset(len(several), CANDIDATES * len(mine), seed, which % 2**32)
            several = np.union1d(several[drawn], mine)
        held.append(first[-1] + np.searchsorted(several, mine))
        found.append(several)
        first.append(first[-1] + len(several))
    return np.concatenate(found), np.array(first), np.concatenate(held)


class _Products:
    """Rows of Z R, made once where they fit, else when they are asked for."""

    def __init__(self, Z: RowMatrix, R: Floats, threads: int) -> None:
        size = len(Z) * R.shape[1] * Z.dtype.itemsize
        self._all = Z.times(R, None, threads) if size <= WHOLE else None
        self._width = R.shape[1]
        self._make: Callable[[Indices], RowMatrix] = lambda rows: Z.times(R, rows, threads)

    def of(self, rows: Indices) -> Array:
        if self._all is not None:
            return self._all.array(rows)
        return self._make(rows).array(slice(None))

    def sum(self, rows: Indices, weights: Floats) -> Floats:
        total = np.zeros(self._width)
        for i in range(0, len(rows), BLOCK):
            part = slice(i, i + BLOCK)
            total += weights[part] @ self.of(rows[part]).astype(np.float64)
        return total


def _numbers(cells: VectorLike, N: int) -> Indices:
    array = arrays.vector("cells", cells)
    if array.shape != (N,):
        raise ValueError(f"cells: expected shape ({N},), got {array.shape}")
    if array.dtype.kind not in "iu":
        raise TypeError(f"cells: expected integers, got {array.dtype}")
    return np.unique(array, return_inverse=True)[1].astype(np.int64)
