"""The types in public signatures, and short names for NumPy's array types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.int64]


class Tensor(Protocol):
    """A torch tensor on the CPU or a CUDA device, described without importing torch."""

    @property
    def device(self) -> Any: ...
    @property
    def layout(self) -> Any: ...
    @property
    def requires_grad(self) -> bool: ...


TensorT = TypeVar("TensorT", bound=Tensor)


class CsrMatrix(Protocol):
    """SciPy's `csr_array` or `csr_matrix`."""

    @property
    def data(self) -> Any: ...
    @property
    def indices(self) -> Any: ...
    @property
    def indptr(self) -> Any: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


DenseMatrix: TypeAlias = Array | Tensor
Matrix: TypeAlias = Array | CsrMatrix | Tensor
DenseT = TypeVar("DenseT", bound=DenseMatrix)
VectorLike: TypeAlias = npt.ArrayLike | Tensor  # labels, row numbers
PerClass: TypeAlias = Literal["proportional", "sqrt", "balanced"] | float | Mapping[Any, int]
