"""Stage 1: Z = GΓ with a random Γ that is never stored (SkMM, arXiv 2407.06120, section 3.2)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from . import _core, _validate
from ._progress import bar

KINDS = ("sparse-sign", "gaussian")


class Sketch(ABC):
    """A random matrix Γ of shape (in_dim, out_dim) with E[ΓΓᵀ] = I, held as its seed.

    Row j of Γ is a function of (seed, kind, out_dim, nnz_per_row, j) alone, so that batches, chunks
    of columns, threads and machines all see the same Γ.
    """

    in_dim: int
    out_dim: int
    seed: int

    def __post_init__(self) -> None:
        _validate.integer("in_dim", self.in_dim, 1, 2**62)
        _validate.integer("out_dim", self.out_dim, 1, 2**24 - 1)
        if self.out_dim > self.in_dim:
            raise ValueError(
                f"out_dim: expected at most in_dim = {self.in_dim}, got {self.out_dim}; "
                "a sketch does not widen"
            )
        _validate.seed(self.seed)

    @property
    @abstractmethod
    def _core(self) -> Any: ...

    def apply(
        self,
        G: Any,
        out: Any = None,
        col_offset: int = 0,
        accumulate: bool = False,
        n_threads: int | None = None,
        progress: bool = False,
    ) -> Any:
        """Z = G Γ[col_offset : col_offset + G.shape[1]], or `out` += that where `accumulate`.

        Parameters
        ----------
        G : (N, c) array of float32 or float64
            NumPy (rows of contiguous elements, `np.memmap` too), SciPy CSR, or a torch tensor on
            the CPU; not copied. c must be in_dim, unless `col_offset` or `accumulate` say that
            this is one of several chunks of columns.
        out : (N, out_dim) array, C-contiguous, of the dtype of G; made where None.
        col_offset : int
            The row of Γ that belongs to the first column of G.
        accumulate : bool
            Add to `out`: gradients that arrive layer by layer.
        n_threads : int, optional
            Threads of the core; default: OpenMP's.
        progress : bool
            Show a progress bar (needs tqdm).

        Returns
        -------
        (N, out_dim) array: `out` itself, or a new one of G's dtype and kind (NumPy or torch).

        The bits do not depend on n_threads, the ISA level, or how rows are split into calls.

        Raises
        ------
        TypeError, ValueError
            Wrong dtype, shape, memory layout or CSR structure; NaN or Inf in G (the number of rows
            and the first one are named, `out` is then undefined); overflow of the sketch.
        """
        return self._apply("G", G, out, col_offset, accumulate, n_threads, progress)

    def _apply(
        self,
        name: str,
        G: Any,
        out: Any = None,
        col_offset: int = 0,
        accumulate: bool = False,
        n_threads: int | None = None,
        progress: bool = False,
    ) -> Any:
        """`apply` of an argument that the caller knows by another name."""
        A = _validate.csr(name, G) if sp.issparse(G) else _validate.dense(name, G)
        n, cols = A.shape
        col_offset = _validate.integer("col_offset", col_offset, 0, self.in_dim - 1)
        accumulate = _validate.boolean("accumulate", accumulate)
        whole = col_offset == 0 and not accumulate
        if cols > self.in_dim - col_offset or (whole and cols != self.in_dim):
            expected = f"{self.in_dim}" if whole else f"at most {self.in_dim - col_offset}"
            raise ValueError(f"{name}: expected {expected} columns, got shape {A.shape}")
        Z = np.empty((n, self.out_dim), A.dtype) if out is None else self._checked_out(out, name, A)
        if accumulate:
            if out is None:
                raise ValueError("out: expected an array to accumulate in, got None")
            _validate.raise_not_finite("out", _validate.finite_rows(Z))
        call = (col_offset, accumulate, _validate.threads(n_threads), Z)
        if sp.issparse(A):
            nnz = int(A.indptr[-1])
            index = np.promote_types(A.indices.dtype, A.indptr.dtype)
            indices, indptr = (x.astype(index, copy=False) for x in (A.indices[:nnz], A.indptr))
            with bar("sketch", nnz, progress, "nonzeros") as tick:
                self._core.sketch_csr(A.data[:nnz], indices, indptr, cols, *call, tick)
        else:
            with bar("sketch", n * cols, progress, "entries") as tick:
                self._core.sketch_dense(A, *call, tick)
        self._check_finite(name, A, Z)
        return _validate.like(G, Z) if out is None else out

    def _checked_out(self, out: Any, name: str, A: Any) -> _validate.Array:
        Z = _validate.dense("out", out)
        if Z.shape != (A.shape[0], self.out_dim) or Z.dtype != A.dtype:
            raise ValueError(
                f"out: expected shape {(A.shape[0], self.out_dim)} of {A.dtype}, "
                f"got {Z.shape} of {Z.dtype}"
            )
        if not (Z.flags.c_contiguous and Z.flags.writeable):
            raise ValueError("out: expected a C-contiguous, writeable array")
        if np.may_share_memory(Z, A if isinstance(A, np.ndarray) else A.data):
            raise ValueError(f"out: expected memory apart from that of {name}")
        return Z

    def _check_finite(self, name: str, A: Any, Z: _validate.Array) -> None:
        # Every entry of a row of G reaches its row of Z: a finite Z proves a finite G.
        finite = _validate.finite_rows(Z)
        if finite.all():
            return
        _validate.raise_not_finite(name, _validate.finite_rows(A))
        raise ValueError(
            f"{name}: expected values whose sketch stays below {np.finfo(Z.dtype).max:.3g} "
            f"({Z.dtype}), got overflow in {(~finite).sum()} of {len(Z)} rows, first in row "
            f"{finite.argmin()}"
        )

    def toarray(self, start: int = 0, stop: int | None = None) -> _validate.Array:
        """Rows [start, stop) of Γ as a float32 array of shape (stop - start, out_dim).

        Raises ValueError for rows outside [0, in_dim].
        """
        stop = self.in_dim if stop is None else _validate.integer("stop", stop, 0, self.in_dim)
        start = _validate.integer("start", start, 0, stop)
        out = np.empty((stop - start, self.out_dim), np.float32)
        if stop > start:
            self._core.rows(start, out)
        return out


@dataclass(frozen=True)
class SparseSign(Sketch):
    """SparseStack / OSNAP: ζ = nnz_per_row entries ±1/√ζ in each row of Γ, one at a uniform place
    of each of ζ blocks of nearly equal width; O(nnz(G) ζ) operations.

    nnz_per_row defaults to min(8, out_dim), which embeds as well as a Gaussian (OSNAP: Nelson and
    Nguyên, 2013). Raises TypeError or ValueError where it exceeds out_dim, or out_dim in_dim.
    """

    in_dim: int
    out_dim: int
    nnz_per_row: int = None  # type: ignore[assignment]  # resolved below
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        nnz = min(8, self.out_dim) if self.nnz_per_row is None else self.nnz_per_row
        nnz = _validate.integer("nnz_per_row", nnz, 1, self.out_dim)
        object.__setattr__(self, "nnz_per_row", nnz)

    @property
    def _core(self) -> Any:
        return _core.SparseSign(self.in_dim, self.out_dim, self.nnz_per_row, self.seed)


@dataclass(frozen=True)
class Gaussian(Sketch):
    """Independent N(0, 1/out_dim) entries: the reference, at O(nnz(G) out_dim) operations."""

    in_dim: int
    out_dim: int
    seed: int = 0

    @property
    def _core(self) -> Any:
        return _core.Gaussian(self.in_dim, self.out_dim, self.seed)


def make(kind: str, in_dim: int, out_dim: int, seed: int, nnz_per_row: int | None = None) -> Sketch:
    """The sketch of a kind by its name ("sparse-sign" or "gaussian")."""
    _validate.choice("sketch", kind, KINDS)
    if kind == "gaussian":
        return Gaussian(in_dim, out_dim, seed)
    return SparseSign(in_dim, out_dim, nnz_per_row, seed)  # type: ignore[arg-type]
