"""What the command writes: a selection, the samples chosen, and what is said of them."""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from .._samples import write_jsonl
from .._selection import Selection
from .._selection_file import WRITTEN
from .._support.files import write_whole
from .._support.optional import need
from .inputs import TABLES, n_rows_of, taken

STDOUT = Path("-")
OF_SAMPLES = (".jsonl", ".parquet")  # endings of files of the samples chosen


def require_writable(outs: list[Path], data: Path | None, X: Path) -> None:
    """Make the folders of these files; an error now, not once rows are chosen."""
    for out in outs:
        if out == STDOUT:
            continue
        if out.suffix in OF_SAMPLES:
            _source(out, data, X)
        elif out.suffix and out.suffix not in WRITTEN:
            known = ", ".join((*WRITTEN, *OF_SAMPLES))
            raise ValueError(f"out: expected a name that ends in {known}, or -, got {out}")
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent):
            pass


def write(
    selection: Selection, outs: list[Path], plot: Path | None, data: Path | None, X: Path,
    as_json: bool,
) -> None:  # fmt: skip
    """Write a selection, and say how good it is: on stdout, or on stderr where the selection itself
    goes to stdout."""
    written = [_write(selection, out, data, X) for out in outs if out != STDOUT]
    if plot is None and written and _can_plot(selection):
        plot = written[0].with_suffix(".png")
    if plot is not None:
        selection.plot(plot)
        written.append(plot)
    if STDOUT in outs:
        print(selection.to_json(), end="")
    if as_json and STDOUT not in outs:
        diagnosis = selection.diagnosis
        said = {
            "verdict": diagnosis.verdict,
            **diagnosis.plain(),
            "written": list(map(str, written)),
        }
        print(json.dumps(said))
        return
    file = sys.stderr if STDOUT in outs else sys.stdout
    print(selection.diagnosis, file=file)
    for path in written:
        print(f"written: {path}", file=file)


def _write(selection: Selection, out: Path, data: Path | None, X: Path) -> Path:
    if out.suffix not in OF_SAMPLES:
        return selection.save(out)
    source = _source(out, data, X)
    if source.suffix == ".jsonl" and out.suffix == ".jsonl":
        return selection.to_jsonl(out, source)
    N = selection.settings["n_samples"]
    if n_rows_of(source) != N:
        raise ValueError(f"data: expected {N} samples, got {n_rows_of(source)} in {source}")
    samples = taken(source, selection.indices)
    if out.suffix == ".jsonl":
        everything = selection.indices.copy()
        everything[:] = range(len(everything))
        write_jsonl(out, samples, everything, len(samples))
    else:
        writer = need("pyarrow.parquet", "parquet")
        write_whole(out, lambda file: writer.write_table(samples, file))
    return out


def _source(out: Path, data: Path | None, X: Path) -> Path:
    """The file of the samples that were selected from."""
    source = X if data is None else data
    if source.suffix not in TABLES:
        raise ValueError(
            f"data: expected a table ({', '.join(TABLES)}) whose chosen rows go to {out}, got "
            f"{source}; --data names one"
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
