"""`skmm-fast select`: rows of a file, chosen."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, get_args

from .. import _select
from .._select import Diagnose
from ..methods.registry import REGISTRY
from ..sketch.operators import Kind
from . import inputs, outputs, tables
from .group import TIMEOUT, process_group
from .options import COUNT, argument, count, flag, given, needed, number_or_name, option, typer

METHODS = [name for name, m in REGISTRY.items() if {"y", "target"}.issuperset(m.needs)]


def select(
    file: Path = argument(f"{inputs.KINDS}.", "X"),
    n: float = needed("-n", parser=count, metavar="COUNT", help=COUNT),
    out: list[Path] = needed(
        "--out",
        "-o",
        help="Where the selection goes: .json, .npz (with its picture), .npy or .csv of row "
        "numbers, .jsonl or .parquet of the samples chosen (of --data, or of X), - for JSON on "
        "stdout. May be given several times.",
    ),
    method: str = option(
        "--method", metavar="NAME", default="auto", help=f"One of {', '.join(METHODS)}."
    ),
    column: str = option("--column", help="The column of lists in a table X.", default="the one"),
    y: str = option(
        "--y", help="Labels, classes or numbers: a .npy, FILE:COLUMN, or a column of the table X."
    ),
    per_class: str = option(
        "--per-class",
        parser=number_or_name,
        metavar="HOW",
        help='Rows of each class: "proportional", "sqrt", "balanced", or a power of class sizes.',
    ),
    include: str = option(
        "--include", help="Rows that must be chosen: 3,14,15, a .txt, a .npy, or a selection."
    ),
    exclude: str = option("--exclude", help="Rows that must not be chosen, like --include."),
    pilot: str = option("--pilot", metavar="linear", help="X are features: fit a head."),
    target: list[Path] = option(
        "--target", help="Rows of the target task, like X; once for each of several tasks."
    ),
    target_y: list[str] = option(
        "--target-y", help="Labels of these rows, with --pilot; once for each --target."
    ),
    unit_rows: bool = flag("--unit-rows", help="Scale rows to norm 1."),
    sketch_dim: int = option(
        "--sketch-dim", metavar="M", default="512", help="Sketch wider rows to so many dimensions."
    ),
    sketch: str = option(
        "--sketch", metavar="KIND", default="sparse-sign", help=f"Of {', '.join(get_args(Kind))}."
    ),
    diagnose: str = option(
        "--diagnose",
        metavar="HOW",
        default="auto",
        help="full: with a bound at any cost; fast: no V-optimality; none: the choice alone.",
    ),
    seed: int = option("--seed", default=0, help="The seed of everything random."),
    threads: int = option("--threads", help="Threads.", default="all"),
    data: Path = option(
        "--data", help="The samples that the rows of X stand for: .jsonl, .parquet, .csv or .arrow."
    ),
    plot: Path = option("--plot", help="Where the picture goes.", default=".png beside --out"),
    scratch_dir: Path = option("--scratch-dir", help="A folder for what may not fit in memory."),
    timeout: int = option(
        "--timeout",
        default=TIMEOUT,
        min=1,
        help="Seconds that processes of torchrun or srun wait for each other.",
    ),
    progress: bool = typer.Option(
        None,
        "--progress/--no-progress",
        help="Say the expected cost and show bars on stderr.",
        show_default="on a terminal",
    ),
    as_json: bool = flag("--json", help="Print the diagnosis as JSON."),
) -> None:
    """Choose rows, write them, and say how good they are beside uniform draws.

    Processes that torchrun or srun starts choose together, and the first of them writes.

    \b
    skmm-fast select sketches/ -n 2000 --out chosen.json
    skmm-fast select embeddings.parquet -n 2% --y label --out chosen.jsonl
    skmm-fast select rows.npy -n 500 --out - | jq .indices
    """
    _require_choice("method", method, METHODS)
    _require_choice("pilot", pilot, ["linear"])
    _require_choice("diagnose", diagnose, list(get_args(Diagnose)))
    shown = sys.stderr.isatty() if progress is None else progress
    scratch = inputs.scratch_for(file, scratch_dir)
    options: dict[str, Any] = {
        "method": method, "per_class": per_class, "pilot": pilot, "unit_rows": unit_rows or None,
        "sketch_dim": sketch_dim, "sketch": sketch, "diagnose": diagnose, "seed": seed,
        "n_threads": threads, "scratch_dir": scratch,
    }  # fmt: skip
    with process_group(os.environ, timeout or TIMEOUT) as first:
        if first:
            outputs.require_writable(out, plot)
        if y is not None:
            options["y"] = inputs.labels("y", y, file)
        for name, text in (("include", include), ("exclude", exclude)):
            if text is not None:
                options[name] = inputs.numbers(name, text)
        options["target"] = _target(target or [], target_y or [], column)
        rows = inputs.rows("X", file, column, scratch)
        if first:
            outputs.require_samples(out, data, file, rows)
        selection = _select.select(rows, n, progress=first and shown, **given(options))
        if first:
            outputs.write(selection, out, plot, data, file, as_json)


def _target(paths: list[Path], labels: list[str], column: str | None) -> Any:
    of_tables = [column if path.suffix in tables.OF_LISTS else None for path in paths]
    rows = [inputs.rows("target", *given) for given in zip(paths, of_tables, strict=True)]
    of_rows = [inputs.labels("target-y", y, path) for y, path in zip(labels, paths, strict=False)]
    if labels and len(labels) != len(paths):
        raise ValueError(f"target-y: expected {len(paths)} files as of target, got {len(labels)}")
    if not rows:
        return None
    return list(zip(rows, of_rows, strict=True)) if labels else rows


def _require_choice(name: str, value: str | None, among: list[str]) -> None:
    """A wrong command line for a value that is none of these."""
    if value is not None and value not in among:
        raise typer.BadParameter(
            f"expected one of {', '.join(among)}, got {value!r}", param_hint=f"--{name}"
        )
