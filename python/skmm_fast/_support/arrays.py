"""Checks of matrices and vectors at the public border.

Each function checks what an argument means (its type, shape and layout; the bindings check memory)
and returns it in the form that the package uses. It raises TypeError or ValueError, and the message
says the argument, what was expected and what was given.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from . import tensors
from .checks import FLOATS
from .types import Array, Floats, Indices

BFLOAT16 = np.uint16  # holds the bits of bfloat16, which NumPy lacks
BLOCK_BYTES = 1 << 25  # bytes of rows that are looked at together


def row_blocks(x: Any, size: int = BLOCK_BYTES) -> Iterator[slice]:
    """Consecutive slices of the rows of x, each of about `size` bytes."""
    step = max(1, size // max(1, x.shape[1] * x.dtype.itemsize))
    return (slice(i, min(i + step, len(x))) for i in range(0, len(x), step))


def matrix(name: str, X: Any) -> Any:
    """The rows of X, floats of 16 to 64 bits, as a NumPy view, a canonical CSR matrix, or a CUDA
    tensor on its own device."""
    if tensors.on_device(X):
        return tensors.device_matrix(name, X, ("float16", "bfloat16", "float32", "float64"))
    return csr(name, X) if sp.issparse(X) else gradients(name, X)


def dense(name: str, x: object, ndim: int = 2, types: tuple[type, ...] = FLOATS) -> Array:
    """A NumPy view, not a copy, of an array or CPU tensor. It must have one of `types`, `ndim`
    dimensions, and contiguous elements in each row."""
    x = tensors.numpy_view(name, x)
    if not isinstance(x, np.ndarray) or isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name}: expected an array, got {type(x).__name__}")
    if x.dtype not in types:
        raise TypeError(f"{name}: expected {' or '.join(t.__name__ for t in types)}, got {x.dtype}")
    if x.ndim != ndim:
        raise ValueError(f"{name}: expected {ndim} dimension(s), got shape {x.shape}")
    if x.size == 0:
        raise ValueError(f"{name}: expected at least one row and one column, got shape {x.shape}")
    contiguous = x.shape[-1] == 1 or x.strides[-1] == x.itemsize
    if not (contiguous and x.flags.aligned and x.strides[0] % x.itemsize == 0):
        raise ValueError(
            f"{name}: expected rows of contiguous elements, got strides {x.strides} of itemsize "
            f"{x.itemsize}; np.ascontiguousarray({name}) makes them so"
        )
    return x


def gradients(name: str, x: Any) -> Array:
    """A view as from `dense`, where 16-bit floats are allowed too: float16, or a CPU tensor of
    bfloat16, which becomes a view of type BFLOAT16."""
    if tensors.is_torch(x) and str(x.dtype) == "torch.bfloat16":
        bits = tensors.numpy_view(name, x, sys.modules["torch"].int16)
        return dense(name, bits.view(BFLOAT16), types=(BFLOAT16,))
    return dense(name, x, types=(np.float16, *FLOATS))


def contiguous_matrix(name: str, z: object) -> Array:
    """A C-contiguous (N, m) float32 or float64 array."""
    x = dense(name, z)
    if not x.flags.c_contiguous:
        raise ValueError(
            f"{name}: expected a C-contiguous array, got strides {x.strides}; "
            f"np.ascontiguousarray({name}) makes it so"
        )
    return x


def widened(x: Array) -> Array:
    """x as float32 if it has 16 bits, else x itself."""
    if x.dtype == BFLOAT16:
        return (x.astype(np.uint32) << 16).view(np.float32)
    return x.astype(np.float32) if x.dtype == np.float16 else x


def csr(name: str, x: Any) -> sp.csr_array:
    """x as a canonical CSR matrix, in which the column indices of a row ascend without duplicates.

    It is x itself if x is canonical, else a copy in which duplicates are summed.
    """
    if x.format != "csr":
        raise TypeError(f"{name}: expected CSR, got {x.format}; {name}.tocsr() converts it")
    if x.ndim != 2:
        raise ValueError(f"{name}: expected 2 dimensions, got shape {x.shape}")
    if x.dtype not in FLOATS:
        raise TypeError(f"{name}: expected float32 or float64, got {x.dtype}")
    rows, cols = x.shape
    if rows == 0 or cols == 0:
        raise ValueError(f"{name}: expected at least one row and one column, got shape {x.shape}")
    for part, array, types in (
        ("data", x.data, FLOATS),
        ("indices", x.indices, (np.int32, np.int64)),
        ("indptr", x.indptr, (np.int32, np.int64)),
    ):
        if not isinstance(array, np.ndarray) or array.dtype not in types:
            got = getattr(array, "dtype", type(array).__name__)
            raise TypeError(
                f"{name}: expected {part} of {' or '.join(t.__name__ for t in types)}, got {got}"
            )
        if array.ndim != 1 or not (array.flags.c_contiguous and array.flags.aligned):
            raise ValueError(f"{name}: expected {part} to be a contiguous, aligned vector")
    nnz = len(x.indices)
    if len(x.data) != nnz or len(x.indptr) != rows + 1:
        raise ValueError(
            f"{name}: expected as many values as indices and {rows + 1} indptr entries, got "
            f"{len(x.data)}, {nnz} and {len(x.indptr)}"
        )
    if x.indptr[0] != 0 or (np.diff(x.indptr) < 0).any() or x.indptr[-1] > nnz:
        raise ValueError(f"{name}: expected indptr to rise from 0 to at most {nnz} (the entries)")
    if nnz and not (x.indices.min() >= 0 and x.indices.max() < cols):
        raise ValueError(
            f"{name}: expected column indices in [0, {cols - 1}], got "
            f"{x.indices.min()} to {x.indices.max()}"
        )
    if not _ascending_rows(x.indices, x.indptr):  # SciPy's own flag may be stale
        x = sp.csr_array((x.data.copy(), x.indices.copy(), x.indptr.copy()), shape=x.shape)
        x.sum_duplicates()
    return x  # type: ignore[no-any-return]


def _ascending_rows(indices: Array, indptr: Array) -> bool:
    """Whether the column indices of each row of a CSR matrix ascend strictly."""
    rises = indices[1 : indptr[-1]] > indices[: max(indptr[-1] - 1, 0)]
    starts = indptr[(indptr > 0) & (indptr < indptr[-1])]
    rises[starts - 1] = True
    return bool(rises.all())


def _finite(x: Array) -> npt.NDArray[np.bool_]:
    """Which entries are finite; bfloat16 is not if all bits of its exponent are set."""
    return (x & 0x7F80) != 0x7F80 if x.dtype == BFLOAT16 else np.isfinite(x)


def finite_rows(x: Any) -> npt.NDArray[np.bool_]:
    """For each of the N rows of an array or a canonical CSR matrix, whether all its entries are
    finite."""
    if isinstance(x, np.ndarray):
        return np.concatenate([_finite(x[rows]).all(axis=1) for rows in row_blocks(x)])
    finite = np.ones(x.shape[0], np.bool_)
    row_of_entry = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
    finite[row_of_entry[~np.isfinite(x.data[: x.indptr[-1]])]] = False
    return finite


def raise_not_finite(name: str, finite: npt.NDArray[np.bool_]) -> None:
    """Raises ValueError if an entry of `finite`, one for each row, is False."""
    bad = np.flatnonzero(~finite)
    if len(bad):
        raise ValueError(
            f"{name}: expected finite values, got NaN or Inf in {len(bad)} of {len(finite)} rows, "
            f"first in row {bad[0]}"
        )


def vector(name: str, x: Any) -> Array:
    """An array, a CPU tensor or a sequence as a 1-d array."""
    if isinstance(x, np.ma.MaskedArray) and np.any(x.mask):
        raise ValueError(f"{name}: expected no masked entry, got {np.sum(x.mask)}")
    try:
        array: Array = np.asarray(tensors.numpy_view(name, x))
    except ValueError as error:
        raise ValueError(f"{name}: expected a vector, got {type(x).__name__} ({error})") from None
    if array.ndim != 1:
        raise ValueError(f"{name}: expected 1 dimension, got shape {array.shape}")
    return array


def rows(name: str, indices: object, n_samples: int) -> Indices:
    """Distinct row numbers in [0, N), ascending; an empty array for None."""
    x = vector(name, [] if indices is None else indices)
    if x.size == 0:
        return np.empty(0, np.int64)
    if x.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integer row numbers, got {x.dtype}")
    bad = x[(x < 0) | (x >= n_samples)]
    if len(bad):
        raise ValueError(f"{name}: expected rows in [0, {n_samples - 1}], got {bad[0]}")
    distinct, times = np.unique(x, return_counts=True)
    if len(distinct) < len(x):
        twice = distinct[times > 1][0]
        raise ValueError(f"{name}: expected distinct rows, got row {twice} more than once")
    return distinct.astype(np.int64)


def weights(name: str, given: object, n: int) -> Floats:
    """(n,) positive numbers, scaled to mean 1; ones for None."""
    if given is None:
        return np.ones(n)
    x = vector(name, given)
    if x.shape != (n,):
        raise ValueError(f"{name}: expected shape ({n},), got {x.shape}")
    if x.dtype.kind not in "iuf":
        raise TypeError(f"{name}: expected numbers, got {x.dtype}")
    omega = x.astype(np.float64)
    bad = np.flatnonzero(~((omega > 0) & (omega < np.inf)))
    if len(bad):
        raise ValueError(f"{name}: expected positive numbers, got {omega[bad[0]]} in {bad[0]}")
    scaled: Floats = omega / omega.mean()
    return scaled
