"""What all families of Γ share: Z = GΓ, where Γ is random and never stored (SkMM, arXiv 2407.06120,
section 3.2)."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, overload

import numpy as np

from .._support import arrays, checks, tensors
from .._support.progress import Tick, after, bar
from .._support.types import Array, CsrMatrix, DenseMatrix, DenseT, TensorT
from .column_parts import matrices, named_parts
from .memmap import batches


def sum_type(A: Any) -> np.dtype[Any]:
    """The type of sums of A's entries: float32 if these have 16 bits, else their own type."""
    return A.dtype if A.dtype in checks.FLOATS else np.dtype(np.float32)


class Sketch(ABC):
    """A random matrix Γ of shape (in_dim, out_dim) with E[ΓΓᵀ] = I, held as its seed.

    Row j of Γ is a function of (seed, kind, out_dim, nnz_per_row, j) alone, so that batches, chunks
    of columns, threads and machines all see the same Γ. `SparseSign`, `GroupedSign` and `Gaussian`
    are its families.

    Attributes
    ----------
    in_dim, out_dim : int
        r and m, the shape of Γ.
    seed : int
        64 bits.
    kind : str
        The name by which `select` knows the family.

    Examples
    --------
    >>> import skmm_fast as skmm
    >>> isinstance(skmm.Gaussian(100, 10), skmm.Sketch)
    True
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
            object.__setattr__(self, name, value)  # as plain ints, also from NumPy's

    @property
    @abstractmethod
    def _core(self) -> Any:
        """The object of the compiled core that makes this Γ."""

    @overload
    def apply(
        self,
        G: TensorT | Mapping[Any, TensorT] | list[TensorT] | tuple[TensorT, ...],
        *,
        out: TensorT | None = None,
        col_offset: int = 0,
        accumulate: bool = False,
        n_threads: int | None = None,
        progress: bool = False,
    ) -> TensorT: ...
    @overload
    def apply(
        self,
        G: Array
        | CsrMatrix
        | Mapping[Any, Array | CsrMatrix]
        | list[Array]
        | tuple[Array | CsrMatrix, ...],
        *,
        out: Array | None = None,
        col_offset: int = 0,
        accumulate: bool = False,
        n_threads: int | None = None,
        progress: bool = False,
    ) -> Array: ...
    def apply(
        self,
        G: DenseMatrix | CsrMatrix | Mapping[Any, Any] | list[Any] | tuple[Any, ...],
        *,
        out: DenseMatrix | None = None,
        col_offset: int = 0,
        accumulate: bool = False,
        n_threads: int | None = None,
        progress: bool = False,
    ) -> DenseMatrix:
        """Sketch rows: Z = G Γ[col_offset : col_offset + G.shape[1]], or `out` += that.

        Parameters
        ----------
        G : (N, c) array, CSR matrix or tensor
            Gradients, read where they lie: NumPy arrays of float16, float32 or float64 with rows of
            contiguous elements, SciPy CSR of float32 or float64, or torch tensors (bfloat16 too) on
            the CPU or a CUDA device. A shared `np.memmap` (any mode but "c") may be larger than
            memory: it is read in batches, of which one at a time stays in the process. c must be
            in_dim, unless `col_offset` or `accumulate` say that this is one of several chunks of
            columns. Or a mapping, list or tuple of such, of one type, one device and one N: their
            columns lie side by side, in this order, and c counts them all. They may be (N, ...),
            each sample flattened row-major, and are not copied.
        out : (N, out_dim) array or tensor, optional
            Where the result goes: C-contiguous, of the dtype of the result. Made where it is not
            given.
        col_offset : int, default 0
            The row of Γ that belongs to the first column of G.
        accumulate : bool, default False
            Add to `out`: for gradients that arrive layer by layer.
        n_threads : int, optional
            Threads of the core.
        progress : bool, default False
            Show a bar (needs tqdm).

        Returns
        -------
        (N, out_dim) array or tensor
            `out` itself, or a new one of G's kind (NumPy or torch) and dtype; float32 where G has
            16 bits, which are summed as float32. The bits do not depend on n_threads, the
            processor, or how rows are split into calls. Sums agree to rounding on a CUDA device
            and, for a Gaussian Γ, on x86 without AVX2; so do those of columns side by side and of
            one matrix.

        Raises
        ------
        TypeError, ValueError
            A wrong dtype, shape, memory layout or CSR structure; NaN or Inf in G (the number of
            rows and the first one are named, `out` is then undefined); overflow of the sums, which
            are √ζ times the sketch, ζ entries in a row of Γ, and some more on the way.

        Examples
        --------
        >>> import numpy as np
        >>> import skmm_fast as skmm
        >>> S = skmm.SparseSign(1000, 64, seed=1)
        >>> G = np.random.default_rng(0).standard_normal((5, 1000))
        >>> Z = S.apply(G)
        >>> np.allclose(Z, G @ S.toarray())
        True
        >>> left, right = np.ascontiguousarray(G[:, :400]), np.ascontiguousarray(G[:, 400:])
        >>> parts = S.apply(left, out=np.zeros((5, 64)), accumulate=True)
        >>> parts = S.apply(right, out=parts, col_offset=400, accumulate=True)
        >>> np.allclose(parts, Z)
        True
        >>> by_parameter = {"weight": left.reshape(5, 20, 20), "bias": right}
        >>> np.allclose(S.apply(by_parameter), Z)
        True
        """
        given = named_parts("G", G)
        parts = matrices(given)
        threads = checks.threads(n_threads)
        Z = self._apply_parts("G", parts, threads, out, col_offset, accumulate, progress)
        first = next(iter(given.values()))
        result: DenseMatrix = Z if tensors.on_device(first) else tensors.like(first, Z)
        return result if out is None else out

    def _apply(
        self,
        name: str,
        A: Any,
        threads: int,
        out: Any = None,
        col_offset: int = 0,
        accumulate: bool = False,
        progress: bool = False,
    ) -> Any:
        """`apply` for a matrix that `arrays.matrix` has checked; errors call it `name`."""
        return self._apply_parts(name, {name: A}, threads, out, col_offset, accumulate, progress)

    def _apply_parts(
        self,
        name: str,
        parts: dict[str, Any],
        threads: int,
        out: Any,
        col_offset: int,
        accumulate: bool,
        progress: bool,
    ) -> Any:
        """`apply` for checked matrices side by side; errors call all of them `name`, and each as it
        is called in `parts`."""
        every = list(parts.values())
        shape = every[0].shape[0], sum(A.shape[1] for A in every)
        if tensors.on_device(every[0]):
            return self._apply_on_device(name, parts, shape, out, col_offset, accumulate)
        col_offset, accumulate, threads, Z = self._checked_call(
            name, parts, shape, out, col_offset, accumulate, threads
        )
        dense = isinstance(every[0], np.ndarray)
        sizes = [A.size if isinstance(A, np.ndarray) else int(A.indptr[-1]) for A in every]
        with bar("sketch", sum(sizes), progress, "entries" if dense else "nonzeros") as tick:
            done = 0
            for A, size in zip(every, sizes, strict=True):
                self._add(A, col_offset, accumulate, threads, Z, after(done, tick))
                done += size
                col_offset += A.shape[1]
                accumulate = True
        self._check_finite(name, parts, Z)
        return Z

    def _add(
        self, A: Any, col_offset: int, accumulate: bool, threads: int, Z: Array, tick: Tick
    ) -> None:
        """Z = A Γ[col_offset : col_offset + A.shape[1]], or Z += that, for a matrix on the CPU."""
        if not isinstance(A, np.ndarray):
            nnz = int(A.indptr[-1])
            index = np.promote_types(A.indices.dtype, A.indptr.dtype)
            indices, indptr = (x.astype(index, copy=False) for x in (A.indices[:nnz], A.indptr))
            self._core.sketch_csr(
                A.data[:nnz], indices, indptr, A.shape[1], col_offset, accumulate, threads, Z, tick
            )
            return
        done = 0
        for rows, part in batches(A, col_offset):
            G_part = A[rows, part]
            add = accumulate or part.start > 0
            first = col_offset + part.start
            self._core.sketch_dense(G_part, first, add, threads, Z[rows], after(done, tick))
            done += G_part.size

    def apply_outer(
        self,
        E: DenseT,
        X: DenseT,
        *,
        out: DenseT | None = None,
        col_offset: int = 0,
        accumulate: bool = False,
        n_threads: int | None = None,
        progress: bool = False,
    ) -> DenseT:
        """Sketch the rows e_i ⊗ x_i, which are not formed: entry c d + j is E[i, c] X[i, j].

        These are the per-sample gradients of the (C, d) weight of a linear layer, row-major, at
        inputs X and the gradients E of the losses with respect to its outputs. The bits are those
        of `apply` of these products, each rounded once.

        Parameters
        ----------
        E : (N, C) array or tensor
            float32 or float64, rows of contiguous elements, on the CPU.
        X : (N, d) array or tensor
            The same type. C d must be in_dim, unless `col_offset` or `accumulate` say that this is
            one of several chunks of columns.
        out, col_offset, accumulate, n_threads, progress
            As in `apply`.

        Returns
        -------
        (N, out_dim) array or tensor
            `out` itself, or a new one of E's kind (NumPy or torch) and dtype.

        Raises
        ------
        TypeError, ValueError
            A wrong dtype, shape or memory layout; NaN or Inf in E or X (the number of rows and the
            first one are named, `out` is then undefined); overflow of products or sums, as in
            `apply`.

        Examples
        --------
        >>> import numpy as np
        >>> import skmm_fast as skmm
        >>> S = skmm.SparseSign(3 * 40, 16)
        >>> E, X = np.ones((2, 3)), np.ones((2, 40))
        >>> np.array_equal(S.apply_outer(E, X), S.apply(np.ones((2, 120))))
        True
        """
        left, right = arrays.dense("E", E), arrays.dense("X", X)
        if len(right) != len(left):
            raise ValueError(
                f"X: expected as many rows as E ({len(left)}), got shape {right.shape}"
            )
        if right.dtype != left.dtype:
            raise TypeError(f"X: expected the type of E ({left.dtype}), got {right.dtype}")
        factors, shape = {"E": left, "X": right}, (len(left), left.shape[1] * right.shape[1])
        threads = checks.threads(n_threads)
        call = self._checked_call("E ⊗ X", factors, shape, out, col_offset, accumulate, threads)
        with bar("sketch", shape[0] * shape[1], progress, "entries") as tick:
            self._core.sketch_outer(left, right, *call, tick)
        Z = call[-1]
        self._check_finite("E ⊗ X", factors, Z)
        result: DenseT = tensors.like(E, Z)
        return result if out is None else out

    def _apply_on_device(
        self,
        name: str,
        parts: dict[str, Any],
        shape: tuple[int, int],
        out: Any,
        col_offset: int,
        accumulate: bool,
    ) -> Any:
        """`_apply_parts` for CUDA tensors, on their own device."""
        col_offset, accumulate = self._checked_columns(name, shape, out, col_offset, accumulate)
        torch = sys.modules["torch"]
        first = next(iter(parts.values()))
        size, dtype = (shape[0], self.out_dim), torch.promote_types(first.dtype, torch.float32)
        Z = first.new_empty(size, dtype=dtype) if out is None else out
        if not tensors.is_torch(Z) or (Z.shape, Z.dtype, Z.device) != (size, dtype, first.device):
            raise ValueError(f"out: expected a tensor of shape {size} of {dtype} on {first.device}")
        if not accumulate:
            Z.zero_()
        for A in parts.values():
            self._add_on_device(A, Z, col_offset)
            col_offset += A.shape[1]
        finite = Z.isfinite().all(1).cpu().numpy()
        if not finite.all():
            for part, A in parts.items():
                arrays.raise_not_finite(part, A.isfinite().all(1).cpu().numpy())
            raise ValueError(f"{name}: expected values whose sums do not overflow {dtype}")
        return Z

    def _add_on_device(self, A: Any, Z: Any, col_offset: int) -> None:
        """Z += A Γ[col_offset : col_offset + A.shape[1]], for tensors on a CUDA device."""
        from ..device.gamma import add_dense

        add_dense(self, A, Z, col_offset)

    def _checked_columns(
        self, name: str, shape: tuple[int, int], out: Any, col_offset: int, accumulate: bool
    ) -> tuple[int, bool]:
        """The checked (col_offset, accumulate), which must go with rows of this shape, called
        `name`."""
        col_offset = checks.integer("col_offset", col_offset, 0, self.in_dim - 1)
        accumulate = checks.boolean("accumulate", accumulate)
        whole = col_offset == 0 and not accumulate
        if shape[1] > self.in_dim - col_offset or (whole and shape[1] != self.in_dim):
            expected = f"{self.in_dim}" if whole else f"at most {self.in_dim - col_offset}"
            raise ValueError(f"{name}: expected {expected} columns, got shape {shape}")
        if accumulate and out is None:
            raise ValueError("out: expected an array to accumulate in, got None")
        return col_offset, accumulate

    def _checked_call(
        self,
        name: str,
        factors: dict[str, Any],
        shape: tuple[int, int],
        out: Any,
        col_offset: int,
        accumulate: bool,
        threads: int,
    ) -> tuple[int, bool, int, Array]:
        """The checked (col_offset, accumulate, threads, Z) for a sketch of rows of this shape,
        called `name`, made up of `factors`: the arguments, by name."""
        col_offset, accumulate = self._checked_columns(name, shape, out, col_offset, accumulate)
        Z = self._checked_out(factors, shape[0], out)
        if accumulate:
            arrays.raise_not_finite("out", arrays.finite_rows(Z))
        return col_offset, accumulate, threads, Z

    def _checked_out(self, factors: dict[str, Any], n_rows: int, out: Any) -> Array:
        """The checked `out`, or a new array, for the sketch of rows made up of `factors`."""
        shape = (n_rows, self.out_dim)
        dtype = sum_type(next(iter(factors.values())))
        if out is None:
            return np.empty(shape, dtype)
        Z = arrays.dense("out", out)
        if Z.shape != shape or Z.dtype != dtype:
            raise ValueError(f"out: expected shape {shape} of {dtype}, got {Z.shape} of {Z.dtype}")
        if not (Z.flags.c_contiguous and Z.flags.writeable):
            raise ValueError("out: expected a C-contiguous, writeable array")
        for name, A in factors.items():
            if np.may_share_memory(Z, A if isinstance(A, np.ndarray) else A.data):
                raise ValueError(f"out: expected memory apart from that of {name}")
        return Z

    def _check_finite(self, name: str, factors: dict[str, Any], Z: Array) -> None:
        """Raises ValueError, which names the cause, where the sketch Z of `factors`, together
        called `name`, is not finite.

        Every entry of a row of each factor reaches the same row of Z (0 · Inf is NaN), so a finite
        Z proves that the factors are finite.
        """
        finite = arrays.finite_rows(Z)
        if finite.all():
            return
        for factor, A in factors.items():
            arrays.raise_not_finite(factor, arrays.finite_rows(A))
        raise ValueError(
            f"{name}: expected values whose sums stay below "
            f"{np.finfo(Z.dtype).max:.3g} ({Z.dtype}), got overflow in {(~finite).sum()} of "
            f"{len(Z)} rows, first in row {finite.argmin()}"
        )

    def toarray(self, start: int = 0, stop: int | None = None) -> Array:
        """Rows [start, stop) of Γ, dense.

        Parameters
        ----------
        start, stop : int
            Row numbers in [0, in_dim]; by default all rows.

        Returns
        -------
        (stop - start, out_dim) array of float32

        Raises
        ------
        TypeError, ValueError
            Rows outside [0, in_dim].

        Examples
        --------
        >>> import skmm_fast as skmm
        >>> abs(skmm.SparseSign(100, 16, nnz_per_row=4).toarray(3, 5)).sum(axis=1)
        array([2., 2.], dtype=float32)
        """
        stop = self.in_dim if stop is None else checks.integer("stop", stop, 0, self.in_dim)
        start = checks.integer("start", start, 0, stop)
        out = np.empty((stop - start, self.out_dim), np.float32)
        if stop > start:
            self._core.rows(start, out)
        return out
