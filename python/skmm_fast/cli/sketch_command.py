"""`skmm-fast sketch`: the gradients of a model over a data set, sketched into a store."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from .._support.files import write_whole
from .._support.near_names import did_you_mean
from .._support.optional import need
from . import inputs
from .options import flag, given, option, patterns, typer
from .part import part_of

OF_STORE = ("batch_size", "shard_rows", "dtype", "fingerprint_extra", "accept", "token_budget")
OF_TEXTS = ("dataset", "text_column", "lora", "max_length")


def _configured(context: Any, path: Path | None) -> Path | None:
    """Options of a file stand for those that are not given."""
    if path is not None:
        try:
            options = inputs.config(path)
        except (OSError, ValueError) as error:
            raise typer.BadParameter(str(error)) from None
        known = [parameter.name for parameter in context.command.params]
        for name in options:
            if name not in known:
                meant = did_you_mean(name, known)
                raise typer.BadParameter(f"{path}: expected options of sketch, got {name!r}{meant}")
        context.default_map = {**(context.default_map or {}), **options}
    return path


def sketch(
    build: str = typer.Argument(
        None, metavar="module:function", help="Returns (model, dataset); or --model and --dataset."
    ),
    out: Path = option("--out", "-o", help="Folder of the sketch store; needed."),
    model: str = option(
        "--model", help="A causal language model: a name on the Hugging Face hub, or a folder."
    ),
    dataset: Path = option("--dataset", help="Its texts: a .jsonl, .csv or .parquet."),
    text_column: str = option("--text-column", default="text", help="Their column."),
    lora: Path = option(
        "--lora", help="Folder of a trained LoRA adapter of PEFT, whose gradients are sketched."
    ),
    max_length: int = option("--max-length", min=2, help="Tokens after which a text is cut."),
    token_budget: int = option(
        "--token-budget", default="4096 with --model", help="Padded tokens of a batch of texts."
    ),
    params: str = option(
        "--params",
        parser=patterns,
        metavar="WHICH",
        default='"last-2", "trainable" with --lora',
        help='"last-2", "all", "trainable", or patterns: "a.*,b.weight".',
    ),
    loss: str = option(
        "--loss", default='"cross-entropy", "causal-lm" with --model', help="Or causal-lm, mse."
    ),
    targets: str = option("--targets", default="label", help="label, random or uniform."),
    sketch_dim: int = option("--sketch-dim", metavar="M", default="512", help="m."),
    sketch: str = option(
        "--sketch", default="sparse-sign", help="sparse-sign, grouped-sign, gaussian or factored."
    ),
    nnz_per_row: int = option("--nnz-per-row", default="8", help="Entries in a row of Γ."),
    seed: int = option("--seed", default=0, help="The seed of everything random."),
    device: str = option("--device", default="auto", help="Where the model runs."),
    method: str = option("--method", default="auto", help="How gradients are found."),
    batch_size: int = option("--batch-size", help="A DataLoader has its own.", default="64"),
    shard_rows: int = option("--shard-rows", default=4096, help="Rows of a file, held in memory."),
    dtype: str = option("--dtype", default="float32", help="float16 for half the disk."),
    fingerprint_extra: str = option(
        "--fingerprint-extra", help="What rows depend on and fingerprints cannot see: a version."
    ),
    accept: list[str] = option(
        "--accept", help="A field of the fingerprint that may differ; repeated."
    ),
    num_shards: int = option(
        "--num-shards", min=1, help="Parts of the work.", default="by torchrun or SLURM"
    ),
    shard_id: int = option("--shard-id", help="Which part this process makes, from 0 on."),
    progress: bool = typer.Option(
        None,
        "--progress/--no-progress",
        help="Show a bar on stderr.",
        show_default="on a terminal",
    ),
    config: Path = option(
        "--config",
        callback=_configured,
        is_eager=True,
        help="A file of these options, as each run leaves it beside its store.",
    ),
    dry_run: bool = flag("--dry-run", help="Write the file of options alone."),
) -> None:
    """Sketch the per-sample gradients of a model over a data set into a folder.

    The same command goes on where it was stopped. Started by torchrun, srun, or as the tasks of a
    SLURM array, each process makes a part. The options are left in OUT.config.json, which --config
    replays.

    \b
    skmm-fast sketch my_project:build --out sketches/ --params last-2
    skmm-fast sketch --model gpt2 --dataset texts.jsonl --out sketches/ --sketch factored
    skmm-fast sketch --config sketches.config.json
    """
    if out is None or (build is None) == (model is None):
        said = "expected --out, and either module:function or --model and --dataset"
        raise typer.BadParameter(said)
    if model is not None and dataset is None:
        raise typer.BadParameter("expected --dataset with --model")
    asked = given({
        "build": build, "model": model, "dataset": dataset, "text_column": text_column,
        "lora": lora, "max_length": max_length, "token_budget": token_budget, "params": params,
        "loss": loss, "targets": targets, "sketch_dim": sketch_dim, "sketch": sketch,
        "nnz_per_row": nnz_per_row, "seed": seed, "device": device, "method": method,
        "batch_size": batch_size, "shard_rows": shard_rows, "dtype": dtype,
        "fingerprint_extra": fingerprint_extra, "accept": accept or None,
    })  # fmt: skip
    part = part_of(num_shards, shard_id, os.environ)
    shown = sys.stderr.isatty() if progress is None else progress
    out = out.absolute()  # the user's function may change the current directory
    if dry_run:
        _leave(out, asked)
        return
    options = dict(asked)
    store_options: dict[str, Any] = {name: options.pop(name) for name in OF_STORE if name in asked}
    if part.of > 1:
        store_options |= {"num_shards": part.of, "shard_id": part.number}
    if not out.exists():  # a run that is killed can be replayed
        _leave(out, asked)
    made = _sketched(out, options, store_options, shown)
    _leave(out, asked)
    of = f"part {part.number} of {part.of} (by {part.by}) " if part.of > 1 else ""
    print(f"{of}done: {made}")


def _sketched(
    out: Path, options: dict[str, Any], store_options: dict[str, Any], progress: bool
) -> Any:
    torch = need("torch", "torch")
    from ..gradients import GradientSketcher, sketch_dataset

    local = os.environ.get("LOCAL_RANK")
    of_rank = bool(local) and "device" not in options and torch.cuda.is_available()
    if of_rank:
        torch.cuda.set_device(f"cuda:{local}")  # before the user's function makes a model
    build = options.pop("build", None)
    of_texts = {name: options.pop(name) for name in OF_TEXTS if name in options}
    if build is not None:
        model, dataset = _built(build)
    else:
        from . import texts

        model, dataset, tokenizer = texts.load(options.pop("model"), **of_texts)
        options.setdefault("loss", "causal-lm")
        options.setdefault("params", "trainable" if "lora" in of_texts else "last-2")
        store_options.setdefault("token_budget", texts.TOKEN_BUDGET)
        store_options["tokenizer"] = tokenizer
    if of_rank and isinstance(model, torch.nn.Module):
        model = model.to(f"cuda:{local}")
    sketcher: Any = GradientSketcher(model, **options)
    return sketch_dataset(sketcher, dataset, out, progress=progress, **store_options)


def _leave(out: Path, options: dict[str, Any]) -> None:
    """Write the options of the run beside its store."""
    file = out.with_name(f"{out.name}.config.json")
    options = {"out": str(out), **options}
    text = json.dumps({k: v if isinstance(v, (int, list)) else str(v) for k, v in options.items()},
                      indent=1)  # fmt: skip
    write_whole(file, lambda f: f.write(f"{text}\n".encode()))


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
