"""When gradients mislead: the demo's task with another head and other targets.

The head is new (as in the demo) or the one that five of the ten classes were learnt with; targets
are labels or drawn from the model; rows are as they are or scaled to norm 1. Test accuracy after
finetuning on n = 100 rows, 5 seeds.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from sklearn.datasets import load_digits

import skmm_fast as skmm
from common import save
from skmm_fast.cli import demo
from skmm_fast.gradients import GradientSketcher

N_ROWS, SEEDS, UNIFORM_DRAWS = 100, 5, 3


def main() -> None:
    data, target = load_digits(return_X_y=True)
    X, y = (data / 16).astype(np.float32), target.astype(np.int64)
    rows = []
    for head in ("new", "fitted"):
        scores: dict[str, list[tuple[float, float]]] = {}
        for seed in range(SEEDS):
            known, pool, test = demo.split(y, seed)
            torch.manual_seed(seed)
            base = demo.train(demo.network(), X[known], y[known], steps=200)
            if head == "new":
                base = demo.pretrained(X[known], y[known], seed)
            batch = torch.from_numpy(X[pool]), torch.from_numpy(y[pool])
            chosen = {}
            for targets in ("label", "random"):
                sketcher = GradientSketcher(base, targets=targets, sketch_dim=512, seed=seed)
                Z = sketcher(batch, sample_ids=pool)
                for method, options in demo.METHODS.items():
                    selection = skmm.select(Z, N_ROWS, method=method, seed=seed, **options)
                    chosen[f"{method}, targets = {targets}"] = [pool[selection.indices]]
                unit = skmm.select(Z, N_ROWS, method="v-optimal", seed=seed, unit_rows=True)
                chosen[f"v-optimal, targets = {targets}, unit rows"] = [pool[unit.indices]]
            rng = np.random.default_rng(seed)
            uniform = [rng.choice(pool, N_ROWS, replace=False) for _ in range(UNIFORM_DRAWS)]
            for who, selections in (chosen | {"uniform": uniform}).items():
                for S in selections:
                    model = demo.finetuned(copy.deepcopy(base), X[S], y[S])
                    scores.setdefault(who, []).append(demo.score(model, X[test], y[test]))
        for who, pairs in scores.items():
            accuracy, f1 = np.array(pairs).T
            rows.append(
                {
                    "head": head,
                    "who": who,
                    "accuracy": float(accuracy.mean()),
                    "± std": float(accuracy.std()),
                    "macro-F1": float(f1.mean()),
                    "models": len(pairs),
                }
            )
    save("heads", rows)


if __name__ == "__main__":
    main()
