"""Comparisons that save what they have after each seed, so that a stop loses one seed at most."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import quality
from common import write
from compare import Method, Task, compare, summary

Row = dict[str, Any]


def run(
    path: Path,
    make_task: Callable[[int], Task],
    methods: Mapping[str, Method],
    sizes: Sequence[float],
    seeds: Sequence[int],
) -> list[Row]:
    """`compare` on one thread, at these counts (int) or shares (float) of the pool. Rows of other
    tasks at the path stay. Those of this task are replaced or, where the first seed is not 0,
    continued: they must be of the seeds before it."""
    saved: list[Row] = json.loads(path.read_text())["rows"] if path.exists() else []
    rows: list[Row] = []
    for seed in seeds:
        task = make_task(seed)
        if seed == seeds[0] > 0:
            rows = [row for row in saved if row["task"] == task.name]
            if not rows or any(_seeds_of(row) != seed for row in rows):
                raise ValueError(f"seeds: expected results of {task.name} for seeds before {seed}")
        N = next(iter(task.pool.values())).shape[0]
        counts = [size if isinstance(size, int) else round(size * N) for size in sizes]
        found = compare(
            lambda _, task=task: task, methods, counts, (seed,), n_threads=1, progress=True
        )
        rows = joined(rows, found)
        write(path, [row for row in saved if row["task"] != task.name] + rows)
    return rows


def show(
    path: Path,
    name: str,
    make_task: Callable[[int], Task],
    methods: Mapping[str, Method],
    sizes: Sequence[float],
    seeds: Sequence[int],
) -> None:
    """`run`, and print its tables; a task whose data are not installed is skipped with a word."""
    try:
        found = run(path, make_task, methods, sizes, seeds)
    except ModuleNotFoundError as error:
        print(f"{name}: skipped, {error}")
        return
    print("\n\n".join(quality.tables(found)), flush=True)


def joined(rows: Sequence[Row], more: Sequence[Row]) -> list[Row]:
    """Rows of `compare` with those of further seeds: what `compare` gives for all of them."""
    if not rows:
        return list(more)
    new = {_key(row): row for row in more}
    if len(rows) != len(more) or {_key(row) for row in rows} != new.keys():
        raise ValueError("more: expected rows of the same tasks, methods and n as rows")
    return [_joined(row, new[_key(row)]) for row in rows]


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("task", "method", "representation", "n"))


def _seeds_of(row: Row) -> int:
    return len(next(iter(row["metrics"].values()))["values"])


def _joined(row: Row, more: Row) -> Row:
    a, b = _seeds_of(row), _seeds_of(more)
    return row | {
        "metrics": {
            name: {
                "better": metric["better"],
                **summary([*metric["values"], *more["metrics"][name]["values"]]),
            }
            for name, metric in row["metrics"].items()
        },
        "v_optimality": {
            name: [*values, *more["v_optimality"][name]]
            for name, values in row["v_optimality"].items()
        },
        "marks": {
            name: {**more["marks"][name], "values": mark["values"] + more["marks"][name]["values"]}
            for name, mark in row["marks"].items()
        },
        "seconds": (a * row["seconds"] + b * more["seconds"]) / (a + b),
    }
