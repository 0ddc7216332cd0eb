"""`skmm-fast demo`: its options."""

from __future__ import annotations

from pathlib import Path

from .._support.optional import need
from .options import typer


def demo(
    out: Path = typer.Option(Path("demo_out"), "--out", "-o", help="Folder for the results."),
    seeds: int = typer.Option(5, "--seeds", min=1, help="Repetitions."),
) -> None:
    """Choose finetuning data for a small network on real images; check the choice."""
    for module in ("torch", "sklearn", "matplotlib", "tqdm"):
        need(module, {"matplotlib": "plot", "tqdm": "cli"}.get(module, module))
    from . import demo as job

    job.run(out, seeds=seeds)
