"""Checks of meaning at the public border: every function raises TypeError or ValueError naming the
argument, what was expected and what came, or returns the argument in the form the core takes."""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from .. import _core

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

FLOATS = (np.float32, np.float64)
BFLOAT16 = np.uint16  # its bits: NumPy has no such type

BLOCK_BYTES = 1 << 25  # of rows looked at together


def is_torch(x: object) -> bool:
    """Whether x is a torch tensor; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def on_device(x: Any) -> bool:
    """Whether x is a torch tensor of a CUDA device."""
    return is_torch(x) and x.device.type == "cuda"


def like(x: object, result: Array) -> Any:
    """The result as a torch tensor (same memory) where x is one."""
    return sys.modules["torch"].from_numpy(result) if is_torch(x) else result


def row_blocks(x: Any, size: int = BLOCK_BYTES) -> Iterator[slice]:
    """Consecutive slices of the rows of x, each of about `size` bytes."""
    step = max(1, size // max(1, x.shape[1] * x.dtype.itemsize))
    return (slice(i, min(i + step, len(x))) for i in range(0, len(x), step))


def integer(name: str, value: object, least: int, most: int | None = None) -> int:
    """An int in [least, most]; bool is not an int here."""
    expected = f"an int >= {least}" if most is None else f"an int in [{least}, {most}]"
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected {expected}, got the bool {value}")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name}: expected {expected}, got {value!r}") from None
    if number < least or (most is not None and number > most):
        raise ValueError(f"{name}: expected {expected}, got {number}")
    return number


def real(name: str, value: object, above: float = -np.inf, below: float = np.inf) -> float:
    """A finite float in the open interval (above, below)."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(
        value, (int, float, np.floating, np.integer)
    ):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    if not above < number < below:
        raise ValueError(f"{name}: expected a number in ({above}, {below}), got {number}")
    return number


def seed(value: object) -> int:
    return integer("seed", value, 0, 2**64 - 1)


def threads(n_threads: object) -> int:
    return (
        _core.default_threads() if n_threads is None else integer("n_threads", n_threads, 1, 1024)
    )


def choice(name: str, value: object, among: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in among:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, among))}, got {value!r}")
    return value


def float_type(name: str, dtype: Any) -> np.dtype[Any]:
    """float32 or float64."""
    with suppress(TypeError):
        given: np.dtype[Any] = np.dtype(object if dtype is None else dtype)
        if given in FLOATS:
            return given
    raise TypeError(f"{name}: expected float32 or float64, got {dtype!r}")


def count(n: object, n_samples: int) -> int:
    """n as a number of rows: an int in [1, N], or a share of N in (0, 1), at least one row."""
    if isinstance(n, (float, np.floating)):
        if not 0 < n < 1:
            raise ValueError(f"n: expected an int, or a float in (0, 1) as a share of N, got {n}")
        return max(1, round(float(n) * n_samples))
    return integer("n", n, 1, n_samples)


def boolean(name: str, value: object) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected True or False, got {value!r}")
    return bool(value)


def numpy_view(name: str, x: Any, bits: Any = None) -> Any:
    """The memory of a dense CPU tensor as a NumPy array, seen as the torch type `bits` where given;
    anything else as it is."""
    if not is_torch(x):
        return x
    if x.device.type != "cpu":
        raise TypeError(f"{name}: expected a tensor on the CPU, got one on {x.device}")
    try:
        return (x.detach() if bits is None else x.detach().view(bits)).numpy()
    except (TypeError, RuntimeError):  # NotImplementedError is one
        raise TypeError(
            f"{name}: expected a dense tensor of a NumPy type, got {x.layout} of {x.dtype}"
        ) from None


