"""The command `skmm-fast`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from ._extras import need


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number >= 1, got {text}")
    return number


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="skmm-fast", description="Choose finetuning data.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser(
        "demo", help="choose finetuning data for a small network on real images, check the choice"
    )
    demo.add_argument("--out", type=Path, default=Path("demo_out"), help="folder for the results")
    demo.add_argument("--seeds", type=positive, default=5, help="repetitions")
    args = parser.parse_args(argv)

    try:
        for module in ("torch", "sklearn", "matplotlib", "tqdm"):
            need(module, {"matplotlib": "plot", "tqdm": "cli"}.get(module, module))
    except ImportError as error:
        parser.exit(1, f"skmm-fast: {error}\n")
    from . import demo as demo_module

    demo_module.run(args.out, seeds=args.seeds)
    return 0
