"""Age regression on UTKFace: a linear regressor on features of CLIP ViT-B/32 (SkMM, section 5).

Images of one folder, `<age>_<gender>_<race>_<date>.jpg` as the data set comes ("aligned and
cropped"). Each seed draws a fifth of them to test on; the rest is the pool. The regressor is linear
in x and a constant, so the gradient of what it predicts is (x, 1): no head, no labels. It is fitted
by ridge regression, α by leave-one-out errors of the selected rows alone; MAE in years.

    python bench/paper/utkface.py ~/UTKFace

No figures of it are in this repository: neither the images nor the weights were at hand. Its parts
have run on generated images and random weights alone (tests/python/test_paper_images.py).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.linear_model import RidgeCV

sys.path.insert(0, str(Path(__file__).parents[1]))

from compare import Task
from paper import run
from paper.backbones import clip
from paper.images import features, images_in

MODEL, COUNTS = "openai/clip-vit-base-patch32", (100, 200, 500, 1000, 2000)
METHODS = (
    *("uniform", "herding", "k-center", "adaptive", "t-leverage", "r-leverage"),
    *("moment-matching", "moment-matching, c_S = .9", "v-optimal"),
)
ALPHAS = np.logspace(-3, 3, 13)


def ages(paths: list[Path]) -> np.ndarray:
    """(N,) float32 years. Raises ValueError for a name that does not begin with an age."""
    found = [path.name.partition("_")[0] for path in paths]
    for path, age in zip(paths, found, strict=True):
        if not age.isdecimal():
            raise ValueError(f"folder: expected names <age>_..., got {path}")
    return np.array(found, np.float32)


def task(X: np.ndarray, y: np.ndarray, seed: int) -> Task:
    """X: (N, d) features, y: (N,) ages."""
    order = np.random.default_rng(seed).permutation(len(y))
    test, pool = np.split(order, [len(y) // 5])
    F, F_test = X[pool], X[test]

    def score(rows: np.ndarray, _: int, weights: np.ndarray | None = None) -> dict[str, float]:
        if weights is not None:
            weights = weights / weights.mean()
        model = RidgeCV(ALPHAS).fit(F[rows], y[pool[rows]], weights)
        return {"MAE": float(np.abs(model.predict(F_test) - y[test]).mean())}

    G = np.column_stack([F, np.ones(len(pool), np.float32)])
    return Task("UTKFace", {"MAE": "low"}, {"features": G}, score)


def main(argv: Sequence[str] | None = None) -> None:
    given = run.arguments(__doc__, MODEL, METHODS, COUNTS).parse_args(argv)
    paths = images_in(given.folder)
    y = ages(paths)
    X, _ = features(paths, clip(given.model, given.device), given.cache, given.workers)
    run.run(given, "utkface", lambda seed: task(X, y, seed), sees="features")


if __name__ == "__main__":
    main()
