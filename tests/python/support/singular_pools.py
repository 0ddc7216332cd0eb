"""Small pools that hardly span, or do not, and what any selection from them may say of itself. The
references are in exact arithmetic."""

import warnings
from fractions import Fraction
from itertools import combinations

import numpy as np

import skmm_fast as skmm
from skmm_fast.pool.pool import Pool

# An optimum above this is that of rows that are singular to rounding: 1/(16 k ε) is 9e13 for k = 3.
SINGULAR = 1e13
KINDS = ("whole numbers", "near singular", "copies", "long row", "zeros", "coordinates", "lengths")


def fractions(A):
    return [[Fraction(float(x)) for x in row] for row in A]


def product(A, B):
    columns = list(zip(*B, strict=True))
    return [[sum(a * b for a, b in zip(row, c, strict=True)) for c in columns] for row in A]


def moment(rows):
    return product(list(zip(*rows, strict=True)), rows)


def solved(M, B):
    """(rank of M, M⁻¹B or None) by elimination."""
    k = len(M)
    A, rank = [[*m, *b] for m, b in zip(M, B, strict=True)], 0
    for j in range(k):
        pivot = next((i for i in range(rank, k) if A[i][j] != 0), None)
        if pivot is None:
            continue
        A[rank], A[pivot] = A[pivot], A[rank]
        A[rank] = [x / A[rank][j] for x in A[rank]]
        for i in range(k):
            if i != rank and A[i][j] != 0:
                by = A[i][j]
                A[i] = [x - by * y for x, y in zip(A[i], A[rank], strict=True)]
        rank += 1
    return rank, [row[k:] for row in A] if rank == k else None


def exact_optimum(D, Z, sets):
    """min tr((DᵀΣD) (DᵀΣ_S D)⁻¹) over sets S of rows; infinite where no set spans."""
    W = product(fractions(Z), fractions(D))
    whole, best = moment(W), np.inf
    for S in sets:
        inverse = solved(moment([W[i] for i in S]), whole)[1]
        if inverse is not None:
            trace = sum(row[i] for i, row in enumerate(inverse))
            best = min(best, trace * len(S) / len(Z))
    return best


def spanning_pool(rng):
    """A pool of up to 6 rows and 3 columns."""
    N, m, kind = rng.integers(3, 7), rng.integers(1, 4), rng.choice(KINDS)
    Z = rng.standard_normal((N, m))
    if kind == "whole numbers":
        r = rng.integers(1, m + 1)
        Z = (rng.integers(-3, 4, (N, r)) @ rng.integers(-3, 4, (r, m))).astype(float)
    elif kind == "near singular":
        Z[:, -1] *= 10.0 ** -rng.integers(1, 17)
        Z = Z @ np.linalg.qr(rng.standard_normal((m, m)))[0]
    elif kind == "copies":
        Z = Z[rng.integers(0, (N + 1) // 2, N)]
    elif kind == "long row":
        Z[rng.integers(N)] *= 10.0 ** rng.integers(1, 12)
    elif kind == "zeros":
        Z[rng.random(N) < 0.5] = 0
    elif kind == "coordinates":
        Z *= rng.random((N, m)) < 0.4
    else:
        Z *= 10.0 ** rng.integers(-8, 9, (N, 1))
    Z[0, 0] = Z[0, 0] or 1.0
    dtype, most = (np.float32, 20) if rng.random() < 0.4 else (np.float64, 60)
    return np.ascontiguousarray(Z * 10.0 ** rng.integers(-most, most + 1)).astype(dtype)


def constraints_for(rng, N, n):
    """Constraints that some n of N rows meet."""
    rows, kind = rng.permutation(N), rng.integers(4)
    if kind == 0:
        return {}
    if kind == 1:
        return {"include": rows[: rng.integers(n + 1)], "exclude": rows[n:][: rng.integers(N)]}
    y = rng.integers(0, 3, N)
    counts = {int(c): int((y[rows[:n]] == c).sum()) for c in np.unique(y)}
    include = rows[: rng.integers(n + 1)] if kind == 3 else []
    return {"y": y, "per_class": counts, "include": include}


def sets_allowed(N, n, y=None, per_class=None, include=(), exclude=()):
    for S in combinations(range(N), n):
        counted = per_class is None or all(
            (y[list(S)] == c).sum() == k for c, k in per_class.items()
        )
        if counted and set(include) <= set(S) and not set(exclude) & set(S):
            yield S


def faults(seed):
    """What is wrong with what the package says of one pool: a list of sentences."""
    rng = np.random.default_rng(seed)
    Z = spanning_pool(rng)
    N = len(Z)
    n = int(rng.integers(1, N + 1))
    allowed = constraints_for(rng, N, n)
    pool, found = Pool.of(Z), []
    D = pool.W.D
    if solved(moment(fractions(Z)), moment(fractions(Z)))[0] != D.shape[1]:
        return []  # some directions of Z are below rounding: the exact Σ̃ is another one
    every = list(combinations(range(N), n))
    sets = list(sets_allowed(N, n, **allowed))

    def judge(name, bound, sets):
        best = exact_optimum(D, Z, sets)
        if not bound >= 0 or bound > (best if bound < np.inf or best < SINGULAR else np.inf):
            found.append(f"{name}: bound {bound}, optimum {float(best)}")
        elif best == np.inf and bound < np.inf:
            found.append(f"{name}: bound {bound} where no rows span")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for route in ("greedy", "relaxation"):
            chosen = skmm.v_optimal(Z, n, route=route, **allowed)
            judge(route, chosen.lower_bound, sets)
            if tuple(chosen.indices.tolist()) not in sets or not np.isfinite(chosen.objective):
                found.append(f"{route}: {chosen}")
        diagnosis = skmm.diagnose(Z, chosen.indices)
        judge("diagnose", diagnosis.lower_bound, every)
        figures = diagnosis.v_optimality, diagnosis.c_s, diagnosis.spectral
        if not min(figures) > 0 or len(set(np.isfinite(figures))) > 1:
            found.append(f"diagnose: {figures}")
        fit = skmm.match_moments(Z, n, c_s=1.0, init="uniform", max_iter=5, **allowed)
        if not (np.isfinite(fit.gap) and np.isfinite(fit.s).all() and np.isfinite(fit.gamma).all()):
            found.append(f"match_moments: {fit}")
        target = Z[:2] + np.abs(Z).max() * 10.0 ** -rng.integers(14) * rng.random(Z[:2].shape)
        options = {"target": target.astype(Z.dtype), "sketch_dim": Z.shape[1], **allowed}
        facts = skmm.select(Z, n, method="v-optimal", **options).settings["solver"]
        if not float(facts["target_lower_bound"]) >= 0:
            found.append(f"target: {facts}")
        for method, more in (("auto", {}), ("grad-match", {"ridge": 10.0 ** -rng.integers(30)})):
            said = skmm.select(Z, n, method=method, **more, **options).diagnosis
            if not (np.isfinite(said.mean_error) and said.mean_error >= 0):
                found.append(f"{method}: {said}")
    return found
