"""The command `skmm-fast`: its arguments, and one function for each subcommand.

A subcommand passes the options that were given to the public functions, and prints the results.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from .._select import Diagnose, select
from .._selection import Selection
from .._support import npy
from .._support.claims import Claims
from .._support.files import open_regular
from .._support.optional import need
from .._support.ranks import RankError
from .._version import __version__
from ..methods.registry import REGISTRY
from ..sketch.store import SketchStore
from .group import TIMEOUT, process_group
from .part import part_of, runs
from .terminal import terminal

# An option that is not given is not passed on, so the defaults are those of the public functions.
OMITTED: Any = argparse.SUPPRESS


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    0 is success; 1 an error that the user can mend, reported in one line; 2 a wrong command line;
    130 a keyboard interrupt.
    """
    with terminal():
        return _run(argv)


def _run(argv: Sequence[str] | None) -> int:
    args = vars(_parser().parse_args(argv))
    run = args.pop("run")
    try:
        run(**args)
        sys.stdout.flush()
    except (ImportError, OSError, RankError, TypeError, ValueError) as error:
        print(f"skmm-fast: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("skmm-fast: stopped", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="skmm-fast", description="Choose finetuning data.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="command", required=True)

    # The name of a subcommand is that of its function, its description the function's docstring.
    def command(run: Any, help: str) -> argparse.ArgumentParser:
        added = commands.add_parser(
            run.__name__.strip("_"), help=help, description=run.__doc__, argument_default=OMITTED
        )
        added.set_defaults(run=run)
        return added

    demo = command(_demo, "choose finetuning data for a small network on real images, check it")
    demo.add_argument("--out", type=Path, default=Path("demo_out"), help="folder for the results")
    demo.add_argument("--seeds", type=_positive, default=5, help="repetitions")

    sketch = command(_sketch, "sketch the per-sample gradients of a model over a dataset")
    sketch.add_argument("build", metavar="module:function", help="returns (model, dataset)")
    sketch.add_argument("--out", required=True, type=Path, help="folder of the sketch store")
    sketch.add_argument(
        "--params", type=_patterns, help='"last-2", "all", patterns: "a.*,b.weight"'
    )
    sketch.add_argument("--loss")
    sketch.add_argument("--targets", help='"label", "random" or "uniform"')
    sketch.add_argument("--sketch-dim", type=int, help="m")
    sketch.add_argument("--sketch", help='"sparse-sign", "grouped-sign" or "gaussian"')
    sketch.add_argument("--nnz-per-row", type=int)
    sketch.add_argument("--seed", type=int)
    sketch.add_argument("--device")
    sketch.add_argument("--method", help="how gradients are found")
    sketch.add_argument("--batch-size", type=int, help="(a DataLoader has its own)")
    sketch.add_argument("--shard-rows", type=int, help="rows of a file, held in memory")
    sketch.add_argument("--dtype", help='"float16" for half the disk; default: float32')
    sketch.add_argument(
        "--fingerprint-extra",
        help="what rows depend on and fingerprints cannot see: a version, say",
    )
    sketch.add_argument(
        "--accept", action="append", help="a field of the fingerprint that may differ; repeated"
    )

    sketch.add_argument(
        "--num-shards", type=_positive, help="parts of the work; default: by torchrun or SLURM"
    )
    sketch.add_argument("--shard-id", type=int, help="which part this process makes, from 0 on")

    status = command(_status, "say which shards of a sketch store are there")
    status.add_argument("store", type=Path, help="folder of the sketch store")
    status.add_argument(
        "--num-shards", type=_positive, default=None, help="say it in parts of the work"
    )

    verify = command(_verify, "hold the shards of a sketch store against their checksums")
    verify.add_argument("store", type=Path, help="folder of the sketch store")

    choose = command(_select, "choose rows of a sketch store or an array")
    choose.add_argument("X", type=Path, help="folder of the sketch store, or a .npy of rows")
    choose.add_argument("-n", required=True, type=_count, help="rows, or a share of them in (0, 1)")
    choose.add_argument(
        "--out", required=True, type=Path, help=".json (with .indices.npy beside it) or .npz"
    )
    choose.add_argument("--plot", type=Path, help="picture; default: .png beside, with matplotlib")
    from_files = [name for name, m in REGISTRY.items() if {"y", "target"}.issuperset(m.needs)]
    choose.add_argument("--method", choices=from_files, help='default: "auto"')
    choose.add_argument("--y", type=Path, help=".npy of labels: classes, or numbers to regress")
    choose.add_argument(
        "--per-class",
        type=_number_or_name,
        help='"proportional", "sqrt", "balanced", or a power of class sizes in [0, 1]',
    )
    choose.add_argument("--pilot", choices=["linear"], help="X are features: fit a head")
    choose.add_argument(
        "--target",
        type=Path,
        action="append",
        help="rows of the target task, as a store or .npy; once for each of several tasks",
    )
    choose.add_argument(
        "--target-y",
        type=Path,
        action="append",
        help=".npy of labels like --y of these rows, with --pilot; once for each --target",
    )
    choose.add_argument(
        "--diagnose",
        choices=get_args(Diagnose),
        help="full: with a bound at any cost; fast: no V-optimality; none: the choice alone",
    )
    choose.add_argument(
        "--timeout",
        type=_positive,
        default=None,
        help="seconds that processes of torchrun or srun wait for each other; default: 600",
    )
    choose.add_argument("--sketch-dim", type=int, help="sketch the rows to so many dimensions")
    choose.add_argument("--seed", type=int)
    choose.add_argument("--unit-rows", action="store_const", const=True, help="scaled to norm 1")
    return parser


