"""The command line that the experiments share, and what comes of it: a JSON, a table, a picture."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from common import result_path, write
from compare import METHODS, Task, compare
from table import table

CACHE = Path("build/paper")
WHERE = {"folder", "cache", "out", "workers", "device"}  # settings that results do not depend on


def arguments(
    doc: str | None, model: str | None, methods: Sequence[str], counts: Sequence[int]
) -> argparse.ArgumentParser:
    """A parser of what every experiment takes, with defaults."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of the images")
    parser.add_argument(
        "--model", default=model, help="a name at the hub of transformers, or a folder"
    )
    parser.add_argument("--counts", type=int, nargs="+", default=counts, help="values of n")
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=methods)
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder for features, sketches")
    parser.add_argument("--out", type=Path, help="JSON; default: bench/results/<name>.json")
    parser.add_argument("--workers", type=int, default=0, help="processes that read images")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


def run(given: argparse.Namespace, name: str, make_task: Callable[[int], Task], sees: str) -> None:
    """Compares the methods, those that look at rows by the representation `sees`."""
    methods = {who: METHODS[who] for who in given.methods}
    methods = {who: m._replace(sees=(sees,)) if m.sees else m for who, m in methods.items()}
    seeds = range(given.seeds)
    rows = compare(make_task, methods, given.counts, seeds, whole=True, progress=True)
    path = given.out or result_path(name)
    write(path, rows, settings={k: v for k, v in vars(given).items() if k not in WHERE})
    print(table(beside_uniform(rows)))
    picture(rows, path.with_suffix(".png"))


def beside_uniform(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """n, method, and of each metric the mean, its standard error, and its ratio to that of uniform
    draws; where these were made."""
    uniform = {row["n"]: row["metrics"] for row in rows if row["method"] == "uniform"}
    flat = []
    for row in sorted(rows, key=lambda row: row["n"]):
        cells = {"n": row["n"], "method": row["method"]}
        for name, found in row["metrics"].items():
            of_uniform = uniform.get(row["n"], {}).get(name, {}).get("mean")
            cells |= {
                name: found["mean"],
                f"± se of {name}": found["se"],
                f"{name} / uniform": found["mean"] / of_uniform if of_uniform else None,
            }
        flat.append(cells)
    return flat


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    metrics = list(rows[0]["metrics"])
    figure = Figure(figsize=(6.5 * len(metrics), 5), layout="constrained")
    for metric, axes in zip(
        metrics, figure.subplots(1, len(metrics), squeeze=False)[0], strict=True
    ):
        for i, method in enumerate(dict.fromkeys(row["method"] for row in rows)):
            mine = [(row["n"], row["metrics"][metric]) for row in rows if row["method"] == method]
            if method == "whole pool":
                axes.axhline(mine[0][1]["mean"], color="0.5", ls=":", label=method)
                continue
            axes.errorbar(
                [n for n, _ in mine],
                [found["mean"] for _, found in mine],
                [found["se"] or 0.0 for _, found in mine],
                marker="osv^"[i // 10 % 4],  # there are ten colours
                capsize=3,
                label=method,
            )
        axes.set(xlabel="n", ylabel=f"{metric} (mean ± standard error)", xscale="log")
        counts = sorted({row["n"] for row in rows if row["method"] != "whole pool"})
        axes.set_xticks(counts, counts)
        axes.minorticks_off()
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=7)
    figure.savefig(path, dpi=100)
