"""What a person has as a matrix: frames, tables, lists, other orders and types of numbers.

What the package reads where it lies stays there. Anything else is copied here, once, and never a
memory map, which may be larger than memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from ._support import tensors
from ._support.types import Array
from .sketch.memmap import is_mapped


def as_matrix(name: str, X: Any) -> Any:
    """X, or a copy of X as an array or a CSR matrix of floats, for the checks of `arrays.matrix`.

    Raises TypeError or ValueError that names the argument where X is no matrix of numbers.
    """
    library = type(X).__module__.partition(".")[0]
    if library == "pandas":
        X = _of_pandas(name, X)
    elif library == "polars":
        X = _of_polars(name, X)
    elif library == "pyarrow":
        X = of_arrow(name, X)
    elif isinstance(X, (list, tuple)):
        X = _of_list(name, X)
    if sp.issparse(X):
        return _as_csr(name, X)
    if tensors.is_torch(X):
        return _strided(name, X)
    if isinstance(X, np.ndarray) and X.ndim == 2 and not isinstance(X, np.ma.MaskedArray):
        return _floats(X)
    return X


def of_arrow(name: str, X: Any) -> Array:
    """(N, r) A table of numeric columns, a table of one column of lists, or such a column."""
    if hasattr(X, "column_names"):
        if X.num_columns != 1 or not _holds_lists(X.column(0)):
            columns = zip(X.column_names, X.columns, strict=True)
            return _side_by_side([_of_arrow_numbers(f"{name}[{c!r}]", x) for c, x in columns], name)
        X = X.column(0)
    if hasattr(X, "combine_chunks"):
        X = X.combine_chunks()
    if not _holds_lists(X):
        raise TypeError(f"{name}: expected a column of lists of numbers, got {X.type}")
    if X.null_count:
        raise ValueError(f"{name}: expected a list in each row, got {X.null_count} rows without")
    lengths = np.unique(X.value_lengths().to_numpy(zero_copy_only=False))
    if len(lengths) != 1:
        said = f"{lengths[:2].tolist()}" if len(lengths) else "no rows"
        raise ValueError(f"{name}: expected lists of one length, got {said}")
    values = _of_arrow_numbers(name, X.flatten())
    return values.reshape(len(X), int(lengths[0]))


def _holds_lists(column: Any) -> bool:
    return "list" in str(column.type).partition("<")[0]


def _of_arrow_numbers(name: str, column: Any) -> Array:
    """(N,) Missing numbers become NaN."""
    values: Array = column.to_numpy(zero_copy_only=False) if not hasattr(column, "chunks") else (
        column.to_numpy()
    )  # fmt: skip
    if values.dtype == object and str(column.type) == "bool":  # with nulls
        values = values.astype(np.float64)
    if values.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected numbers, got {column.type}")
    return values


def _of_pandas(name: str, X: Any) -> Any:
    if not hasattr(X, "columns"):  # a series of lists
        return _of_list(name, X.tolist())
    if not len(X.columns):
        raise ValueError(f"{name}: expected at least one row and one column, got no column")
    sparse = [hasattr(dtype, "fill_value") for dtype in X.dtypes]
    if all(sparse) and all(dtype.fill_value == 0 for dtype in X.dtypes):
        return X.sparse.to_coo()
    if any(sparse):
        dense = {i: dtype.subtype for i, dtype in enumerate(X.dtypes) if sparse[i]}
        X = X.set_axis(range(X.shape[1]), axis=1).astype(dense)
    for column, dtype in X.dtypes.items():
        if getattr(dtype, "kind", "O") not in "biuf":
            raise TypeError(f"{name}: expected columns of numbers, got {dtype} in {column!r}")
    types = {np.dtype(getattr(dtype, "numpy_dtype", dtype)) for dtype in X.dtypes}
    return X.to_numpy(dtype=float_type(np.result_type(*types)), na_value=np.nan)


def _of_polars(name: str, X: Any) -> Any:
    if hasattr(X, "collect"):
        raise TypeError(
            f"{name}: expected a DataFrame, got a LazyFrame; {name}.collect() makes one"
        )
    if not hasattr(X, "columns"):  # a series of lists
        return _of_list(name, X.to_list())
    return _side_by_side([_polars_column(name, c, X[c]) for c in X.columns], name)


def _polars_column(name: str, column: str, x: Any) -> Array:
    if not (x.dtype.is_numeric() or str(x.dtype) == "Boolean"):
        raise TypeError(f"{name}: expected columns of numbers, got {x.dtype} in {column!r}")
    values: Array = x.to_numpy()
    return values.astype(np.float64) if values.dtype == object else values


def _side_by_side(columns: list[Array], name: str) -> Array:
    if not columns:
        raise ValueError(f"{name}: expected at least one row and one column, got no column")
    return np.stack(columns, axis=1).astype(
        float_type(np.result_type(*(column.dtype for column in columns))), copy=False
    )


def _of_list(name: str, X: Any) -> Array:
    try:
        rows = np.asarray([tensors.numpy_view(name, x) for x in X])
    except ValueError:
        said = f"{name}: expected rows of one length, got a list of unequal ones"
        raise ValueError(said) from None
    if rows.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected rows of numbers, got a list of {rows.dtype}")
    return rows


def _as_csr(name: str, X: Any) -> Any:
    if X.ndim == 2 and X.format != "csr":
        _require_sound(name, X)  # SciPy's conversion trusts it
        X = X.tocsr()
    if X.format == "csr" and X.dtype.kind in "biu":
        X = X.astype(float_type(X.dtype))
    return X


def _require_sound(name: str, X: Any) -> None:
    """Raises ValueError where a CSC, BSR or COO matrix has an entry outside its shape."""
    if X.format in ("csc", "bsr"):
        try:
            X.check_format(full_check=True)
        except ValueError as error:
            kind = X.format.upper()
            raise ValueError(
                f"{name}: expected a sound {kind} matrix, got one with {error}"
            ) from None
    if X.format != "coo":
        return
    for axis, index in enumerate((X.row, X.col)):
        if index.dtype.kind not in "iu":
            raise ValueError(f"{name}: expected indices of integers, got {index.dtype}")
        if len(index) and not 0 <= index.min() <= index.max() < X.shape[axis]:
            raise ValueError(
                f"{name}: expected indices in [0, {X.shape[axis] - 1}] along axis {axis}, got "
                f"{index.min()} to {index.max()}"
            )


def _strided(name: str, X: Any) -> Any:
    """A dense tensor on the CPU with rows of contiguous elements, of floats; others as they are."""
    if X.device.type != "cpu" or str(X.layout) != "torch.strided" or X.ndim != 2:
        return X
    if not (X.is_floating_point() or X.is_complex()):
        return _floats(tensors.numpy_view(name, X))
    return X if X.stride(1) == 1 or X.shape[1] == 1 else X.contiguous()


def _floats(X: Array) -> Array:
    """The array in native floats with rows of contiguous elements, where it is in memory."""
    if is_mapped(X):
        return X
    if X.dtype.kind in "biu" or (X.dtype.kind == "f" and not X.dtype.isnative):
        return X.astype(float_type(X.dtype), order="C")
    whole = X.strides[0] % X.itemsize == 0 and X.flags.aligned
    if X.dtype.kind == "f" and not (whole and (X.shape[1] == 1 or X.strides[1] == X.itemsize)):
        return np.ascontiguousarray(X)
    return X


def float_type(dtype: Any) -> np.dtype[Any]:
    """The type of floats that holds numbers of this type, large integers to rounding."""
    if dtype.kind == "f":
        native: np.dtype[Any] = dtype.newbyteorder("=")
        return native
    return np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)
