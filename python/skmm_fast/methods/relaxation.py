"""The convex relaxation of V-optimal selection: a certified bound, and inclusion probabilities.

minimise f(s) = tr((Wᵀ diag(s) W)⁻¹) over 0 <= s <= 1/n, Σ s = 1 (and its counts in each group).
Every n rows are such an s, with f = tr(Σ̃ Σ̃_S⁻¹) (SkMM, arXiv 2407.06120, equation 3).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .. import _core
from .._support.progress import Tick
from .._support.rows_here import RowsHere
from .._support.types import Floats, Indices
from ..pool.inverses import inverse_root, rounding_of_moments
from ..pool.pool import Pool, Whitened
from .constraints import Constraints, FreeGroup
from .cost import Speed
from .spanning import none_spans

TOL = 5e-3
MAX_ROUNDS = 30  # evaluations over all rows
MAX_STEPS = 100  # projected gradient steps of a round
USUAL_ROUNDS, USUAL_STEPS = 3, 5  # the numbers that most pools need
# The number of rows of a group that join a round: a multiple of the group's count, plus a constant.
CANDIDATES_PER_ROW, CANDIDATES_MORE = 4, 1000


@dataclass(frozen=True)
class Relaxation:
    """A solution of the relaxation, and the certificate that it carries."""

    s: Floats  # (N,)
    value: float  # f(s)
    lower_bound: float  # f is nowhere less, nor is tr(Σ̃ Σ̃_S⁻¹) of any rows S that are allowed
    n_rounds: int  # evaluations over all rows
    tol: float  # the relative gap that was asked for


def candidates(n_rows: int, n: int) -> int:
    """About how many rows a round runs on."""
    return min(n_rows, 2 * (CANDIDATES_PER_ROW * n + CANDIDATES_MORE))


def products(n_rows: int, m: int, n: int) -> float:
    """About how many multiplications and additions the products of the relaxation take. A step
    takes a second moment of the candidates, and norms, which are twice as much."""
    joined = USUAL_STEPS * 3 * candidates(n_rows, n)
    return USUAL_ROUNDS * (2 * n_rows + joined) * m * m


def seconds(n_rows: int, m: int, n: int, speed: Speed) -> float:
    """About how long the relaxation takes: products, of which second moments are slower than the
    norms that were timed; inverses of (m, m); and vectors."""
    inverses = USUAL_ROUNDS * (USUAL_STEPS + 1) * 10 * m**3
    vectors = USUAL_ROUNDS * (n_rows + USUAL_STEPS * candidates(n_rows, n)) * speed.row
    return (1.6 * products(n_rows, m, n) + inverses) / speed.flops + vectors


def lower_bound(pool: Pool, n: int, tick: Tick = None) -> float:
    """A lower bound of tr(Σ̃ Σ̃_S⁻¹) over all sets of n rows."""
    free = Constraints(len(pool.Z), [n], None, np.empty(0, np.int64), pool.Z.ranks)
    return relax(pool, free, TOL, tick).lower_bound


def relax(pool: Pool, constraints: Constraints, tol: float = TOL, tick: Tick = None) -> Relaxation:
    """Solve for s with f(s) - min f <= tol f(s), in MAX_ROUNDS rounds at most. Calls tick(k) after
    k evaluations of f.

    The bound: f(s') >= (tr C)² / Σ_i s'_i ‖Cw_i‖² for all s' and any symmetric C, by the
    inequality of Cauchy and Schwarz for M^(-1/2) and M^(1/2) C, M = Wᵀ diag(s') W. So it needs no
    exact inverse; at the best s it is tight with C = (Wᵀ diag(s) W)⁻¹, for which
    ∇f(s)_i = -‖Cw_i‖². A round evaluates it for all rows; then projected gradient with
    Barzilai-Borwein steps (SPG: Birgin, Martínez and Raydan, 2000) runs on the rows where s > 0 and
    those of largest ‖Cw_i‖². The first s is uniform. The bound is infinite where n rows cannot span
    Z, or all rows that are allowed do not.
    """
    W, n, threads = pool.W, constraints.n, pool.n_threads
    include, free, groups, here = (
        constraints.include, constraints.free_rows, constraints.groups, constraints.here
    )  # fmt: skip
    fixed = W.rows(include)
    M_fixed = fixed.T @ fixed / n
    s = np.zeros(len(free.rows))
    for g in groups:
        s[g.part] = g.count / n / max(g.size, 1)
    whole = np.zeros(here.count)

    def put(s: Floats) -> Floats:
        whole[here.of(include)] = 1 / n
        whole[free.rows] = s
        return whole

    def most(x: Floats, slack: float) -> float:
        """max Σ_i s_i x_i over the feasible s, exceeded by slack at most."""
        of_include = here.concatenated(x[here.of(include)])
        of_free = _core.support(x[free.rows], free, 1 / n, slack, threads)
        return float(of_include.sum()) / n + of_free

    steps = itertools.count(1)

    def evaluated() -> None:
        if tick is not None:
            tick(next(steps))

    C, regular = _inverse(W, here, W.A.second_moment(put(s), threads))
    if not regular and none_spans(W.plain or W, constraints):
        return Relaxation(whole, np.inf, np.inf, 0, tol)
    norms = W.A.square_dots(np.ones(W.A.shape[1]), threads)
    longest = here.largest(float(norms.max(initial=0.0)))
    norm = np.sqrt(most(norms, 0.01 * longest / n))
    n_rounds, best = 0, 0.0
    while n_rounds < MAX_ROUNDS:
        n_rounds += 1
        f, q = float(np.trace(C)), W.A.row_norms(W.B @ C, threads)
        evaluated()
        # √(Σ s_i ‖Cw_i‖²) is a norm, so that errors of the rows add to it at most.
        length = np.sqrt(most(q, min(1e-4, tol / 10) * f)) + norm * W.error_of_products(C)
        best = max(best, float(here.agreed(np.array((f / float(length)) ** 2))))
        q = q[free.rows]
        if f - best <= tol * f or all(g.count in (0, g.size) for g in groups) or not regular:
            break
        active = _active(s, q, groups, here)
        gap = max(tol / 4, (f - best) / f / 10)
        while True:
            among = constraints.among(active)
            W_active = replace(W, A=W.A.take(among.free))
            s_active, C_next = _descend(
                W_active, s[active], M_fixed, among, gap, threads, evaluated
            )
            if C_next is not None or sum(among.free_rows.sizes) == sum(free.sizes):
                break
            active = np.arange(len(s))  # the candidates do not span Z
        if C_next is None or (n_rounds > 1 and np.trace(C_next) > f * (1 - 1e-12)):
            break
        s[:] = 0.0
        s[active] = s_active
        C = C_next
    # Sums of positive numbers are good to 1e-9, whatever their number.
    bound = best * max(0.0, 1 - 1e-9 - W.error_of_moment) if n >= W.rank else np.inf
    return Relaxation(put(s).copy(), float(np.trace(C)), bound, n_rounds, tol)


def _active(s: Floats, q: Floats, groups: list[FreeGroup], here: RowsHere) -> Indices:
    """The free rows here that join a round, ascending: those of largest q, and those of positive s.
    Where s is uniform, evenly spaced rows stand for the latter."""
    joins, few = np.zeros(len(s), np.bool_), []
    for g in groups:
        wanted = CANDIDATES_PER_ROW * g.count + CANDIDATES_MORE
        if g.count > 0 and 2 * wanted >= g.size:
            joins[g.part] = True
        elif g.count > 0:
            few.append((g, wanted))
    if not few:
        return np.flatnonzero(joins)
    least = here.nth_largest([(q[g.part], wanted) for g, wanted in few])
    positive = [s[g.part] > 0 for g, _ in few]
    above = [q[g.part] > x for (g, _), x in zip(few, least, strict=True)]
    ties = [np.flatnonzero(q[g.part] == x) for (g, _), x in zip(few, least, strict=True)]
    sizes = [
        [p.sum(), len(p), a.sum(), len(t)] for p, a, t in zip(positive, above, ties, strict=True)
    ]
    counts = np.array(sizes, np.float64)
    of_all, before = here.summed(counts), here.before(counts)
    for i, (g, wanted) in enumerate(few):
        also = positive[i]
        if of_all[i, 0] == g.size:
            place = int(before[i, 1]) + np.arange(len(also))
            also = place % (g.size // wanted) == 0
        also = also | above[i]
        also[ties[i][: max(0, int(wanted - of_all[i, 2] - before[i, 3]))]] = True
        joins[g.part] = also
    return np.flatnonzero(joins)


def _inverse(
    W: Whitened, here: RowsHere, moment: Floats, fixed: Floats | None = None
) -> tuple[Floats, bool]:
    """(fixed + BᵀAB)⁻¹ for the moment A = Σ_i s_i a_i a_iᵀ, and whether it is known to be regular:
    A has an error in proportion to its trace, which B enlarges."""
    M = W.B.T @ moment @ W.B
    if fixed is not None:
        M += fixed
    enlarged = float(np.trace(moment)) * W.norm_of_B**2
    error = rounding_of_moments(1) * max(enlarged, float(np.trace(M)))
    R, regular = inverse_root(M, error)
    C = here.agreed(np.append(R @ R.T, float(regular)))
    return C[:-1].reshape(M.shape), bool(C[-1])


def _descend(
    W: Whitened,
    s: Floats,
    M_fixed: Floats,
    constraints: Constraints,
    gap: float,
    threads: int,
    evaluated: Callable[[], None],
) -> tuple[Floats, Floats | None]:
    """A point s with f(s) within gap·f(s) of its minimum over these rows, and C at s, which is None
    where Wᵀ diag(s) W is not known to be regular. Calls evaluated() after each evaluation."""
    free, here, cap = constraints.free_rows, constraints.here, 1 / constraints.n
    strips = free.strips

    def evaluate(s: Floats) -> tuple[float, Floats, Floats | None]:
        C, regular = _inverse(W, here, W.A.second_moment(s, threads, strips), M_fixed)
        if not regular:
            return np.inf, s, None  # the line search turns back from here
        grad = -W.A.row_norms(W.B @ C, threads)
        evaluated()
        return float(np.trace(C)), grad, C

    def inner(a: Floats, b: Floats) -> float:
        return _core.inner(a, b, strips, threads)

    s = _core.project(s, free, cap, threads)
    f, grad, C = evaluate(s)
    if C is None:
        return s, None
    steepest = here.largest(float(np.abs(grad).max(initial=0.0)))
    step, recent = 1 / (sum(free.sizes) * steepest), [f]
    for _ in range(MAX_STEPS):
        least = -_core.support(-grad, free, cap, 1e-2 * gap * f, threads)
        if inner(grad, s) - least <= gap * f:
            break
        d = _core.project(s - step * grad, free, cap, threads) - s
        slope, t = inner(grad, d), 1.0
        while True:  # non-monotone Armijo rule
            f_next, grad_next, C_next = evaluate(s + t * d)
            if f_next <= max(recent[-10:]) + 1e-4 * t * slope or t < 1e-10:
                break
            t /= 2
        if C_next is None:
            break
        change = t * d
        curvature = inner(change, grad_next - grad)
        step = inner(change, change) / curvature if curvature > 0 else 2 * step
        s, f, grad, C = s + change, f_next, grad_next, C_next
        recent.append(f)
    return s, C
