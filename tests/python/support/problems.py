"""Selections under constraints: random ones, what they must hold, and their best relaxation."""

import numpy as np
from hypothesis import strategies as st
from scipy.optimize import minimize

from skmm_fast.methods.constraints import class_counts, constraints_of, labels_of

from .reference import whitened


def constraints(n_rows, n, y=None, per_class=None, include=None, exclude=None):
    labels = None if y is None else labels_of(y, n_rows)
    return constraints_of(n_rows, n, labels, per_class, include, exclude)


def group_of(allowed):
    """(N,) the group of each row, -1 where it is never chosen."""
    return np.zeros(allowed.n_rows, int) if allowed.group is None else allowed.group


def trace(W, s):
    """tr((Wᵀ diag(s) W)⁻¹)."""
    return np.trace(np.linalg.inv(W.T @ (s[:, None] * W)))


def slsqp(Z, allowed):
    """min tr((Wᵀ diag(s) W)⁻¹): 1/n on include, 0 on excluded rows, the sum of every group."""
    W, n, group = whitened(Z), allowed.n, group_of(allowed)
    least, most = np.zeros(len(Z)), np.where(group < 0, 0.0, 1 / n)
    least[allowed.include] = 1 / n
    in_group = np.array([group == g for g in range(len(allowed.counts))], float)
    share = np.array(allowed.counts) / n
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
    assert found.success, found.message
    return found.fun


@st.composite
def problems(draw):
    """(Z, y, n, per_class, include, exclude, counts of the classes) that can be met."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    N, n_classes = draw(st.integers(6, 60)), draw(st.integers(1, 4))
    Z = rng.standard_t(3, size=(N, draw(st.integers(1, 5))))
    y = np.append(np.arange(n_classes), rng.integers(0, n_classes, N - n_classes) ** 2 // n_classes)
    y = np.array(["ant", "bee", "cat", "dog"])[rng.permutation(y)]
    names = np.unique(y).tolist()
    n = draw(st.integers(len(names), N))
    rows = rng.permutation(N)
    per_class = draw(st.sampled_from([None, "proportional", "balanced", "counts"]))
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
