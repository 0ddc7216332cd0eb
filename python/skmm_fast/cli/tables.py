"""Tables in files: Parquet, Arrow, CSV and JSON Lines. Parquet and Arrow files are read a batch at
a time, JSON Lines a line at a time, CSV whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .._as_matrix import float_type, of_arrow
from .._support.files import open_regular
from .._support.optional import need
from .._support.scratch import room
from .._support.types import Array, Indices

OF_LISTS = (".parquet", ".arrow", ".feather")  # whose columns may hold rows
ENDINGS = (*OF_LISTS, ".csv", ".jsonl")
BATCH = 1 << 14  # rows that are read at a time


def n_rows(path: Path) -> int:
    """How many rows a table has."""
    if path.suffix == ".jsonl":
        return sum(1 for _ in _lines(path))
    if path.suffix == ".parquet":
        return int(_parquet(path).metadata.num_rows)
    return sum(len(batch) for batch in _batches(path))


def fields(path: Path) -> dict[str, str]:
    """The columns of a table and their types."""
    if path.suffix == ".jsonl":
        for row in _objects(path):
            return {name: type(value).__name__ for name, value in row.items()}
        return {}
    if path.suffix == ".parquet":
        schema: Any = _parquet(path).schema_arrow
    else:
        schema = next((batch.schema for batch in _batches(path)), ())
    return {field.name: str(field.type) for field in schema}


def column(path: Path, name: str) -> Any:
    """A column of a table, as Arrow has it. Raises ValueError where it is not there, or is not of
    one type."""
    pyarrow = need("pyarrow", "parquet")
    if path.suffix != ".jsonl":
        return pyarrow.chunked_array([batch.column(name) for batch in _batches(path, name)])
    values, known = [], dict[str, None]()
    for row in _objects(path):
        values.append(row.get(name))
        known.update(dict.fromkeys(row))
    _require(path, name, list(known))
    try:
        return pyarrow.chunked_array([pyarrow.array(values)])
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
        raise ValueError(f"{path}: expected one type in {name!r} ({error!s:.300})") from None


def taken(path: Path, indices: Indices) -> Any:
    """The rows of a table that have these numbers, ascending, as an Arrow table."""
    pyarrow = need("pyarrow", "parquet")
    first, found = 0, []
    if path.suffix == ".jsonl":
        wanted = set(indices.tolist())
        rows = [row for number, row in enumerate(_objects(path)) if number in wanted]
        return pyarrow.Table.from_pylist(rows)
    for batch in _batches(path):
        low, high = np.searchsorted(indices, [first, first + len(batch)])
        found.append(batch.take(pyarrow.array(indices[low:high] - first)))
        first += len(batch)
    return pyarrow.Table.from_batches(found)


def width(path: Path, name: str) -> int:
    """r, the length of the lists of a column."""
    first = next(_batches(path, name), None)
    return 0 if first is None else of_arrow(f"X[{name!r}]", first.column(name)).shape[1]


def rows_of_lists(what: str, path: Path, name: str, scratch_dir: Path | None) -> Array:
    """(N, r) The lists of a column, read a batch at a time into memory or a file of scratch_dir.
    Errors call them `what`."""
    N, first, out = n_rows(path), 0, None
    for batch in _batches(path, name):
        block = of_arrow(f"{what}[{name!r}]", batch.column(name))
        if out is None:
            # Integers as floats, for a missing number in a later batch is NaN.
            out = room((N, block.shape[1]), float_type(block.dtype), scratch_dir)
        if block.shape[1] != out.shape[1]:
            raise ValueError(
                f"{what}: expected lists of one length, got {out.shape[1]} and {block.shape[1]}"
            )
        out[first : first + len(block)] = block
        first += len(block)
    if out is None:
        raise ValueError(f"{what}: expected at least one row, got none in {path}")
    return out


def _batches(path: Path, name: str | None = None) -> Iterator[Any]:
    """The rows of a table, or of one of its columns, some thousand at a time."""
    pyarrow = need("pyarrow", "parquet")
    columns = None if name is None else [name]
    try:
        if path.suffix == ".parquet":
            file = _parquet(path)
            _require(path, name, file.schema_arrow.names)
            yield from file.iter_batches(BATCH, columns=columns)
            return
        if path.suffix == ".csv":
            _require_regular(path)
            csv = need("pyarrow.csv", "parquet")
            made = csv.read_csv(path, parse_options=csv.ParseOptions(newlines_in_values=True))
            batches: Any = made.to_batches(BATCH)
            known = made.column_names
        else:
            _require_regular(path)
            batches, known = _of_ipc(path)
        _require(path, name, known)
        yield from (batch if columns is None else batch.select(columns) for batch in batches)
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{path}: expected a {path.suffix} file ({error!s:.300})") from None


def _of_ipc(path: Path) -> tuple[Iterator[Any], list[str]]:
    """The batches of an Arrow file, or of a stream, as Hugging Face writes it, and its columns."""
    pyarrow, ipc = need("pyarrow", "parquet"), need("pyarrow.ipc", "parquet")
    source = pyarrow.memory_map(str(path))
    try:
        file = ipc.open_file(source)
    except pyarrow.ArrowInvalid:
        source.seek(0)
        stream = ipc.open_stream(source)
        return iter(stream), stream.schema.names
    return (file.get_batch(i) for i in range(file.num_record_batches)), file.schema.names


def _parquet(path: Path) -> Any:
    _require_regular(path)
    pyarrow = need("pyarrow", "parquet")
    try:
        # Without pre_buffer: else what was read stays in memory until the end.
        return need("pyarrow.parquet", "parquet").ParquetFile(path, pre_buffer=False)
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{path}: expected a .parquet file ({error!s:.300})") from None


def _require_regular(path: Path) -> None:
    """No FIFO, and an error that names the file."""
    with open_regular(path):
        pass


def _lines(path: Path) -> Iterator[bytes]:
    with open_regular(path) as file:
        for line in file:
            if line.strip():
                yield line


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of JSON Lines."""
    for number, line in enumerate(_lines(path)):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}: expected JSON in sample {number} ({error})") from None
        if not isinstance(row, dict):
            got = type(row).__name__
            raise ValueError(f"{path}: expected an object in sample {number}, got {got}")
        yield row


def _require(path: Path, name: str | None, known: list[str]) -> None:
    if name is not None and name not in known:
        raise ValueError(
            f"{path}: expected a column among {', '.join(map(repr, known))}, got {name!r}"
        )
