"""Naive definitions of the baselines, one loop each, in float64; rows in the order of choice."""

from itertools import pairwise

import numpy as np
from scipy.optimize import nnls


def herding(Z, n):
    """The row that brings the sum of those chosen nearest to as many means."""
    Z = Z.astype(float)
    rows, total = [], 0
    for t in range(n):
        far = np.square((t + 1) * Z.mean(axis=0) - total - Z).sum(axis=1)
        far[rows] = np.inf
        rows.append(int(far.argmin()))
        total = total + Z[rows[-1]]
    return rows


def farthest_first(distances, first, n):
    """From `first` on, the row farthest from its nearest chosen one; distances(i) is (N,)."""
    rows, nearest = [first], distances(first)
    while len(rows) < n:
        left = nearest.copy()
        left[rows] = -np.inf
        rows.append(int(left.argmax()))
        nearest = np.minimum(nearest, distances(rows[-1]))
    return rows


def euclidean(Z):
    Z = Z.astype(float)
    return lambda i: np.square(Z - Z[i]).sum(axis=1)


def symmetric_kl(P):
    P = P.astype(float)
    return lambda i: ((P - P[i]) * (np.log(P) - np.log(P[i]))).sum(axis=1)


def glister(Z, n, V, eta=None):
    """Largest product with the mean validation gradient, which each choice moves."""
    Z, V = Z.astype(float), V.astype(float)
    M, v, rows = V.T @ V / len(V), V.mean(axis=0), []
    if eta is None:
        eta = 1 / np.linalg.eigvalsh(M)[-1]
    for _ in range(n):
        gain = Z @ v
        gain[rows] = -np.inf
        rows.append(int(gain.argmax()))
        v = v - eta / n * M @ Z[rows[-1]]
    return rows


def cosine(a, b):
    """0 where one of them is 0."""
    a, b = a.astype(float), b.astype(float)
    length = np.linalg.norm(a) * np.linalg.norm(b)
    return a @ b / length if length > 0 else 0.0


def less(pools, tasks, rates):
    """The largest influence on a task: pools[k] and tasks[k][t] are gradients at checkpoint k."""

    def influence(i, t):
        return sum(
            rate * cosine(Z[i], of_tasks[t].astype(float).mean(axis=0))
            for Z, of_tasks, rate in zip(pools, tasks, rates, strict=True)
        )

    return np.array(
        [max(influence(i, t) for t in range(len(tasks[0]))) for i in range(len(pools[0]))]
    )


def rds(Z, tasks, n, open_to=lambda rows, i: True):
    """The rows of the tasks in turn take their nearest rows, of those i that are open to `rows`."""
    rows = []
    for turn in range(n):
        for task in tasks:
            near = task[turn % len(task)]
            if len(rows) < n:
                left = [i for i in range(len(Z)) if i not in rows and open_to(rows, i)]
                rows.append(max(left, key=lambda i: cosine(Z[i], near)))
    return rows


def grad_match(Z, n, goal, ridge=0.5, rows=(), open_to=lambda rows, i: True):
    """Orthogonal matching pursuit of a gradient from `rows` on, of those i that are open to the
    rows picked, and its weights; fewer rows where no product is positive."""
    Z, rows = Z.astype(float), list(rows)
    rho = ridge * np.square(Z).sum(axis=1).mean()

    def fit():
        A = np.vstack([Z[rows].T, np.sqrt(rho) * np.eye(len(rows))])
        return nnls(A, np.append(goal, np.zeros(len(rows))))[0] if rows else np.zeros(0)

    while len(rows) < n:
        products = Z @ (goal - Z[rows].T @ fit())
        left = [i for i in range(len(Z)) if i not in rows and open_to(rows, i)]
        best = max(left, key=lambda i: products[i])
        if products[best] <= 0:
            break
        rows.append(best)
    return rows, fit()


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def entropy(P):
    return np.array([-sum(p * np.log(p) for p in row if p > 0) for row in P])


def margin(P):
    return np.array([1 - (sorted(row)[-1] - sorted(row)[-2]) for row in P])


def least_confidence(P):
    return np.array([1 - max(row) for row in P])


def el2n(P, y):
    return np.array([np.linalg.norm(P[i] - np.eye(P.shape[1])[y[i]]) for i in range(len(P))])


def forgetting(record):
    """Times from right to wrong; infinite for samples never right."""
    found = []
    for sample in record.T:
        events = sum(bool(a and not b) for a, b in pairwise(sample))
        found.append(events if sample.any() else np.inf)
    return np.array(found, float)


def smallest_change(f, head, n_angles=1500):
    """Norm of the smallest move of two features that changes the class of each row of the (N, C)
    logits f: along rays, by bisection, the class of a linear head being convex."""
    angle = np.linspace(0, 2 * np.pi, n_angles, endpoint=False)
    slope = np.stack([np.cos(angle), np.sin(angle)], axis=1) @ head.T  # (angles, C)
    least = []
    for row in f:
        lo, hi = np.zeros(n_angles), np.full(n_angles, 1e3)
        for _ in range(45):
            mid = (lo + hi) / 2
            same = (row + mid[:, None] * slope).argmax(axis=1) == row.argmax()
            lo, hi = np.where(same, mid, lo), np.where(same, hi, mid)
        least.append(hi.min())
    return np.array(least)


def truncated_leverage(Z, rank):
    """Diagonal of the hat matrix of the best approximation of that rank."""
    U, s, Vt = np.linalg.svd(Z.astype(float), full_matrices=False)
    near = (U[:, :rank] * s[:rank]) @ Vt[:rank]
    return np.diag(near @ np.linalg.pinv(near, rcond=1e-10))


def ridge_leverage(Z, ridge):
    Z = Z.astype(float)
    return np.diag(Z @ np.linalg.inv(Z.T @ Z + ridge * np.eye(Z.shape[1])) @ Z.T)


def inclusion_probabilities(scores, n):
    """Proportional to the scores, except that none is above 1; they sum to n."""
    p = np.zeros(len(scores))
    capped = np.zeros(len(scores), bool)
    while True:
        p[capped] = 1
        p[~capped] = (n - capped.sum()) * scores[~capped] / scores[~capped].sum()
        if p.max() <= 1 + 1e-12:
            return p
        capped |= p > 1


def adaptive_probabilities(Z, n):
    """Of every set of n rows, as a dict: each pick in proportion to squared residuals after those
    before it; where these vanish it begins anew with the rows left."""
    Z, found = Z.astype(float), {}

    def residuals(span):
        if not span:
            return np.square(Z).sum(axis=1)
        Q = np.linalg.qr(Z[span].T)[0]
        return np.square(Z - Z @ Q @ Q.T).sum(axis=1)

    def pick(rows, span, p):
        if len(rows) == n:
            found[frozenset(rows)] = found.get(frozenset(rows), 0) + p
            return
        weight = residuals(span)
        weight[rows] = 0
        if weight.max() < 1e-9 * np.square(Z).sum():
            span, weight = [], residuals([])
            weight[rows] = 0
        for i in np.flatnonzero(weight > 1e-9 * weight.max()).tolist():
            pick([*rows, i], [*span, i], p * weight[i] / weight.sum())

    pick([], [], 1.0)
    return found