def dense(name: str, x: object, ndim: int = 2, types: tuple[type, ...] = FLOATS) -> Array:
    """A NumPy view (no copy) of an array or CPU tensor of such a type with contiguous rows."""
    x = numpy_view(name, x)
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
    """As `dense`, and 16-bit floats: float16, and a torch tensor of bfloat16 as BFLOAT16."""
    if is_torch(x) and str(x.dtype) == "torch.bfloat16":
        bits = numpy_view(name, x, sys.modules["torch"].int16)
        return dense(name, bits.view(BFLOAT16), types=(BFLOAT16,))
    return dense(name, x, types=(np.float16, *FLOATS))


def tensor(name: str, x: Any, types: tuple[str, ...] = ("float32", "float64")) -> Any:
    """A dense matrix of such a type on a device, without its history."""
    if str(x.layout) != "torch.strided" or str(x.dtype).removeprefix("torch.") not in types:
        raise TypeError(
            f"{name}: expected a dense tensor of {' or '.join(types)}, got {x.layout} of {x.dtype}"
        )
    if x.ndim != 2:
        raise ValueError(f"{name}: expected 2 dimension(s), got shape {tuple(x.shape)}")
    if x.numel() == 0:
        raise ValueError(
            f"{name}: expected at least one row and one column, got shape {tuple(x.shape)}"
        )
    return x.detach()


def widened(x: Array) -> Array:
    """x as float32 where it has 16 bits."""
    if x.dtype == BFLOAT16:
        return (x.astype(np.uint32) << 16).view(np.float32)
    return x.astype(np.float32) if x.dtype == np.float16 else x


def csr(name: str, x: Any) -> sp.csr_array:
    """A canonical CSR matrix (sorted, duplicates summed): x itself where it is one."""
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
    rises = indices[1 : indptr[-1]] > indices[: max(indptr[-1] - 1, 0)]
    starts = indptr[(indptr > 0) & (indptr < indptr[-1])]
    rises[starts - 1] = True
    return bool(rises.all())


def _finite(x: Array) -> npt.NDArray[np.bool_]:
    return (x & 0x7F80) != 0x7F80 if x.dtype == BFLOAT16 else np.isfinite(x)


def finite_rows(x: Any) -> npt.NDArray[np.bool_]:
    """(N,) whether all entries of a row of an array or a canonical CSR matrix are finite."""
    if isinstance(x, np.ndarray):
        return np.concatenate([_finite(x[rows]).all(axis=1) for rows in row_blocks(x)])
    finite = np.ones(x.shape[0], np.bool_)
    row_of_entry = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
    finite[row_of_entry[~np.isfinite(x.data[: x.indptr[-1]])]] = False
    return finite


def raise_not_finite(name: str, finite: npt.NDArray[np.bool_]) -> None:
    """The error for rows that are not finite; nothing where all are."""
    bad = np.flatnonzero(~finite)
    if len(bad):
        raise ValueError(
            f"{name}: expected finite values, got NaN or Inf in {len(bad)} of {len(finite)} rows, "
            f"first in row {bad[0]}"
        )


def sketch_matrix(name: str, z: object) -> Array:
    """A C-contiguous (N, m) float32 or float64 array."""
    x = dense(name, z)
    if not x.flags.c_contiguous:
        raise ValueError(
            f"{name}: expected a C-contiguous array, got strides {x.strides}; "
            f"np.ascontiguousarray({name}) makes it so"
        )
    return x


def vector(name: str, x: Any) -> Array:
    """A 1-d array, from an array, a CPU tensor or a sequence."""
    try:
        array: Array = np.asarray(numpy_view(name, x))
    except ValueError as error:
        raise ValueError(f"{name}: expected a vector, got {type(x).__name__} ({error})") from None
    if array.ndim != 1:
        raise ValueError(f"{name}: expected 1 dimension, got shape {array.shape}")
    return array


def rows(name: str, indices: object, n_samples: int) -> Indices:
    """Distinct row numbers in [0, N), ascending; None is none."""
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
        raise ValueError(f"{name}: expected distinct rows, got {twice} more than once")
    return distinct.astype(np.int64)