def _demo(out: Path, seeds: int) -> None:
    """Choose finetuning data for a small network on real images; check the choice."""
    for module in ("torch", "sklearn", "matplotlib", "tqdm"):
        need(module, {"matplotlib": "plot", "tqdm": "cli"}.get(module, module))
    from . import demo

    demo.run(out, seeds=seeds)


def _sketch(
    build: str,
    out: Path,
    num_shards: int | None = None,
    shard_id: int | None = None,
    **options: Any,
) -> None:
    """Sketch the per-sample gradients of a model over a dataset into a folder. The same command
    goes on where it was stopped. The function is looked up from the current directory on. Started
    by torchrun, srun, or as the tasks of a SLURM array, each process makes a part."""
    part = part_of(num_shards, shard_id, os.environ)
    torch = need("torch", "torch")
    from ..gradients import GradientSketcher, sketch_dataset

    out = out.absolute()  # the user's function may change the current directory
    of_store = ("batch_size", "shard_rows", "dtype", "fingerprint_extra", "accept")
    store_options = {name: options.pop(name) for name in of_store if name in options}
    if part.of > 1:
        store_options |= {"num_shards": part.of, "shard_id": part.number}
    local = os.environ.get("LOCAL_RANK")
    of_rank = bool(local) and "device" not in options and torch.cuda.is_available()
    if of_rank:
        torch.cuda.set_device(f"cuda:{local}")  # before the user's function makes a model
    model, dataset = _built(build)
    if of_rank and isinstance(model, torch.nn.Module):
        model = model.to(f"cuda:{local}")
    sketcher: Any = GradientSketcher(model, **options)
    store = sketch_dataset(sketcher, dataset, out, **store_options)
    of = f"part {part.number} of {part.of} (by {part.by}) " if part.of > 1 else ""
    print(f"{of}done: {store}")


def _status(store: Path, num_shards: int | None) -> None:
    """Say which shards of a sketch store are there, which are missing and who makes them; and, in
    parts of the work, what to submit again."""
    opened = SketchStore(store)
    missing = opened.missing
    print(opened)
    if not missing:
        print("complete")
        return
    print(f"missing: shards {runs(missing)}")
    claims = Claims(opened.path)
    for k in missing:
        who = claims.writer(opened._file(k).name)
        if who is not None:
            gone = ", which is gone" if claims.is_stale(opened._file(k).name) else ""
            print(f"shard {k}: being made by {who}{gone}")
    if num_shards is not None:
        parts = [
            number
            for number in range(num_shards)
            if set(opened._part(number, num_shards)) & set(missing)
        ]
        print(f"missing: parts --array={runs(parts)} of --num-shards {num_shards}")


