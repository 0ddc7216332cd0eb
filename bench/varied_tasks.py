"""Tasks for `compare.py`: every data set of `real_data` in every variant of `variants`.

A linear head on features, new or with knowledge of some rows, gives the gradients; a head is then
trained from scratch on the chosen rows. Regularisation was chosen on other splits, with uniform
rows, and is the same for all methods.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge

import skmm_fast as skmm
from compare import Task
from linear_head import (
    CLASSIFICATION,
    REGRESSION,
    drawn_classes,
    less_one_hot,
    new_head,
    outer,
    proxy,
    score_of_classes,
    score_of_targets,
    softmax,
)
from real_data import DATA
from real_tasks import Setting
from variants import VARIANTS, Problem, problem

COUNTS, SEEDS = (100, 200, 400), 5
C, RATE = 100.0, 20.0  # of classes: ‖W‖² / 2C beside the sum of the losses; the proxy's steps
DENSE, SKETCHED = 50_000, 512  # gradients of more than DENSE parameters are sketched


class Head(NamedTuple):
    """What differs between data sets."""

    alpha: float = 0.1  # of targets: alpha ‖w‖² beside the sum of the squares
    rare: float | None = None  # the share of the last class, thinned to it


HEADS = {name: Head() for name in DATA} | {
    "foods": Head(rare=0.1),
    "titles": Head(alpha=1),
    "snippets": Head(alpha=1),
}


def task(name: str, variant: str, seed: int) -> Task:
    X, y = DATA[name]()
    given = problem(X, y, variant, seed, HEADS[name].rare)
    if given.n_classes is None:
        return regression(f"{name}/{variant}", given, HEADS[name].alpha, seed)
    return classification(f"{name}/{variant}", given, given.n_classes, seed)


def classification(name: str, given: Problem, n_classes: int, seed: int) -> Task:
    X, y = given.X, given.y
    rng = np.random.default_rng([seed, 2])
    W = new_head(X.shape[1], n_classes, rng)
    if given.fitted is not None:
        W = with_known(W, *given.fitted)
    P = softmax(X @ W)

    def score(rows: np.ndarray, _: int, weights: np.ndarray | None = None) -> dict[str, float]:
        return score_of_classes(X[rows], y[rows], given.X_test, given.y_test, C, weights)

    return Task(
        name,
        CLASSIFICATION,
        {
            "labels": gradients(less_one_hot(P, y), X, seed),
            "random": gradients(less_one_hot(P, drawn_classes(P, rng)), X, seed),
            "features": X,
        },
        score,
        {"y": y, **proxy(X, y, n_classes, RATE, rng)},
        facts(name, n_classes, W.size),
        given.marks,
    )


def regression(name: str, given: Problem, alpha: float, seed: int) -> Task:
    """No y among the inputs, since methods take these as classes, but `targets`."""
    X, y = given.X, given.y
    rng = np.random.default_rng([seed, 2])
    w = new_head(X.shape[1], 1, rng)[:, 0]
    if given.fitted is not None:
        w = Ridge(alpha, fit_intercept=False).fit(*given.fitted).coef_
    noise = rng.standard_normal(len(y)).astype(np.float32)

    def score(rows: np.ndarray, _: int, weights: np.ndarray | None = None) -> dict[str, float]:
        return score_of_targets(X[rows], y[rows], given.X_test, given.y_test, alpha, weights)

    return Task(
        name,
        REGRESSION,
        {"labels": (X @ w - y)[:, None] * X, "random": noise[:, None] * X, "features": X},
        score,
        {"targets": y},
        facts(name, None, len(w)),
        given.marks,
    )


def facts(name: str, n_classes: int | None, parameters: int) -> dict[str, Any]:
    data, _, variant = name.partition("/")
    return {"data": data, "variant": variant, "classes": n_classes, "parameters": parameters}


def with_known(W: np.ndarray, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A head whose columns for the classes of y are fitted to (X, y)."""
    W, known = W.copy(), np.unique(y)
    found = LogisticRegression(C=C, max_iter=500, fit_intercept=False).fit(X, y).coef_
    W[:, known] = (found if len(known) > 2 else np.concatenate([-found, found]) / 2).T
    return W


def gradients(E: np.ndarray, X: np.ndarray, seed: int) -> np.ndarray:
    """Rows e ⊗ x, or a sketch of them where they are long."""
    parameters = E.shape[1] * X.shape[1]
    if parameters <= DENSE:
        return outer(E, X)
    return skmm.SparseSign(parameters, SKETCHED, seed=seed).apply_outer(E, X)


VARIED: dict[str, dict[str, Setting]] = {
    name: {variant: Setting(partial(task, name, variant), COUNTS, SEEDS) for variant in VARIANTS}
    for name in DATA
}