def inclusion_probabilities(name: str, s: Any, n: int, n_rows: int | None = None) -> Floats:
    """π = n s as float64 in [0, 1] with sum n to rounding; s may be off by 1e-6 (a tenth of 1/n).

    Raises where s is not a float vector (of length n_rows), leaves [0, 1/n] or does not sum to 1.
    """
    s = dense(name, s, ndim=1)
    if n_rows is not None and len(s) != n_rows:
        raise ValueError(f"{name}: expected shape ({n_rows},), got {s.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(s.sum(dtype=np.float64))
    if not np.isfinite(total):
        raise_not_finite(name, np.isfinite(s))
    if not abs(total - 1) <= min(1e-6, 0.1 / n):
        raise ValueError(f"{name}: expected entries that sum to 1, got sum {total:.9g}")
    if s.min() < 0 or s.max() * n > 1 + 1e-6:
        outside = np.flatnonzero((s < 0) | (s * n > 1 + 1e-6))
        raise ValueError(
            f"{name}: expected entries in [0, 1/n = {1 / n:.6g}], got {s[outside[0]]:.6g} in row "
            f"{outside[0]} ({len(outside)} such rows)"
        )
    pi: Floats = np.multiply(s, n, dtype=np.float64)
    np.minimum(pi, 1, out=pi)
    for _ in range(2):  # to the last bits: the rows strictly inside carry the rest
        full = pi == 1
        inside = pi[(pi > 0) & ~full].sum()
        if inside > 0:
            pi *= (n - np.count_nonzero(full)) / inside
            pi[full] = 1
            np.minimum(pi, 1, out=pi)
    if abs(pi.sum() - n) > 1e-6:
        raise ValueError(f"{name}: expected entries that sum to 1 with none above 1/n, n = {n}")
    return pi


def permutation(name: str, order: object, n_rows: int) -> Indices:
    """An int64 array in which each of 0..N-1 occurs once."""
    x = dense(name, order, ndim=1, types=(np.int64,))
    if x.shape != (n_rows,):
        raise ValueError(f"{name}: expected shape ({n_rows},), got {x.shape}")
    if x.min() < 0 or x.max() >= n_rows:
        bad = x[(x < 0) | (x >= n_rows)][0]
        raise ValueError(f"{name}: expected rows in [0, {n_rows - 1}], got {bad}")
    missing = np.ones(n_rows, np.bool_)
    missing[x] = False
    if missing.any():
        raise ValueError(
            f"{name}: expected each row once, got {missing.sum()} of {n_rows} rows not at all, "
            f"first row {missing.argmax()}"
        )
    return x


def vector_of_ids(sample_ids: object, length: int, needed: bool) -> Indices:
    """(B,) int64 sample ids, empty where not needed."""
    if not needed:
        return np.empty(0, np.int64)
    if sample_ids is None:
        raise ValueError("sample_ids: expected ids with targets='random', got None")
    ids = vector("sample_ids", sample_ids)
    if ids.dtype.kind not in "iu" or ids.shape != (length,):
        raise ValueError(
            f"sample_ids: expected {length} integers, got shape {ids.shape} of {ids.dtype}"
        )
    return np.ascontiguousarray(ids, np.int64)


def constraints(n_rows: int, n: int, include: object, exclude: object) -> tuple[Indices, Indices]:
    """include and exclude as row numbers that leave a selection of n rows possible."""
    included, excluded = rows("include", include, n_rows), rows("exclude", exclude, n_rows)
    both = np.intersect1d(included, excluded)
    if len(both):
        raise ValueError(f"exclude: expected no row of include, got row {both[0]} in both")
    if len(included) > n:
        raise ValueError(f"include: expected at most n = {n} rows, got {len(included)}")
    if n > n_rows - len(excluded):
        raise ValueError(
            f"exclude: expected to leave n = {n} rows, got {len(excluded)} of {n_rows} excluded"
        )
    return included, excluded


def others(n_rows: int, *taken: Indices) -> Indices:
    """The rows that are in none of these, ascending."""
    free = np.ones(n_rows, bool)
    for indices in taken:
        free[indices] = False
    return np.flatnonzero(free)
