"""The families of Γ: sparse signs, grouped signs, Gaussian numbers (SkMM, arXiv 2407.06120, section
3.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from .. import _core
from .._support import checks
from .base import Sketch

Kind = Literal["sparse-sign", "grouped-sign", "gaussian"]


@dataclass(frozen=True)
class SparseSign(Sketch):
    """Γ with ζ entries ±1/√ζ in each row, one at a uniform place of each of ζ blocks of columns.

    This is SparseStack, or OSNAP: it takes O(nnz(G) ζ) operations, and with ζ = 8 embeds as well as
    a Gaussian. Places are uniform to 2⁻⁸ at worst; the blocks have nearly equal width.

    Parameters
    ----------
    in_dim, out_dim : int
        r and m, the shape of Γ; out_dim <= in_dim.
    nnz_per_row : int, default min(8, out_dim)
        ζ, at most out_dim.
    seed : int, default 0
        64 bits.

    Raises
    ------
    TypeError, ValueError
        nnz_per_row above out_dim, out_dim above in_dim.

    Notes
    -----
    OSNAP: Nelson and Nguyên, 2013.

    Examples
    --------
    >>> import numpy as np
    >>> import skmm_fast as skmm
    >>> skmm.SparseSign(1000, 64).apply(np.ones((3, 1000))).shape
    (3, 64)
    """

    in_dim: int
    out_dim: int
    nnz_per_row: int = field(default=None, kw_only=True)  # type: ignore[assignment]  # resolved below
    seed: int = field(default=0, kw_only=True)

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
    """Γ with eight entries ±1/√8 in each row, as in `SparseSign`, but rows that share their places.

    Groups of 8 rows, one from each 1024 of 8192, share their places with the sign patterns of a
    Hadamard matrix, so that dense rows are sketched in little more than a read of G. On subspaces
    that do not know the seed it embeds as well as independent rows (coordinates at random,
    adjacent, strided, in runs, and dense subspaces: measured in bench/README.md, not proven). A
    subspace that contains whole groups is embedded like ζ = 1, or not at all. A call costs as if
    its columns were rounded up to multiples of 8192; CSR rows cost four times those of
    `SparseSign`.

    Parameters
    ----------
    in_dim, out_dim : int
        r and m, the shape of Γ; 8 <= out_dim <= in_dim.
    seed : int, default 0
        64 bits.

    Raises
    ------
    TypeError, ValueError
        out_dim below 8 or above in_dim.

    Examples
    --------
    >>> import numpy as np
    >>> import skmm_fast as skmm
    >>> skmm.GroupedSign(10_000, 64).apply(np.ones((3, 10_000))).shape
    (3, 64)
    """

    in_dim: int
    out_dim: int
    seed: int = field(default=0, kw_only=True)

    kind: ClassVar[str] = "grouped-sign"
    least_out_dim: ClassVar[int] = 8

    @property
    def _core(self) -> Any:
        return _core.GroupedSign(self.in_dim, self.out_dim, self.seed)


@dataclass(frozen=True)
class Gaussian(Sketch):
    """Γ with independent entries N(0, 1/out_dim): the reference, at O(nnz(G) out_dim) operations.

    Parameters
    ----------
    in_dim, out_dim : int
        r and m, the shape of Γ; out_dim <= in_dim.
    seed : int, default 0
        64 bits.

    Raises
    ------
    TypeError, ValueError
        out_dim above in_dim.

    Examples
    --------
    >>> import numpy as np
    >>> import skmm_fast as skmm
    >>> skmm.Gaussian(1000, 64).apply(np.ones((3, 1000))).shape
    (3, 64)
    """

    in_dim: int
    out_dim: int
    seed: int = field(default=0, kw_only=True)

    kind: ClassVar[str] = "gaussian"

    @property
    def _core(self) -> Any:
        return _core.Gaussian(self.in_dim, self.out_dim, self.seed)


KINDS: dict[str, type[Sketch]] = {
    family.kind: family for family in (SparseSign, GroupedSign, Gaussian)
}


def make(
    kind: str, in_dim: int, out_dim: int, *, nnz_per_row: int | None = None, seed: int = 0
) -> Sketch:
    """The sketch of the family named `kind`. Only "sparse-sign" uses nnz_per_row."""
    checks.choice("sketch", kind, get_args(Kind))
    options = {"nnz_per_row": nnz_per_row} if kind == "sparse-sign" else {}
    return KINDS[kind](in_dim, out_dim, seed=seed, **options)  # type: ignore[call-arg]
