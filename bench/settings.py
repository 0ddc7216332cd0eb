"""What do the settings of the paper's methods change? Writes results/settings.json, after each
seed, and .png.

    python bench/settings.py --tasks digits embeddings

V-optimal selection and moment matching on every task of real.py, at one n each: what they see, the
width, the kind and the ζ of the sketch, c_S and weighting, counts per class, rows of unit norm, and
the layers whose gradients are sketched. Each method differs from its base point by what its name
says only. "adapters" is the task of finetune.py with LoRA, the one task of adapters. The default of
`select` is here for what it sees; ablation.py has its settings.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

import finetune
import quality
import skmm_fast as skmm
from common import result_path
from compare import METHODS, Method, Task
from real_tasks import TASKS as REAL
from seed_by_seed import show

LABELS = ("labels",)
LAYERS = ("labels, last layer", "labels, adapters alone", "labels, all layers")
NNZ = (1, 2, 4)  # ζ beside 8
SEEN = (*LABELS, "random", "features", *LAYERS)
ADAPTED = {  # the same of finetune.py; a matrix A of a new adapter has no gradient
    LAYERS[0]: "head.*",
    LAYERS[1]: "*lora_B*",
    LAYERS[2]: lambda name, _: "lora_A" not in name,
}


class Setting(NamedTuple):
    make: Callable[[int], Task]
    n: int
    seeds: int


TASKS = {name: Setting(task.make, task.counts[1], task.seeds) for name, task in REAL.items()} | {
    "adapters": Setting(partial(finetune.task, "code", "adapters", layers=ADAPTED), 100, 3)
}


def share(part: float) -> Callable[[int], Mapping[str, Any]]:
    """A sketch of part n dimensions."""
    return lambda n: {"sketch_dim": round(part * n)}


def of_sketch(nnz_per_row: int) -> str:
    """The representation that is sketched with this ζ."""
    return f"labels, ζ = {nnz_per_row}"


SKETCHED = tuple(of_sketch(nnz) for nnz in NNZ)
WIDTHS = {"n/8": 1 / 8, "n/4": 1 / 4, "3n/4": 3 / 4, "n": 1}
BASES: dict[str, dict[str, Method]] = {  # method -> setting -> what differs
    "v-optimal": {
        **{f"m = {m}": Method("v-optimal", share(x), sees=LABELS) for m, x in WIDTHS.items()},
        "Gaussian sketch": Method("v-optimal", {"sketch": "gaussian"}, sees=LABELS),
        "grouped signs": Method("v-optimal", {"sketch": "grouped-sign"}, sees=LABELS),
        "unit rows": Method("v-optimal", {"unit_rows": True}, sees=SEEN[:3]),
        "proportional": Method("v-optimal", {"per_class": "proportional"}, ("y",), LABELS),
        "balanced": Method("v-optimal", {"per_class": "balanced"}, ("y",), LABELS),
    },
    "moment-matching": {
        **{f"m = {m}": Method("moment-matching", share(x), sees=LABELS) for m, x in WIDTHS.items()},
        **{
            f"c_S = {c}": Method("moment-matching", {"c_s": c}, sees=LABELS)
            for c in (0.5, 0.9, 2.0)
        },
        **{
            f"relative, c_S = {c}": Method(
                "moment-matching", {"weighting": "relative", "c_s": c}, sees=LABELS
            )
            for c in (0.5, 0.9, 0.999)
        },
        "refine": Method("moment-matching", {"refine": True}, sees=LABELS),
    },
}
COMPARED = {
    "uniform": METHODS["uniform"],
    "class-balanced": METHODS["class-balanced"],
    "auto": Method("auto", sees=SEEN, labelled=True),
} | {
    name: method
    for base, several in BASES.items()
    for name, method in {
        base: Method(base, sees=SEEN + SKETCHED),
        **{f"{base}, {setting}": method for setting, method in several.items()},
    }.items()
}


def with_sketches(setting: Setting, seed: int) -> Task:
    """Its task, with the gradients with labels also as sketches of n/2 dimensions with each ζ."""
    task = setting.make(seed)
    G = task.pool["labels"]
    m = min(G.shape[1], setting.n // 2)
    sketched = {
        of_sketch(nnz): skmm.SparseSign(G.shape[1], m, nnz_per_row=nnz, seed=seed).apply(G)
        for nnz in NNZ
    }
    return replace(task, pool={**task.pool, **sketched})


COLORS = {"auto": "C0", "v-optimal": "C1", "moment-matching": "C2"}


def picture(rows: list[dict[str, Any]]) -> Figure:
    """A row for each setting, a column for each task and metric: gains over uniform draws."""
    found = quality.cases(rows)
    columns = quality.unique((c.task, c.metric) for c in found)
    whos = quality.unique(c.who for c in found)
    figure = Figure(figsize=(3 + 2 * len(columns), 0.2 * len(whos) + 1.5), layout="constrained")
    axes = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for ax, (task, metric) in zip(axes, columns, strict=True):
        for place, who in enumerate(whos):
            gains = quality.together(found, who, task, metric)
            if gains.size:
                se = gains.std(ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
                color = COLORS.get(who[0].partition(",")[0], "0.3")
                ax.errorbar(gains.mean(), -place, xerr=se, marker="o", ms=4, c=color)
        ax.axvline(0, c="0.6", ls=":")
        ax.set(title=f"{task}\n{metric}", xlabel="gain")
        ax.title.set_fontsize(9)
        ax.set_xlim(left=max(ax.get_xlim()[0], -0.25))
        ax.grid(axis="y", alpha=0.3)
    axes[0].set_yticks([-i for i in range(len(whos))], [quality.label(*who) for who in whos])
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1, "blas")
    warnings.filterwarnings("ignore", "c_s = 2")
    path = result_path("settings")
    for name in args.tasks:
        setting = TASKS[name]
        make = partial(with_sketches, setting)
        show(path, name, make, COMPARED, (setting.n,), range(setting.seeds))
    if path.exists():
        rows = json.loads(path.read_text())["rows"]
        picture(rows).savefig(path.with_suffix(".png"), dpi=80)


if __name__ == "__main__":
    main()
