"""Selections under constraints: random ones, what they must hold, and their best relaxation."""

import numpy as np
from hypothesis import strategies as st
from scipy.optimize import minimize

from skmm_fast.methods.constraints import class_counts, constraints_of
from skmm_fast.methods.labels import labels_of

from .reference import moment_terms, whitened


def constraints(n_rows, n, y=None, per_class=None, include=None, exclude=None):
    labels = None if y is None else labels_of(y, n_rows)
    return constraints_of(n_rows, n, labels, per_class, include, exclude)


def group_of(allowed):
    """(N,) the group of each row, -1 where it is never chosen."""
    return np.zeros(allowed.n_rows, int) if allowed.group is None else allowed.group


def trace(W, s):
    """tr((Wᵀ diag(s) W)⁻¹)."""
    return np.trace(np.linalg.inv(W.T @ (s[:, None] * W)))


def box(allowed):
    """The relaxed selections: least and largest s, membership (groups, N), sums of the groups."""
    n, group = allowed.n, group_of(allowed)
    least, most = np.zeros(len(group)), np.where(group < 0, 0.0, 1 / n)
    least[allowed.include] = 1 / n
    in_group = np.array([group == g for g in range(len(allowed.counts))], float)
    return least, most, in_group, np.array(allowed.counts) / n


def slsqp(Z, allowed):
    """min tr((Wᵀ diag(s) W)⁻¹) over the relaxed selections."""
    W, (least, most, in_group, share) = whitened(Z), box(allowed)
    found = minimize(
        lambda s: trace(W, s),
        in_group.T @ (share / in_group.sum(axis=1)),
        jac=lambda s: -((W @ np.linalg.inv(W.T @ (s[:, None] * W))) ** 2).sum(axis=1),
        bounds=list(zip(least, most, strict=True)),
        constraints={
            "type": "eq", "fun": lambda s: in_group @ s - share, "jac": lambda s: in_group
        },
        options={"maxiter": 500, "ftol": 1e-12},
    )  # fmt: skip
    # 8: a line search finds no lower value, which at an optimum may be rounding (SciPy 1.10).
    assert found.success or found.status == 8, found.message
    return found.fun


def least_mismatch(Z, c_s, weighting, allowed):
    """min φ over the relaxed selections, by SLSQP in slack form and in units of the targets:
    φ = Σ w_j u_j² with u_j >= (λ_j/c_s - Σ s_i a_ij) c_s / λ_j, u >= 0. The value is that of a
    feasible s, so it is not below the minimum."""
    target, A, w = moment_terms(Z, c_s, weighting)
    keep = target * c_s > 1e-13 * target.max()
    target, A, w = target[keep], A[:, keep] / target[keep], w[keep] * target[keep] ** 2
    least, most, in_group, share = box(allowed)
    N, k, scale = len(Z), len(w), w.sum()
    s = in_group.T @ (share / in_group.sum(axis=1))
    found = minimize(
        lambda x: w @ x[N:] ** 2 / scale,
        np.concatenate([s, np.maximum(1 - s @ A, 0)]),
        jac=lambda x: np.concatenate([np.zeros(N), 2 * w * x[N:] / scale]),
        bounds=[*zip(least, most, strict=True), *[(0, None)] * k],
        constraints=[
            {
                "type": "eq",
                "fun": lambda x: in_group @ x[:N] - share,
                "jac": lambda x: np.hstack([in_group, np.zeros((len(share), k))]),
            },
            {
                "type": "ineq",
                "fun": lambda x: x[N:] + x[:N] @ A - 1,
                "jac": lambda x: np.hstack([A.T, np.eye(k)]),
            },
        ],
        options={"maxiter": 1000, "ftol": 1e-15},
    )
    s = np.clip(found.x[:N], least, most)
    assert np.abs(in_group @ s - share).max() < 1e-6, found.message
    return float(w @ np.maximum(1 - s @ A, 0) ** 2)


@st.composite
def problems(draw, kinds=(None, "proportional", "balanced", "counts")):
    """(Z, y, n, per_class, include, exclude, counts of the classes) that can be met. Of the kinds
    of per_class, "counts" is a mapping."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    N, n_classes = draw(st.integers(6, 60)), draw(st.integers(1, 4))
    Z = rng.standard_t(3, size=(N, draw(st.integers(1, 5))))
    y = np.append(np.arange(n_classes), rng.integers(0, n_classes, N - n_classes) ** 2 // n_classes)
    y = np.array(["ant", "bee", "cat", "dog"])[rng.permutation(y)]
    names = np.unique(y).tolist()
    n = draw(st.integers(len(names), N))
    rows = rng.permutation(N)
    per_class = draw(st.sampled_from(kinds))
    exclude = rows[n:][: draw(st.integers(0, N - n))]
    left = np.setdiff1d(rows, exclude)
    sizes = {c: int((y[left] == c).sum()) for c in names}
    counts = dict.fromkeys(names, 0)
    if per_class == "counts":
        counts = {c: int((y[rows[:n]] == c).sum()) for c in names}
        per_class = {c: k for c, k in counts.items() if k or rng.random() < 0.5}
    elif per_class is not None:
        given_counts = class_counts(per_class, names, np.array(list(sizes.values())), n)
        counts = dict(zip(names, given_counts, strict=True))
    include = []
    if per_class is None:
        include = rows[:n][: draw(st.integers(0, n))]
    else:
        for c in names:
            include += left[y[left] == c][: draw(st.integers(0, counts[c]))].tolist()
    return Z, y, n, per_class, include, exclude, counts


def check(rows, problem):
    Z, y, n, per_class, include, exclude, counts = problem
    assert rows.dtype == np.int64
    assert len(rows) == n
    assert np.all(np.diff(rows) > 0)
    assert rows[0] >= 0
    assert rows[-1] < len(Z)
    assert set(include) <= set(rows)
    assert not set(exclude) & set(rows)
    if per_class is not None:
        assert {c: int((y[rows] == c).sum()) for c in counts} == counts
