"""Stage 1: Z = GΓ with a random Γ that is never stored (SkMM, arXiv 2407.06120, section 3.2)."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from .. import _core
from .._support import checks
from .._support.progress import after, bar
from .memmap import batches


def sum_type(A: Any) -> np.dtype[Any]:
    """The type that sums of A's entries have: its own, float32 where these have 16 bits."""
    return A.dtype if A.dtype in checks.FLOATS else np.dtype(np.float32)


def _product(factors: dict[str, Any]) -> str:
    """The name of rows that are made of such arguments."""
    return " ⊗ ".join(factors)


class Sketch(ABC):
    """A random matrix Γ of shape (in_dim, out_dim) with E[ΓΓᵀ] = I, held as its seed.

    Row j of Γ is a function of (seed, kind, out_dim, nnz_per_row, j) alone, so that batches, chunks
    of columns, threads and machines all see the same Γ.
    """

    in_dim: int
    out_dim: int
    seed: int

    kind: ClassVar[str]
    least_out_dim: ClassVar[int] = 1

    def __post_init__(self) -> None:
        in_dim = checks.integer("in_dim", self.in_dim, 1, 2**62)
        out_dim = checks.integer("out_dim", self.out_dim, self.least_out_dim, 2**24 - 1)
        if self.out_dim > self.in_dim:
            raise ValueError(
                f"out_dim: expected at most in_dim = {self.in_dim}, got {self.out_dim}; "
                "a sketch does not widen"
            )
        seed = checks.seed(self.seed)
        for name, value in (("in_dim", in_dim), ("out_dim", out_dim), ("seed", seed)):
            object.__setattr__(self, name, value)  # plain ints

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
        G : (N, c) array of float32, float64, float16 or (torch) bfloat16
            NumPy (rows of contiguous elements), SciPy CSR (float32 or float64), or a torch tensor
            on the CPU or a CUDA device, where it stays; read where it lies. An `np.memmap` of mode
            "r" or "r+" may be larger than memory: it is read in batches, of which one at a time
            stays in the process. c must be in_dim, unless `col_offset` or `accumulate` say that
            this is one of several chunks of columns.
        out : (N, out_dim) array, C-contiguous, of the dtype of the result; made where None.
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
        (N, out_dim) array: `out` itself, or a new one of G's kind (NumPy or torch) and dtype;
        float32 where G has 16 bits, which are summed as float32.

        The bits do not depend on n_threads, the ISA level, or how rows are split into calls; on a
        CUDA device sums agree with these to rounding.

        Raises
        ------
        TypeError, ValueError
            Wrong dtype, shape, memory layout or CSR structure; NaN or Inf in G (the number of rows
            and the first one are named, `out` is then undefined); overflow of the sums, which are
            √ζ times the sketch, ζ entries in a row of Γ, and some more on the way.
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
        if checks.on_device(G):
            return self._apply_on_device(name, G, out, col_offset, accumulate)
        A = checks.csr(name, G) if sp.issparse(G) else checks.gradients(name, G)
        n, cols = A.shape
        col_offset, accumulate, threads, Z = call = self._checked_call(
            {name: A}, A.shape, out, col_offset, accumulate, n_threads
        )
        if sp.issparse(A):
            nnz = int(A.indptr[-1])
            index = np.promote_types(A.indices.dtype, A.indptr.dtype)
            indices, indptr = (x.astype(index, copy=False) for x in (A.indices[:nnz], A.indptr))
            with bar("sketch", nnz, progress, "nonzeros") as tick:
                self._core.sketch_csr(A.data[:nnz], indices, indptr, cols, *call, tick)
        else:
            with bar("sketch", n * cols, progress, "entries") as tick:
                done = 0
                for rows, part in batches(A, col_offset):
                    G_part = A[rows, part]
                    add = accumulate or part.start > 0
                    self._core.sketch_dense(
                        G_part, col_offset + part.start, add, threads, Z[rows], after(done, tick)
                    )
                    done += G_part.size
        self._check_finite({name: A}, Z)
        return checks.like(G, Z) if out is None else out

    def apply_outer(
        self,
        E: Any,
        X: Any,
        out: Any = None,
        col_offset: int = 0,
        accumulate: bool = False,
        n_threads: int | None = None,
        progress: bool = False,
    ) -> Any:
        """The sketch of the rows e_i ⊗ x_i, which are not formed: entry c d + j is E[i, c] X[i, j].

        These are the per-sample gradients of the (C, d) weight of a linear layer, row-major, at
        inputs X and the gradients E of the losses with respect to its outputs. The bits are those
        of `apply` of these products, each rounded once.

        Parameters
        ----------
        E : (N, C) array of float32 or float64
        X : (N, d) array of the same type
            NumPy or a torch tensor on the CPU, of rows of contiguous elements, read where they lie.
            C d must be in_dim, unless `col_offset` or `accumulate` say that this is one of several
            chunks of columns.
        out, col_offset, accumulate, n_threads, progress : as in `apply`

        Returns
        -------
        (N, out_dim) array: `out` itself, or a new one of E's kind (NumPy or torch) and dtype.

        Raises
        ------
        TypeError, ValueError
            Wrong dtype, shape or memory layout; NaN or Inf in E or X (the number of rows and the
            first one are named, `out` is then undefined); overflow of products or sums, as in
            `apply`.
        """
        left, right = checks.dense("E", E), checks.dense("X", X)
        if len(right) != len(left):
            raise ValueError(
                f"X: expected as many rows as E ({len(left)}), got shape {right.shape}"
            )
        if right.dtype != left.dtype:
            raise TypeError(f"X: expected the type of E ({left.dtype}), got {right.dtype}")
        factors, shape = {"E": left, "X": right}, (len(left), left.shape[1] * right.shape[1])
        call = self._checked_call(factors, shape, out, col_offset, accumulate, n_threads)
        with bar("sketch", shape[0] * shape[1], progress, "entries") as tick:
            self._core.sketch_outer(left, right, *call, tick)
        Z = call[-1]
        self._check_finite(factors, Z)
        return checks.like(E, Z) if out is None else out

    def _apply_on_device(
        self, name: str, G: Any, out: Any, col_offset: int, accumulate: bool
    ) -> Any:
        """`apply` of a CUDA tensor, where it lies."""
        from ..device.gamma import add_dense

        A = checks.tensor(name, G, ("float16", "bfloat16", "float32", "float64"))
        col_offset, accumulate = self._checked_columns(
            {name: A}, tuple(A.shape), out, col_offset, accumulate
        )
        torch = sys.modules["torch"]
        shape, dtype = (len(A), self.out_dim), torch.promote_types(A.dtype, torch.float32)
        Z = A.new_empty(shape, dtype=dtype) if out is None else out
        if not checks.is_torch(Z) or (Z.shape, Z.dtype, Z.device) != (shape, dtype, A.device):
            raise ValueError(f"out: expected a tensor of shape {shape} of {dtype} on {A.device}")
        if not accumulate:
            Z.zero_()
        add_dense(self, A, Z, col_offset)
        finite = Z.isfinite().all(1).cpu().numpy()
        if not finite.all():
            checks.raise_not_finite(name, A.isfinite().all(1).cpu().numpy())
            raise ValueError(f"{name}: expected values whose sums do not overflow {dtype}")
        return Z

    def _checked_columns(
        self,
        factors: dict[str, Any],
        shape: tuple[int, int],
        out: Any,
        col_offset: int,
        accumulate: bool,
    ) -> tuple[int, bool]:
        col_offset = checks.integer("col_offset", col_offset, 0, self.in_dim - 1)
        accumulate = checks.boolean("accumulate", accumulate)
        whole = col_offset == 0 and not accumulate
        if shape[1] > self.in_dim - col_offset or (whole and shape[1] != self.in_dim):
            expected = f"{self.in_dim}" if whole else f"at most {self.in_dim - col_offset}"
            raise ValueError(f"{_product(factors)}: expected {expected} columns, got shape {shape}")
        if accumulate and out is None:
            raise ValueError("out: expected an array to accumulate in, got None")
        return col_offset, accumulate

    def _checked_call(
        self,
        factors: dict[str, Any],
        shape: tuple[int, int],
        out: Any,
        col_offset: int,
        accumulate: bool,
        n_threads: int | None,
    ) -> tuple[int, bool, int, checks.Array]:
        """(col_offset, accumulate, threads, Z) of a sketch of rows of such a shape, which come from
        `factors`: arguments by their names."""
        col_offset, accumulate = self._checked_columns(factors, shape, out, col_offset, accumulate)
        Z = self._checked_out(factors, shape[0], out)
        if accumulate:
            checks.raise_not_finite("out", checks.finite_rows(Z))
        return col_offset, accumulate, checks.threads(n_threads), Z

    def _checked_out(self, factors: dict[str, Any], n_rows: int, out: Any) -> checks.Array:
        """`out`, or a new array, for the sketch of rows of `factors`."""
        shape = (n_rows, self.out_dim)
        dtype = sum_type(next(iter(factors.values())))
        if out is None:
            return np.empty(shape, dtype)
        Z = checks.dense("out", out)
        if Z.shape != shape or Z.dtype != dtype:
            raise ValueError(f"out: expected shape {shape} of {dtype}, got {Z.shape} of {Z.dtype}")
        if not (Z.flags.c_contiguous and Z.flags.writeable):
            raise ValueError("out: expected a C-contiguous, writeable array")
        for name, A in factors.items():
            if np.may_share_memory(Z, A if isinstance(A, np.ndarray) else A.data):
                raise ValueError(f"out: expected memory apart from that of {name}")
        return Z

    def _check_finite(self, factors: dict[str, Any], Z: checks.Array) -> None:
        # Every entry of a row of each factor reaches its row of Z (0 · Inf is NaN): a finite Z
        # proves finite factors.
        finite = checks.finite_rows(Z)
        if finite.all():
            return
        for name, A in factors.items():
            checks.raise_not_finite(name, checks.finite_rows(A))
        raise ValueError(
            f"{_product(factors)}: expected values whose sums stay below "
            f"{np.finfo(Z.dtype).max:.3g} ({Z.dtype}), got overflow in {(~finite).sum()} of "
            f"{len(Z)} rows, first in row {finite.argmin()}"
        )

    def toarray(self, start: int = 0, stop: int | None = None) -> checks.Array:
        """Rows [start, stop) of Γ as a float32 array of shape (stop - start, out_dim).

        Raises ValueError for rows outside [0, in_dim].
        """
        stop = self.in_dim if stop is None else checks.integer("stop", stop, 0, self.in_dim)
        start = checks.integer("start", start, 0, stop)
        out = np.empty((stop - start, self.out_dim), np.float32)
        if stop > start:
            self._core.rows(start, out)
        return out


