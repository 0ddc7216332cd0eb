"""`Factored`: sketches of the gradients of one linear layer, whose samples have many tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._support import arrays, checks, tensors
from .._support.types import DenseT
from .factored import Block, PartlyFactored, by_core


class Factored(PartlyFactored):
    """Γ for the weight (o, d) of a linear layer, by which a sum over tokens is sketched unformed.

    The gradient of a sample is Σ_t e_t x_tᵀ, over its tokens. Both sides are sketched to
    `factor_dim` dimensions, the small products are summed, and the sum is sketched to m; a weight
    of at most factor_dim² entries is sketched by its entries. E[ΓΓᵀ] = I as for every sketch. Sums
    over tokens embed as well as with `SparseSign`; a single product e xᵀ is embedded worse, with a
    relative error of its squared norm of about √(4/factor_dim).

    Parameters
    ----------
    out_features, in_features : int
        o and d, the shape of the weight; Γ has in_dim = o d rows.
    out_dim : int
        m, at most the number of entries of the weight, or of the small product.
    factor_dim : int, default 128
        k.
    seed : int, default 0
        64 bits.

    Raises
    ------
    TypeError, ValueError
        An argument of a wrong type or value; the message names it.

    Notes
    -----
    The two-sided form is that of LoGra (arXiv 2405.13954); here its k² results are sketched once
    more, so that rows of all layers have one width.

    Examples
    --------
    >>> import numpy as np
    >>> import skmm_fast as skmm
    >>> S = skmm.Factored(40, 50, 16, factor_dim=32)
    >>> rng = np.random.default_rng(0)
    >>> E, X = rng.standard_normal((3, 9, 40)), rng.standard_normal((3, 9, 50))
    >>> G = np.einsum("bto,btd->bod", E, X).reshape(3, -1)
    >>> np.allclose(S.apply_tokens(E, X), G @ S.toarray())
    True
    """

    out_features: int
    in_features: int

    def __init__(
        self,
        out_features: int,
        in_features: int,
        out_dim: int,
        *,
        factor_dim: int = 128,
        seed: int = 0,
    ) -> None:
        o = checks.integer("out_features", out_features, 1)
        d = checks.integer("in_features", in_features, 1)
        k = checks.integer("factor_dim", factor_dim, 1, 1 << 16)
        matrices = [(0, o, d)] if o * d > k * k else []
        super().__init__(o * d, out_dim, matrices=matrices, factor_dim=k, seed=seed)
        object.__setattr__(self, "out_features", o)
        object.__setattr__(self, "in_features", d)

    def __repr__(self) -> str:
        return (
            f"Factored({self.out_features}, {self.in_features}, {self.out_dim}, "
            f"factor_dim={self.factor_dim}, seed={self.seed})"
        )

    def apply_tokens(self, E: DenseT, X: DenseT, *, n_threads: int | None = None) -> DenseT:
        """Sketch the gradients Σ_t e_t x_tᵀ, which are not formed.

        Parameters
        ----------
        E : (B, T, o) array or tensor
            float32 or float64: the gradients of the losses with respect to the layer's outputs,
            zeros where there is no token. A tensor on a CUDA device stays there.
        X : (B, T, d) array or tensor
            The same type, where E lies: the layer's inputs.
        n_threads : int, optional
            Threads of the core.

        Returns
        -------
        (B, out_dim) array or tensor
            Of E's kind (NumPy or torch) and dtype.

        Raises
        ------
        TypeError, ValueError
            A wrong dtype or shape, NaN or Inf in E or X, overflow of sums.

        Examples
        --------
        >>> import numpy as np
        >>> import skmm_fast as skmm
        >>> S = skmm.Factored(300, 200, 8)
        >>> S.apply_tokens(np.ones((2, 5, 300)), np.ones((2, 5, 200))).shape
        (2, 8)
        """
        threads = checks.threads(n_threads)
        result: DenseT
        if tensors.on_device(E):
            result = self._on_device(E, X)
            return result
        left, right = arrays.dense("E", E, ndim=3), arrays.dense("X", X, ndim=3)
        self._require_shapes(left, right)
        Z = np.zeros((len(left), self.out_dim), left.dtype)
        with np.errstate(over="ignore", invalid="ignore"):  # found in Z
            self._add_tokens(by_core(threads), left, right, Z)
        samples = {name: A.reshape(len(A), -1) for name, A in (("E", left), ("X", right))}
        self._check_finite("E ⊗ X", samples, Z)
        result = tensors.like(E, Z)
        return result

    def _require_shapes(self, E: Any, X: Any) -> None:
        for name, A, size in (("E", E, self.out_features), ("X", X, self.in_features)):
            expected = (*E.shape[:2], size)
            if tuple(A.shape) != expected:
                raise ValueError(f"{name}: expected shape {expected}, got {tuple(A.shape)}")
        if X.dtype != E.dtype:
            raise TypeError(f"X: expected the type of E ({E.dtype}), got {X.dtype}")

    def _add_tokens(self, add: Any, E: Any, X: Any, Z: Any) -> None:
        if self.matrices:
            self._add_products(add, Block(0, self.out_features, self.in_features), E, X, Z)
        else:
            add(self._last, (E.swapaxes(1, 2) @ X).reshape(len(E), -1), Z, 0)

    def _on_device(self, E: Any, X: Any) -> Any:
        from ..device.gamma import add_dense

        for name, A in (("E", E), ("X", X)):
            if not tensors.on_device(A) or A.device != E.device or A.ndim != 3:
                raise TypeError(f"{name}: expected a tensor of 3 dimensions on {E.device}")
            tensors.device_matrix(name, A.reshape(len(A), -1))
        self._require_shapes(E, X)
        Z = E.new_zeros((len(E), self.out_dim))
        self._add_tokens(add_dense, E.detach(), X.detach(), Z)
        finite = Z.isfinite().all(1).cpu().numpy()
        if not finite.all():
            for name, A in (("E", E), ("X", X)):
                arrays.raise_not_finite(name, A.isfinite().flatten(1).all(1).cpu().numpy())
            raise ValueError("E, X: expected values whose sums do not overflow")
        return Z