def _verify(store: Path) -> None:
    """Read every shard of a sketch store and hold it against its checksum."""
    opened = SketchStore(store)
    opened.verify()
    print(f"as written: {opened}")


def _select(
    X: Path,
    n: int | float,
    out: Path,
    plot: Path | None = None,
    timeout: int | None = None,
    **options: Any,
) -> None:
    """Choose n rows of a sketch store or an array; write them and say how good they are. Processes
    that torchrun or srun starts choose together, and the first of them writes."""
    with process_group(os.environ, timeout or TIMEOUT) as first:
        if first:
            out.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=out.parent):  # an error now, not once rows are chosen
                pass
        if "y" in options:
            options["y"] = _array("y", options["y"])
        targets = [_rows("target", path) for path in options.pop("target", [])]
        labels = [_array("target-y", path) for path in options.pop("target_y", [])]
        if labels and len(labels) != len(targets):
            raise ValueError(
                f"target-y: expected {len(targets)} files as of target, got {len(labels)}"
            )
        if targets:
            options["target"] = list(zip(targets, labels, strict=True)) if labels else targets
        selection = select(_rows("X", X), n, progress=first, **options)
        if first:
            _write(selection, out, plot)


def _write(selection: Selection, out: Path, plot: Path | None) -> None:
    """Write a selection and its picture, and print its diagnosis."""
    written = selection.save(out)
    print(selection.diagnosis)
    print(f"written: {written}")
    if plot is None and len(selection.picture["pool"]) and importlib.util.find_spec("matplotlib"):
        plot = written.with_suffix(".png")
    if plot is not None:
        selection.plot(plot)
        print(f"written: {plot}")


def _rows(name: str, path: Path) -> Any:
    """The rows in a .npy file, as a memory map, or those of the sketch store in a folder."""
    return _array(name, path, as_map=True) if path.suffix == ".npy" else SketchStore(path)


def _array(name: str, path: Path, as_map: bool = False) -> Any:
    """The array in a .npy file."""
    with open_regular(path) as file:
        try:
            if not as_map:
                return npy.read(file.read())
            return npy.mapped(file, npy.header_of(file, os.fstat(file.fileno()).st_size))
        except ValueError as error:
            raise ValueError(
                f"{name}: expected a .npy of numbers or strings, got {path} ({error!s:.300}); "
                "np.save writes one"
            ) from None


def _built(target: str) -> tuple[Any, Any]:
    """The pair (model, dataset) that the user's function, given as "module:function", returns."""
    module, _, function = target.partition(":")
    if not module or not function:
        raise ValueError(f"build: expected module:function, got {target!r}")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        built = getattr(importlib.import_module(module), function)()
    except Exception as error:
        # The error becomes one line, with the last place in the user's own files.
        frames = traceback.extract_tb(error.__traceback__)
        own = [f" ({f.filename}, line {f.lineno})" for f in frames if f.filename.startswith(here)]
        what = f"{type(error).__name__}: {error}"
        raise ValueError(f"{target}: {what}{''.join(own[-1:])}") from error
    if not isinstance(built, tuple) or len(built) != 2:
        raise TypeError(
            f"{target}: expected it to return (model, dataset), got {type(built).__name__}"
        )
    return built


def _positive(text: str) -> int:
    """An option that is an int of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number >= 1, got {text}")
    return number


def _patterns(text: str) -> str | list[str]:
    """The option --params: one name or pattern, or several separated by commas."""
    return text.split(",") if "," in text else text


def _number_or_name(text: str) -> float | str:
    """The option --per-class: a power of class sizes, or a name."""
    try:
        return float(text)
    except ValueError:
        return text


def _count(text: str) -> int | float:
    """The option -n: a number of rows, or a share of them."""
    try:
        return int(text)
    except ValueError:
        return float(text)
