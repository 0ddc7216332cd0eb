"""Selecting for a target: a few rows of some classes, or of one side of the data, are given; the
finetuned head is tested on others like them. Writes results/targets.json after each task.

    python bench/targets.py --data code mnist --seeds 3
"""

from __future__ import annotations

import argparse
import json
from functools import partial

import numpy as np
import torch
from threadpoolctl import threadpool_limits

import quality
from common import result_path, write
from compare import LABELS, Method, Task, compare
from linear_head import (
    CLASSIFICATION,
    REGRESSION,
    less_one_hot,
    new_head,
    outer,
    score_of_classes,
    score_of_targets,
    softmax,
)
from real_data import DATA
from variants import side
from varied_tasks import HEADS, C

FAST = {"diagnose": "fast"}
NEEDS = ("target",)
PAIRS = ("features and labels",)
METHODS = {
    "uniform": Method("uniform", FAST, sees=(), draws=3),
    "auto": Method("auto", FAST, NEEDS, LABELS),
    "auto, pilot": Method("auto", {"pilot": "linear", **FAST}, NEEDS, PAIRS, labelled=True),
    "v-optimal": Method("v-optimal", FAST, NEEDS, LABELS),
    "less": Method("less", FAST, NEEDS, LABELS),
    "glister": Method("glister", FAST, NEEDS, LABELS),
    "grad-match": Method("grad-match", FAST, NEEDS, LABELS),
    "rds": Method("rds", FAST, NEEDS, ("features",)),
}
COUNTS = (100, 250)  # 2% and 5%
POOL, TARGET, TEST = 5_000, 100, 1_000
CLASSES = 4  # a quarter of the classes are the target
DATA_SETS = ("code", "embedded-code", "mnist", "letters", "titles", "snippets", "proteins")


def task(name: str, seed: int) -> Task:
    X, y = DATA[name]()
    rng = np.random.default_rng([seed, 3])
    order = rng.permutation(len(y))
    if y.dtype.kind == "f":
        wanted = side(X, X, rng) > 0
    else:
        sizes = np.bincount(y)
        uneven = sizes.max() > 2 * sizes.min()
        classes = np.argsort(sizes, kind="stable") if uneven else rng.permutation(len(sizes))
        wanted = np.isin(y, classes[: max(2, len(sizes) // CLASSES)])
    like = order[wanted[order]]
    target, test = like[:TARGET], like[TARGET : TARGET + min(TEST, (len(like) - TARGET) // 2)]
    pool = np.setdiff1d(order, np.concatenate([target, test]))
    pool = pool[rng.permutation(len(pool))[:POOL]]
    F, given = X[pool], y[pool]

    if y.dtype.kind == "f":
        w, alpha = new_head(X.shape[1], 1, rng)[:, 0], HEADS[name].alpha

        def gradients(rows: np.ndarray) -> np.ndarray:
            return (X[rows] @ w - y[rows])[:, None] * X[rows]

        def score(rows: np.ndarray, _: int, weights: np.ndarray | None = None) -> dict[str, float]:
            return score_of_targets(F[rows], given[rows], X[test], y[test], alpha, weights)

    else:
        W = new_head(X.shape[1], int(y.max()) + 1, rng)

        def gradients(rows: np.ndarray) -> np.ndarray:
            return outer(less_one_hot(softmax(X[rows] @ W), y[rows]), X[rows])

        def score(rows: np.ndarray, _: int, weights: np.ndarray | None = None) -> dict[str, float]:
            return score_of_classes(F[rows], given[rows], X[test], y[test], C, weights)

    return Task(
        f"target, {name}",
        REGRESSION if y.dtype.kind == "f" else CLASSIFICATION,
        {"labels": gradients(pool), "features": F, PAIRS[0]: F},
        score,
        {
            "targets": given,
            "target": {
                "labels": gradients(target),
                "features": X[target],
                PAIRS[0]: (X[target], y[target]),
            },
        },
        {"target rows": TARGET, "wanted": float(wanted.mean())},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", nargs="+", choices=DATA_SETS, default=list(DATA_SETS))
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1, "blas")
    path = result_path("targets")
    for name in args.data:
        seeds = range(args.seeds)
        try:
            found = compare(partial(task, name), METHODS, COUNTS, seeds, n_threads=1, progress=True)
        except ModuleNotFoundError as error:
            print(f"{name}: skipped, {error}")
            continue
        print("\n\n".join(quality.tables(found)), flush=True)
        kept = json.loads(path.read_text())["rows"] if path.exists() else []
        write(path, [row for row in kept if row["task"] != found[0]["task"]] + found)


if __name__ == "__main__":
    main()
