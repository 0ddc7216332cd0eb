"""What the command reads: rows, labels and row numbers, from files of several kinds."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .._as_matrix import of_arrow
from .._selection import Selection
from .._support import npy
from .._support.files import open_regular
from .._support.optional import need
from .._support.scratch import room
from .._support.types import Array, Indices
from ..sketch.manifest import MANIFEST
from ..sketch.store import SketchStore

TABLES = (".parquet", ".arrow", ".feather", ".csv", ".jsonl")
KINDS = "a sketch store (a folder), .npy, .npz (CSR), .parquet, .arrow or .feather"
IN_MEMORY = 1 << 30  # bytes of a table above which its rows go to a file
BATCH = 1 << 14  # rows of a table that are read at a time


def rows(name: str, path: Path, column: str | None = None, scratch_dir: Path | None = None) -> Any:
    """The rows in a file: those of a .npy as a memory map, of a table those of a column of lists;
    or of the sketch store in a folder."""
    if path.suffix == ".npy":
        return array(name, path, as_map=True)
    if path.suffix == ".npz":
        return _csr(name, path)
    if path.suffix in (".parquet", ".arrow", ".feather"):
        return _column_of_rows(name, path, column, scratch_dir)
    if path.is_file() and path.name != MANIFEST:
        raise ValueError(f"{name}: expected {KINDS}, got {path}")
    return SketchStore(path)


def scratch_for(path: Path, scratch_dir: Path | None) -> Path | None:
    """The folder for what may not fit in memory: where none is given, that of the system for large
    tables."""
    if scratch_dir is None and path.suffix in TABLES and path.stat().st_size > IN_MEMORY:
        return Path(tempfile.gettempdir())
    return scratch_dir


def labels(name: str, text: str, X: Path) -> Any:
    """Labels: in a .npy; in FILE:COLUMN of a table; or in a column of the table X."""
    path = Path(text)
    if path.suffix == ".npy":
        return array(name, path)
    file, _, column = text.rpartition(":")
    if file and Path(file).suffix in TABLES:
        path = Path(file)
    elif X.suffix in TABLES:
        path, column = X, text
    else:
        raise ValueError(f"{name}: expected a .npy, or FILE:COLUMN of a table, got {text}")
    values = table(path, [column]).column(column)
    if values.null_count:
        raise ValueError(f"{name}: expected a label in each row, got {values.null_count} without")
    return values.to_numpy()


def numbers(name: str, text: str) -> Any:
    """Row numbers: 3,14,15; those of a selection (.json, .npz); a .npy; or a .txt, one a line."""
    path = Path(text)
    if path.suffix in (".json", ".npz"):
        return Selection.load(path).indices
    if path.suffix == ".npy":
        return array(name, path)
    listed = path.read_text().split() if path.suffix == ".txt" else text.split(",")
    try:
        return [int(number) for number in listed]
    except ValueError as error:
        raise ValueError(
            f"{name}: expected row numbers such as 3,14,15, a .txt of them, a .npy or a selection, "
            f"got {text} ({error})"
        ) from None


def array(name: str, path: Path, as_map: bool = False) -> Any:
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


def table(path: Path, columns: list[str] | None = None) -> Any:
    """An Arrow table of the file, or of some of its columns."""
    batches = list(table_batches(path, columns))
    pyarrow = need("pyarrow", "parquet")
    return pyarrow.Table.from_batches(batches)


def table_batches(path: Path, columns: list[str] | None = None) -> Iterator[Any]:
    """The rows of a table, some thousand at a time. Raises ValueError where a column is not
    there."""
    pyarrow = need("pyarrow", "parquet")
    with open_regular(path):  # no FIFO, and an error that names the file
        pass
    try:
        if path.suffix == ".parquet":
            # Without pre_buffer: else what was read stays in memory until the end.
            file = need("pyarrow.parquet", "parquet").ParquetFile(path, pre_buffer=False)
            _require_columns(path, columns, file.schema_arrow.names)
            yield from file.iter_batches(BATCH, columns=columns)
            return
        if path.suffix in (".arrow", ".feather"):
            opened = need("pyarrow.ipc", "parquet").open_file(pyarrow.memory_map(str(path)))
            _require_columns(path, columns, opened.schema.names)
            for i in range(opened.num_record_batches):
                batch = opened.get_batch(i)
                yield batch if columns is None else batch.select(columns)
            return
        reader = need("pyarrow.csv" if path.suffix == ".csv" else "pyarrow.json", "parquet")
        read = reader.read_csv(path) if path.suffix == ".csv" else reader.read_json(path)
        _require_columns(path, columns, read.column_names)
        yield from (read if columns is None else read.select(columns)).to_batches(BATCH)
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{path}: expected a {path.suffix} file ({error!s:.300})") from None


def taken(path: Path, indices: Indices) -> Any:
    """The rows of a table that have these numbers, ascending, as an Arrow table; the others are
    read a batch at a time."""
    pyarrow = need("pyarrow", "parquet")
    first, found = 0, []
    for batch in table_batches(path):
        low, high = np.searchsorted(indices, [first, first + len(batch)])
        found.append(batch.take(pyarrow.array(indices[low:high] - first)))
        first += len(batch)
    if len(indices) and indices[-1] >= first:
        raise ValueError(f"{path}: expected the rows that were selected from, got {first} rows")
    return pyarrow.Table.from_batches(found)


def n_rows_of(path: Path) -> int:
    """How many rows a table has."""
    if path.suffix == ".parquet":
        with open_regular(path):
            pass
        return int(need("pyarrow.parquet", "parquet").ParquetFile(path).metadata.num_rows)
    return sum(len(batch) for batch in table_batches(path))


def fields_of(path: Path) -> dict[str, str]:
    """The columns of a table and their types."""
    schema = next(table_batches(path)).schema
    return {field.name: str(field.type) for field in schema}


def config(path: Path) -> dict[str, Any]:
    """The options in a file that the command wrote."""
    with open_regular(path) as file:
        try:
            options = json.loads(file.read())
        except ValueError as error:
            raise ValueError(f"config: expected JSON, got {path} ({error})") from None
    if not isinstance(options, dict):
        raise ValueError(f"config: expected an object of options, got {path}")
    return options


def _require_columns(path: Path, columns: list[str] | None, known: list[str]) -> None:
    for column in columns or []:
        if column not in known:
            raise ValueError(
                f"{path}: expected a column among {', '.join(map(repr, known))}, got {column!r}"
            )


def _column_of_rows(name: str, path: Path, column: str | None, scratch_dir: Path | None) -> Array:
    """(N, r) The lists of a column, read a batch at a time into memory or a file of scratch_dir."""
    fields = fields_of(path)
    lists = [field for field, kind in fields.items() if "list" in kind.partition("<")[0]]
    if column is None and len(lists) != 1:
        raise ValueError(
            f"{name}: expected one column of lists in {path}, got {', '.join(lists) or 'none'}; "
            "--column names one"
        )
    column = lists[0] if column is None else column
    N, first, out = n_rows_of(path), 0, None
    for batch in table_batches(path, [column]):
        block = of_arrow(f"{name}[{column!r}]", batch.column(0))
        if out is None:
            width, dtype = block.shape[1], np.dtype(block.dtype.type)
            out = room((N, width), dtype, scratch_dir)
        if block.shape[1] != out.shape[1]:
            raise ValueError(f"{name}: expected lists of one length, got {out.shape[1]} and "
                             f"{block.shape[1]}")  # fmt: skip
        out[first : first + len(block)] = block
        first += len(block)
    if out is None:
        raise ValueError(f"{name}: expected at least one row, got none in {path}")
    return out


def _csr(name: str, path: Path) -> Any:
    with open_regular(path) as file:
        try:
            return need("scipy.sparse", "base").load_npz(file)
        except Exception as error:  # a damaged archive fails in many ways
            raise ValueError(
                f"{name}: expected a .npz that scipy.sparse.save_npz wrote, got {path} "
                f"({error!s:.300})"
            ) from None
