"""What the command writes: a selection, the samples chosen, and what is said of them."""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .._samples import write_jsonl
from .._selection import Selection
from .._selection_file import WRITTEN
from .._support.files import write_whole
from .._support.optional import need
from ..sketch.store import SketchStore
from . import tables

STDOUT = Path("-")
OF_SAMPLES = (".jsonl", ".parquet")  # endings of files of the samples chosen


def require_writable(outs: list[Path], plot: Path | None) -> None:
    """Make the folders of these files; an error now, not once rows are chosen."""
    for out in outs:
        if out != STDOUT and out.suffix and out.suffix not in (*WRITTEN, *OF_SAMPLES):
            known = ", ".join((*WRITTEN, *OF_SAMPLES))
            raise ValueError(f"out: expected a name that ends in {known}, or -, got {out}")
    for file in (*outs, *([] if plot is None else [plot])):
        if file == STDOUT:
            continue
        if file.is_dir():
            raise ValueError(f"out: expected a file, got the folder {file}")
        if file.exists() and not file.is_file():  # a device: /dev/null
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=file.parent):
            pass


def require_samples(outs: list[Path], data: Path | None, X: Path, rows: Any) -> None:
    """Raises ValueError where samples are asked for and there is no table of as many as rows."""
    if any(out.suffix in OF_SAMPLES for out in outs):
        source = _source(data, X)
        found = tables.n_rows(source)
        expected = len(rows) if isinstance(rows, SketchStore) else (*rows.shape, 0)[0]
        if found != expected:
            raise ValueError(f"data: expected {expected} samples, got {found} in {source}")


def write(
    selection: Selection,
    outs: list[Path],
    plot: Path | None,
    data: Path | None,
    X: Path,
    as_json: bool,
) -> None:
    """Write a selection, then its samples, then its picture, and say how good it is: on stdout, or
    on stderr where the selection itself goes to stdout."""
    if STDOUT in outs:
        print(selection.to_json(), end="")
    files = [out for out in outs if out != STDOUT]
    files.sort(key=lambda out: out.suffix in OF_SAMPLES)
    written = [_write(selection, out, data, X) for out in files]
    if plot is None and written and _can_plot(selection):
        plot = written[0].with_suffix(".png")
    if plot is not None:
        selection.plot(plot)
        written.append(plot)
    if as_json and STDOUT not in outs:
        said = {"verdict": selection.diagnosis.verdict, **selection.diagnosis.plain()}
        print(json.dumps({**said, "written": list(map(str, written))}))
        return
    file = sys.stderr if STDOUT in outs else sys.stdout
    print(selection.diagnosis, file=file)
    for path in written:
        print(f"written: {path}", file=file)


def _write(selection: Selection, out: Path, data: Path | None, X: Path) -> Path:
    if out.suffix not in OF_SAMPLES:
        return selection.save(out)
    source = _source(data, X)
    if source.suffix == ".jsonl" and out.suffix == ".jsonl":
        return selection.to_jsonl(out, source)
    samples = tables.taken(source, selection.indices)
    if out.suffix == ".jsonl":
        write_jsonl(out, samples, np.arange(len(samples)), len(samples))
    else:
        writer = need("pyarrow.parquet", "parquet")
        write_whole(out, lambda file: writer.write_table(samples, file))
    return out


def _source(data: Path | None, X: Path) -> Path:
    """The file of the samples that were selected from."""
    source = X if data is None else data
    if source.suffix not in tables.ENDINGS:
        raise ValueError(
            f"data: expected a table ({', '.join(tables.ENDINGS)}) whose chosen rows are written, "
            f"got {source}; --data names one"
        )
    return source


def _can_plot(selection: Selection) -> bool:
    return (
        bool(len(selection.picture["pool"])) and importlib.util.find_spec("matplotlib") is not None
    )


def as_table(values: dict[str, Any]) -> str:
    """Lines of names and values."""
    width = max(map(len, values)) + 2
    return "\n".join(f"{name:<{width}}{value}" for name, value in values.items())


def show(values: dict[str, Any], as_json: bool) -> None:
    """Print these values, as JSON for scripts."""
    print(json.dumps(values) if as_json else as_table(values))
