"""What the command reads: rows, labels and row numbers, from files of several kinds."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from .._selection import Selection
from .._support import npy
from .._support.files import open_regular
from .._support.optional import need
from ..sketch.manifest import MANIFEST
from ..sketch.store import SketchStore
from . import tables

KINDS = "a sketch store (a folder), .npy, .npz (CSR), .parquet, .arrow or .feather"
IN_MEMORY = 1 << 30  # bytes of a table above which its rows go to a file


def rows(name: str, path: Path, column: str | None = None, scratch_dir: Path | None = None) -> Any:
    """The rows in a file: those of a .npy as a memory map, of a table those of a column of lists;
    or of the sketch store in a folder."""
    if path.suffix == ".npy":
        return array(name, path, as_map=True)
    if path.suffix == ".npz":
        return _csr(name, path)
    if path.suffix in tables.OF_LISTS:
        column = _column_of_rows(name, path, column)
        return tables.rows_of_lists(name, path, column, scratch_dir)
    if path.is_file() and path.name != MANIFEST:
        raise ValueError(f"{name}: expected {KINDS}, got {path}")
    return SketchStore(path)


def shape(name: str, path: Path, column: str | None = None) -> tuple[int, int]:
    """(N, r) of rows, without reading them."""
    if path.suffix in tables.OF_LISTS:
        width = tables.width(path, _column_of_rows(name, path, column))
        return tables.n_rows(path), width
    found = rows(name, path)
    if isinstance(found, SketchStore):
        return len(found), found.sketch_dim
    if len(found.shape) != 2:
        raise ValueError(f"{name}: expected 2 dimensions, got shape {found.shape}")
    return int(found.shape[0]), int(found.shape[1])


def scratch_for(path: Path, scratch_dir: Path | None) -> Path | None:
    """The folder for what may not fit in memory: where none is given, that of the system for large
    tables."""
    if scratch_dir is None and path.suffix in tables.ENDINGS and path.stat().st_size > IN_MEMORY:
        return Path(tempfile.gettempdir())
    return scratch_dir


def labels(name: str, text: str, X: Path) -> Any:
    """Labels: in a .npy; in FILE:COLUMN of a table; or in a column of the table X."""
    path = Path(text)
    if path.suffix == ".npy":
        return array(name, path)
    file, _, column = text.rpartition(":")
    if file and Path(file).suffix in tables.ENDINGS:
        path = Path(file)
    elif X.suffix in tables.ENDINGS:
        path, column = X, text
    else:
        raise ValueError(f"{name}: expected a .npy, or FILE:COLUMN of a table, got {text}")
    values = tables.column(path, column)
    if values.null_count:
        raise ValueError(f"{name}: expected a label in each row, got {values.null_count} without")
    if "<" in str(values.type):  # lists, structs
        raise ValueError(f"{name}: expected labels in {column!r}, got {values.type}")
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


def _column_of_rows(name: str, path: Path, column: str | None) -> str:
    """The column of lists that is named, or the only one."""
    lists = [
        field for field, kind in tables.fields(path).items() if "list" in kind.partition("<")[0]
    ]
    if column is None and len(lists) != 1:
        raise ValueError(
            f"{name}: expected one column of lists in {path}, got {', '.join(lists) or 'none'}; "
            "--column names one"
        )
    return lists[0] if column is None else column


def _csr(name: str, path: Path) -> Any:
    with open_regular(path) as file:
        try:
            return need("scipy.sparse", "base").load_npz(file)
        except Exception as error:  # a damaged archive fails in many ways
            raise ValueError(
                f"{name}: expected a .npz that scipy.sparse.save_npz wrote, got {path} "
                f"({error!s:.300})"
            ) from None
