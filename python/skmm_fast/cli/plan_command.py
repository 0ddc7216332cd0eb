"""`skmm-fast plan`: what a selection will take."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from .. import _plan
from . import inputs, outputs
from .options import COUNT, count, flag, given, needed, option, typer


def plan(
    file: Path = typer.Argument(None, help=f"{inputs.KINDS}.", metavar="X"),
    n: float = needed("-n", parser=count, metavar="COUNT", help=COUNT),
    rows: int = option("--rows", min=1, help="The number of rows N, without X."),
    dim: int = option("--dim", min=1, help="The width of the rows, without X, or of their sketch."),
    method: str = option("--method", default="auto", help="A method of `select`."),
    threads: int = option("--threads", help="Threads.", default="all"),
    as_json: bool = flag("--json", help="Print it as JSON."),
) -> None:
    """Say the expected time and memory of a selection on this machine, within a factor of two.

    \b
    skmm-fast plan sketches/ -n 2%
    skmm-fast plan --rows 10000000 --dim 512 -n 100000 --method v-optimal
    """
    if file is not None:
        N, width = inputs.shape("X", file)
        rows, dim = rows or N, dim or min(width, 512)
    if rows is None or dim is None:
        raise typer.BadParameter("expected X, or --rows and --dim")
    expected = _plan.plan(rows, dim, n, **given({"method": method, "n_threads": threads}))
    if as_json:
        outputs.show(asdict(expected), as_json)
    else:
        print(f"select {n} of {rows} rows of {dim}: {expected}")
