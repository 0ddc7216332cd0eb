"""One number a sample, of a model's outputs or of gradients: the largest are chosen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._support import arrays
from .._support.types import Array, DenseMatrix, Floats, Indices
from .groups import largest_scores
from .model_outputs import host_matrix, log, outputs, predicted
from .problem import Chosen, Problem


def entropy(
    problem: Problem, probs: DenseMatrix | None = None, logits: DenseMatrix | None = None
) -> Chosen:
    """The largest entropies of predicted probabilities."""
    return _by_outputs(problem, "entropy", entropy_scores, probs, logits)


def margin(
    problem: Problem, probs: DenseMatrix | None = None, logits: DenseMatrix | None = None
) -> Chosen:
    """The smallest leads of the most likely class."""
    return _by_outputs(problem, "margin", margin_scores, probs, logits)


def least_confidence(
    problem: Problem, probs: DenseMatrix | None = None, logits: DenseMatrix | None = None
) -> Chosen:
    """The smallest probabilities of the most likely class."""
    return _by_outputs(problem, "least-confidence", least_confidence_scores, probs, logits)


def el2n(
    problem: Problem, probs: DenseMatrix | None = None, logits: DenseMatrix | None = None
) -> Chosen:
    """The largest errors ‖p - e_y‖₂; labels y count the columns."""
    C, blocks = predicted(problem.n_rows, "el2n", probs, logits)
    if problem.labels is None:
        raise ValueError("y: expected labels with method 'el2n', got None")
    values = problem.labels.values
    if values.dtype.kind not in "iu" or values[0] < 0 or values[-1] >= C:
        raise ValueError(
            f"y: expected integers in [0, {C - 1}] with method 'el2n', got {values.dtype} from "
            f"{values[0]!r} to {values[-1]!r}"
        )
    y = values[problem.labels.number]
    return _largest(problem, np.concatenate([el2n_scores(p, y[rows]) for rows, p in blocks]))


def grand(problem: Problem) -> Chosen:
    """The largest gradients ‖z_i‖ at the weights at hand, in the sketch (GraNd: Paul, Ganguli and
    Dziugaite 2021, arXiv 2107.07075)."""
    return _largest(problem, problem.pool.squared_norms)


def deepfool(
    problem: Problem, logits: DenseMatrix | None = None, head: DenseMatrix | None = None
) -> Chosen:
    """The smallest changes of features that change the class. logits (N, C), head (C, d): the
    weights of the last layer."""
    for name, value in (("logits", logits), ("head", head)):
        if value is None:
            raise ValueError(f"{name}: expected an array with method 'deepfool', got None")
    f = outputs("logits", logits, problem.n_rows, classes_ruled_out=True)
    W = host_matrix("head", head)
    if len(W) != f.shape[1]:
        raise ValueError(f"head: expected {f.shape[1]} rows, one per logit, got shape {W.shape}")
    arrays.raise_not_finite("head", arrays.finite_rows(W))
    return _largest(problem, deepfool_scores(f, W))


def entropy_scores(p: Array) -> Array:
    """-Σ_c p_c log p_c (Shannon 1948; Settles 2009)."""
    rest = _beside(p, p.argmax(axis=1))
    unsure = rest.sum(axis=1)
    of_rest = (rest * log(rest)).sum(axis=1)
    return np.asarray(-of_rest - (1 - unsure) * np.log1p(-unsure))


def margin_scores(p: Array) -> Array:
    """1 less the lead of the most likely class on the second (Scheffer et al. 2001)."""
    rest = _beside(p, p.argmax(axis=1))
    return np.asarray(rest.sum(axis=1) + rest.max(axis=1))


def least_confidence_scores(p: Array) -> Array:
    """1 - max_c p_c (Lewis and Gale 1994)."""
    return np.asarray(_beside(p, p.argmax(axis=1)).sum(axis=1))


def el2n_scores(p: Array, y: Indices) -> Array:
    """‖p - e_y‖₂ (Paul, Ganguli and Dziugaite 2021, arXiv 2107.07075)."""
    rest = _beside(p, y)
    return np.asarray(np.sqrt((rest * rest).sum(axis=1) + rest.sum(axis=1) ** 2))


def deepfool_scores(logits: Array, head: Array) -> Floats:
    """Minus the distance of the features to where the class changes: min_k (f_c - f_k)/‖w_c - w_k‖
    for the predicted class c, exact for a linear head f = Wx + b (Moosavi-Dezfooli et al. 2016;
    Ducoffe and Precioso 2018). logits (N, C), head W (C, d)."""
    W = head.astype(np.float64)
    predicted = logits.argmax(axis=1)
    nearest = np.empty(len(logits))
    for c in range(len(W)):
        of_c = logits[predicted == c].astype(np.float64)
        lead, apart = of_c[:, c : c + 1] - of_c, np.linalg.norm(W[c] - W, axis=1)
        reached = np.full(lead.shape, np.inf)
        np.divide(lead, apart, out=reached, where=apart > 0)  # equal rows are never told apart
        nearest[predicted == c] = reached.min(axis=1)
    return -nearest


def _beside(p: Array, c: Indices) -> Array:
    """p with 0 for class c_i in row i: 1 - p_c is the sum of what is left, to the last digit."""
    rest = p.copy()
    rest[np.arange(len(p)), c] = 0.0
    return rest


def _by_outputs(
    problem: Problem,
    method: str,
    score: Callable[[Array], Array],
    probs: DenseMatrix | None,
    logits: DenseMatrix | None,
) -> Chosen:
    _, blocks = predicted(problem.n_rows, method, probs, logits)
    return _largest(problem, np.concatenate([score(p) for _, p in blocks]))


def _largest(problem: Problem, score: Array) -> Chosen:
    return Chosen(largest_scores(problem, score))
