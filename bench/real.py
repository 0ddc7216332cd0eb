"""Every method on real tasks: selections, finetuned on and tested. Writes results/real.json, .png.

    python bench/real.py --tasks digits text --methods uniform v-optimal --seeds 3 --counts 100
    python bench/real.py --tasks letters foods --variants flipped junk
    python bench/real.py --method my_module:my_function

compare.py says what my_function(Z, n, seed) returns. A data set of real_data.py is a task for each
of the variants of variants.py, as "letters/junk", and these are saved in results/varied.json; they
are run where they are named. Results are saved for tasks that were run in full: without --methods,
--method, --seeds and --counts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

import quality
from common import result_path, write
from compare import METHODS, compare, own
from real_tasks import TASKS, Setting
from variants import VARIANTS
from varied_tasks import VARIED

SHOWN = {
    ("uniform", None): "0.3",
    ("v-optimal", "labels"): "C0",
    ("v-optimal", "features"): "C9",
    ("moment-matching", "labels"): "C1",
    ("r-leverage", "features"): "C2",
    ("k-center", "features"): "C3",
    ("class-balanced", None): "C4",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", nargs="+", choices=[*TASKS, *VARIED], default=list(TASKS))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--methods", nargs="+", choices=METHODS)
    parser.add_argument("--method", metavar="MODULE:FUNCTION", help="your own, beside uniform")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--counts", type=int, nargs="+")
    args = parser.parse_args()
    sys.path.insert(0, "")  # own modules lie in the working directory
    methods = {name: METHODS[name] for name in args.methods or METHODS}
    if args.method:
        name, method = own(args.method)
        methods = {"uniform": METHODS["uniform"], name: method}
    complete = not (args.methods or args.method or args.seeds or args.counts)
    torch.set_num_threads(1)
    threadpool_limits(1, "blas")

    for task, setting, path in chosen(args.tasks, args.variants):
        try:
            found = compare(
                setting.make,
                methods,
                args.counts or setting.counts,
                range(args.seeds or setting.seeds),
                whole=setting.whole,
                n_threads=1,  # pools are small
                progress=True,
            )
        except ModuleNotFoundError as error:
            print(f"{task}: skipped, {error}")
            continue
        print("\n\n".join(quality.tables(found)))
        if complete:
            kept = json.loads(path.read_text())["rows"] if path.exists() else []
            write(path, [row for row in kept if row["task"] != found[0]["task"]] + found)
    real = result_path("real")
    if complete and set(args.tasks) & set(TASKS):
        picture(json.loads(real.read_text())["rows"]).savefig(real.with_suffix(".png"), dpi=80)


def chosen(names: Sequence[str], variants: Sequence[str]) -> Iterator[tuple[str, Setting, Path]]:
    """(task, its setting, where its results are saved)."""
    for name in names:
        if name in TASKS:
            yield name, TASKS[name], result_path("real")
        else:
            for variant in variants:
                yield f"{name}/{variant}", VARIED[name][variant], result_path("varied")


def picture(rows: list[dict[str, Any]]) -> Figure:
    """A column for each task, a row for each metric."""
    names = list(dict.fromkeys(row["task"] for row in rows))
    figure = Figure(figsize=(4 * len(names), 7.5), layout="constrained")
    axes = figure.subplots(2, len(names), squeeze=False)
    for column, name in zip(axes.T, names, strict=True):
        of_task = [row for row in rows if row["task"] == name]
        metrics = list(of_task[0]["metrics"])
        for ax, metric in zip(column, metrics, strict=False):
            for (method, representation), color in SHOWN.items():
                line = [
                    (row["n"], row["metrics"][metric]["mean"], row["metrics"][metric]["se"])
                    for row in of_task
                    if (row["method"], row["representation"]) == (method, representation)
                ]
                if line:
                    label = quality.label(method, representation)
                    n, mean, se = zip(*line, strict=True)
                    ax.errorbar(n, mean, se, marker="o", ms=4, capsize=3, c=color, label=label)
            for row in of_task:
                if row["method"] == "whole pool":
                    ax.axhline(row["metrics"][metric]["mean"], c="0.6", ls=":", label="whole pool")
            ax.set(xlabel="n", ylabel=metric, xscale="log", title=name)
            ax.set_xticks(sorted({r["n"] for r in of_task if r["method"] != "whole pool"}))
            ax.minorticks_off()
            if of_task[0]["metrics"][metric]["better"] == "low":
                ax.set_ylim(top=1.1 * max(r["metrics"][metric]["mean"] for r in drawn(of_task)))
            ax.xaxis.set_major_formatter("{x:.0f}")
        for ax in column[len(metrics) :]:
            ax.axis("off")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def drawn(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["method"] == "uniform"]


if __name__ == "__main__":
    main()
