"""Which settings of the default matter? Writes results/ablation.json after each seed, and .png.

    python bench/ablation.py --tasks code/clean mnist/junk --seeds 2

The base point is `select` as it is by default, by gradients with labels at a new head. Each other
method differs from it by what its name says only; "linear pilot" selects by features. Gains are
those over uniform draws from the same pool.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

import quality
import skmm_fast as skmm
from common import result_path
from compare import Method, Options, Task
from default_report import BASE
from seed_by_seed import show
from varied_tasks import VARIED

FAST = {"diagnose": "fast"}
SHARES = (0.02, 0.05)
DIM = 512  # of sketches whose ζ varies, as by default
# Name -> (the default, the values tried).
FACTORS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "m": (512, (32, 64, 128, 256, 512, 1024)),
    "ζ": (8, (1, 2, 4, 8)),
    "ridge": (1, (0.1, 1, 10)),
    "sweeps": (4, (0, 1, 2, 4, 8)),
    "rows per cell": (4, (1, 2, 4, 8, "all")),
    "power": (1, (0, 0.5, 0.75, 1)),
}
TASKS = ("code/clean", "code/flipped", "mnist/junk", "foods/clean", "blocks/clean")


def auto(options: Options | Callable[[int], Options] = FAST, sees: str = "labels") -> Method:
    return Method("auto", options, sees=(sees,), labelled=True)


def one_cell(n: int) -> Options:
    """As many rows to a cell as are chosen: each class is one cell."""
    return {"rows_per_cell": n, **FAST}


def of_sketch(nnz_per_row: int) -> str:
    """The representation that is sketched with this ζ."""
    return f"labels, ζ = {nnz_per_row}"


OPTIONS: dict[str, Callable[[Any], Method]] = {
    "m": lambda m: auto({"sketch_dim": m, **FAST}),
    "ζ": lambda nnz: auto(sees=of_sketch(nnz)),
    "ridge": lambda ridge: auto({"ridge": ridge, **FAST}),
    "sweeps": lambda sweeps: auto({"sweeps": sweeps, **FAST}),
    "rows per cell": lambda rows: auto(
        one_cell if rows == "all" else {"rows_per_cell": rows, **FAST}
    ),
    "power": lambda power: auto({"per_class": power, **FAST}),
}
METHODS = {
    "uniform": Method("uniform", FAST, sees=(), draws=5),
    BASE: auto(),
    "linear pilot": auto({"pilot": "linear", **FAST}, "features"),
} | {
    f"{factor} = {value}": OPTIONS[factor](value)
    for factor, (usual, values) in FACTORS.items()
    for value in values
    if value != usual
}


def task(name: str, seed: int) -> Task:
    """A task of varied_tasks.py, with its gradients sketched once for each ζ."""
    data, _, variant = name.partition("/")
    made = VARIED[data][variant].make(seed)
    G = made.pool["labels"]
    usual, values = FACTORS["ζ"]
    sketched = {
        of_sketch(nnz): skmm.SparseSign(G.shape[1], DIM, nnz_per_row=nnz, seed=seed).apply(G)
        for nnz in values
        if nnz != usual
    }
    return replace(made, pool={**made.pool, **sketched})


def picture(rows: list[dict[str, Any]]) -> Figure:
    """A column for each setting, a row for each metric, a line for each task."""
    metrics = list(rows[0]["metrics"])
    figure = Figure(figsize=(3 * len(FACTORS), 3 * len(metrics)), layout="constrained")
    axes = figure.subplots(len(metrics), len(FACTORS), sharey="row", squeeze=False)
    found = quality.cases(rows)
    seen = {c.who[0]: c.who for c in found}
    for i, metric in enumerate(metrics):
        for ax, (factor, (usual, values)) in zip(axes[i], FACTORS.items(), strict=True):
            names = [BASE if v == usual else f"{factor} = {v}" for v in values]
            for task in dict.fromkeys(row["task"] for row in rows):
                several = [quality.together(found, seen[name], task, metric) for name in names]
                ax.errorbar(
                    range(len(values)),
                    [g.mean() for g in several],
                    [g.std(ddof=1) / len(g) ** 0.5 if len(g) > 1 else 0 for g in several],
                    marker="o", ms=4, capsize=3, label=task,
                )  # fmt: skip
            ax.axhline(0, c="0.6", ls=":")
            ax.set_xticks(range(len(values)), [f"{v}" for v in values])
            ax.get_xticklabels()[values.index(usual)].set_fontweight("bold")
            ax.set(xlabel=factor)
        axes[i, 0].set(ylabel=f"gain in {metric}")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="go on at this seed")
    args = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1, "blas")
    path = result_path("ablation")
    for name in args.tasks:
        show(path, name, partial(task, name), METHODS, SHARES, range(args.first, args.seeds))
    if path.exists():
        rows = json.loads(path.read_text())["rows"]
        picture(rows).savefig(path.with_suffix(".png"), dpi=80)


if __name__ == "__main__":
    main()
