"""Whether some rows that constraints allow can span the numerical range of Z."""

from __future__ import annotations

import numpy as np

from .._support.types import Floats, Indices
from ..pool.inverses import rounding_of_moments
from ..pool.pool import Whitened
from ..sketch.operators import Gaussian
from .constraints import Constraints

ROWS_AT_ONCE = 8192


def none_spans(W: Whitened, constraints: Constraints) -> bool:
    """Whether all rows that a selection may have are orthogonal to one direction v, to rounding:
    |⟨w, v⟩| is at most the error of w, or √ε_1 ‖w‖ with ε_1 = `rounding_of_moments` for k = 1.

    Then vᵀM_Sv <= ε_1 Σ_S ‖w‖² <= k ε_1 λ_max(M_S) for M_S = W_SᵀW_S of any rows S of them, which
    is thus singular to rounding. The v that is tried is the eigenvector of least eigenvalue of
    Σ uuᵀ over the rows u = w/‖w‖: so long rows drown no short ones.
    """
    rows, here = _allowed(constraints), constraints.here
    blocks = [rows[i : i + ROWS_AT_ONCE] for i in range(0, len(rows), ROWS_AT_ONCE)]
    M = np.zeros((W.rank, W.rank))
    for block in blocks:
        u, _ = unit_rows(W, block)
        M += u.T @ u
    v = here.agreed(np.linalg.eigh(here.summed(M))[1][:, 0])
    spanned = False
    for block in blocks:
        u, error = unit_rows(W, block)
        least = np.maximum(error, np.sqrt(rounding_of_moments(1, W.error)))
        spanned = bool((np.abs(u @ v) > least).any())
        if spanned:
            break
    return here.largest(float(spanned)) == 0.0


def none_spans_by_counts(W: Whitened, constraints: Constraints, seed: int) -> bool:
    """Whether no selection spans because groups of rows that span little have large counts.

    By Rado's theorem the largest rank of a selection is min over sets G of groups of
    rank(rows of G) + counts of the other groups, where a row of include is a group of its own. As
    many Gaussian combinations of the rows of each group as its count have this rank too, almost
    surely. A least singular value that is no more than their error says that they do not span; what
    is a little above it says nothing.
    """
    here = constraints.here
    fixed, errors = unit_rows(W, here.of(constraints.include))
    parts, error = [here.concatenated(fixed)], float(errors.max(initial=0.0))
    for g, group in enumerate(constraints.groups):
        if group.count == 0:
            continue
        rows, count = constraints.free[group.part], min(group.count, W.rank)
        weights = Gaussian(group.size, count, seed=(seed + g) % 2**64)
        before = int(here.before(np.array([float(len(rows))]))[0])
        combined = np.zeros((count, W.rank))
        for first in range(0, len(rows), ROWS_AT_ONCE):
            last = min(first + ROWS_AT_ONCE, len(rows))
            u, errors = unit_rows(W, rows[first:last])
            combined += weights.toarray(before + first, before + last).T @ u
            error = max(error, float(errors.max()))
        parts.append(here.summed(combined) * np.sqrt(count / group.size))
    G = np.concatenate(parts)
    if len(G) < W.rank:
        return True
    least = float(np.linalg.svd(G, compute_uv=False)[-1])
    not_spanned = float(least <= 2 * np.sqrt(len(G)) * here.largest(error))
    return bool(here.agreed(np.array(not_spanned)))


def unit_rows(W: Whitened, rows: Indices) -> tuple[Floats, Floats]:
    """(n, k) w/‖w‖ for these of the rows here, zeros where w is no longer than its error; and (n,)
    the errors of the unit rows."""
    a = W.A.own(rows).astype(np.float64)
    w = a @ W.B
    length, error = np.linalg.norm(w, axis=1), W.error_of_rows * np.linalg.norm(a, axis=1)
    known = length > error
    divisor = np.where(known, length, 1.0)
    return np.where(known, w.T / divisor, 0.0).T, np.where(known, error / divisor, 0.0)


def _allowed(constraints: Constraints) -> Indices:
    """The rows here that some selection has."""
    free = [constraints.free[g.part] for g in constraints.groups if g.count > 0]
    return np.concatenate([constraints.here.of(constraints.include), *free])
