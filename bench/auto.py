"""Is the default ever worse than uniform draws? Writes results/auto.json after each task.

    python bench/auto.py --data code foods --variants clean junk --seeds 5

`select` as it is by default, on every data set of real_data.py in every variant of variants.py and
on the tasks of real_tasks.py: by gradients with labels at a new head, by features with a linear
pilot, and by features alone, beside V-optimal selection by gradients with labels.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

import torch
from threadpoolctl import threadpool_limits

import quality
from common import result_path, write
from compare import Method, compare
from real_tasks import TASKS, Setting
from variants import VARIANTS
from varied_tasks import VARIED

FAST = {"diagnose": "fast"}
AUTO = {
    "uniform": Method("uniform", FAST, sees=(), draws=3),
    "v-optimal": Method("v-optimal", FAST, sees=("labels",)),
    "auto": Method("auto", FAST, sees=("labels",), labelled=True),
    "auto, pilot": Method("auto", {"pilot": "linear", **FAST}, sees=("features",), labelled=True),
    "auto, alone": Method("auto", FAST, sees=("features",)),
    "sqrt draws": Method("uniform", {"per_class": "sqrt", **FAST}, ("y",), sees=()),
}
COUNTS = (100, 400)
OF_REAL = ("digits", "rare-digits", "photographs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", nargs="+", choices=[*VARIED, *OF_REAL], default=list(VARIED))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--methods", nargs="+", choices=AUTO, default=list(AUTO))
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1, "blas")
    path = result_path("auto")
    methods = {name: AUTO[name] for name in args.methods}
    for setting, counts in chosen(args.data, args.variants):
        seeds = range(args.seeds)
        try:
            found = compare(setting.make, methods, counts, seeds, n_threads=1, progress=True)
        except ModuleNotFoundError as error:
            print(f"skipped, {error}")
            continue
        print("\n\n".join(quality.tables(found)), flush=True)
        new = {(row["task"], row["method"]) for row in found}
        kept = json.loads(path.read_text())["rows"] if path.exists() else []
        write(path, [row for row in kept if (row["task"], row["method"]) not in new] + found)


def chosen(data: list[str], variants: list[str]) -> Iterator[tuple[Setting, tuple[int, ...]]]:
    for name in data:
        if name in OF_REAL:
            yield TASKS[name], TASKS[name].counts
        else:
            yield from ((VARIED[name][variant], COUNTS) for variant in variants)


if __name__ == "__main__":
    main()