@dataclass(frozen=True)
class SparseSign(Sketch):
    """SparseStack / OSNAP: ζ = nnz_per_row entries ±1/√ζ in each row of Γ, one at a uniform place
    (to 2⁻⁸ at worst) of each of ζ blocks of nearly equal width; O(nnz(G) ζ) operations.

    nnz_per_row defaults to min(8, out_dim), which embeds as well as a Gaussian (OSNAP: Nelson and
    Nguyên, 2013). Raises TypeError or ValueError where it exceeds out_dim, or out_dim in_dim.
    """

    in_dim: int
    out_dim: int
    nnz_per_row: int = None  # type: ignore[assignment]  # resolved below
    seed: int = 0

    kind: ClassVar[str] = "sparse-sign"

    def __post_init__(self) -> None:
        super().__post_init__()
        nnz = min(8, self.out_dim) if self.nnz_per_row is None else self.nnz_per_row
        nnz = checks.integer("nnz_per_row", nnz, 1, self.out_dim)
        object.__setattr__(self, "nnz_per_row", nnz)

    @property
    def _core(self) -> Any:
        return _core.SparseSign(self.in_dim, self.out_dim, self.nnz_per_row, self.seed)


@dataclass(frozen=True)
class GroupedSign(Sketch):
    """Eight entries ±1/√8 in each row of Γ, one at a uniform place of each of 8 blocks, as in
    `SparseSign`; but groups of 8 rows, one from each 1024 of 8192, share their places with the sign
    patterns of a Hadamard matrix, so that dense rows are sketched in little more than a read of G.

    On subspaces that do not know the seed it embeds as well as independent rows (coordinates at
    random, adjacent, strided, in runs, and dense subspaces: measured, bench/README.md; not proven).
    One that contains whole groups is embedded like ζ = 1, or not at all. A call costs as if its
    columns were rounded up to multiples of 8192; CSR rows cost four times those of `SparseSign`.

    Raises TypeError or ValueError where out_dim is below 8 or exceeds in_dim.
    """

    in_dim: int
    out_dim: int
    seed: int = 0

    kind: ClassVar[str] = "grouped-sign"
    least_out_dim: ClassVar[int] = 8

    @property
    def _core(self) -> Any:
        return _core.GroupedSign(self.in_dim, self.out_dim, self.seed)


@dataclass(frozen=True)
class Gaussian(Sketch):
    """Independent N(0, 1/out_dim) entries: the reference, at O(nnz(G) out_dim) operations."""

    in_dim: int
    out_dim: int
    seed: int = 0

    kind: ClassVar[str] = "gaussian"

    @property
    def _core(self) -> Any:
        return _core.Gaussian(self.in_dim, self.out_dim, self.seed)


KINDS: dict[str, type[Sketch]] = {
    family.kind: family for family in (SparseSign, GroupedSign, Gaussian)
}


def make(kind: str, in_dim: int, out_dim: int, seed: int, nnz_per_row: int | None = None) -> Sketch:
    """The sketch of a kind by its name, one of KINDS; nnz_per_row is that of "sparse-sign"."""
    checks.choice("sketch", kind, tuple(KINDS))
    if kind == "sparse-sign":
        return SparseSign(in_dim, out_dim, nnz_per_row, seed)  # type: ignore[arg-type]
    return KINDS[kind](in_dim, out_dim, seed=seed)  # type: ignore[call-arg]
