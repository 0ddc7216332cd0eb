"""dattri: its `random_project`, with the families of Γ of this package.

Tested with dattri 0.3.0. Nothing here imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .._support import checks
from .._support.types import Tensor
from ..sketch.column_parts import matrices, named_parts
from .numbered import numbered_sketch

Features = Tensor | Mapping[str, Tensor]  # (B, r), or (B, ...) of each parameter


def random_project(
    feature: Features,
    feature_batch_size: int,
    proj_dim: int,
    proj_max_batch_size: int = 32,
    proj_seed: int = 0,
    proj_type: str = "sparse-sign",
    *,
    device: Any = "cpu",
    n_threads: int | None = None,
) -> Callable[..., Tensor]:
    """As `dattri.func.projection.random_project`, a function that projects features.

    The attributors of dattri call the function of their own module and take no other as an
    argument. Put in its place, this one serves them: `dattri.algorithm.trak.random_project =
    random_project`, and projector_kwargs={"proj_type": "sparse-sign", ...} for the attributor.

    Parameters
    ----------
    feature : (B, r) tensor or mapping of (B, ...) tensors
        Features whose widths are those of the ones to come.
    feature_batch_size : int
        B.
    proj_dim : int
        m, at most r.
    proj_max_batch_size : int
        Of dattri's CUDA kernels; not used.
    proj_seed : int, default 0
        In [0, 2³²). The Γ of an ensemble_id, in [0, 2³²) too, is that of
        `SparseSign(r, proj_dim, seed=proj_seed + 2**32 * ensemble_id)`, say: independent of those
        of other seeds and ensemble_ids. E[ΓΓᵀ] = I.
    proj_type : {"sparse-sign", "grouped-sign", "gaussian"}
        The family of Γ.
    device : str or torch.device
        Not used: features are projected where they lie, on the CPU or a CUDA device.
    n_threads : int, optional
        Threads of the core.

    Returns
    -------
    callable
        (features, ensemble_id=0) -> (B', proj_dim), for any number B' of samples: a tensor where
        the features are, of their dtype, or float32 where they have 16 bits. They may be a mapping
        of (B', ...) tensors, whose columns lie side by side in its order.

    Raises
    ------
    TypeError, ValueError
        A feature without feature_batch_size samples, proj_dim above r, another family, a seed out
        of range; later as `Sketch.apply`.

    Examples
    --------
    >>> import torch
    >>> from skmm_fast.integrations.dattri import random_project
    >>> gradients = {"weight": torch.ones(5, 10, 30), "bias": torch.ones(5, 40)}
    >>> project = random_project(gradients, 5, proj_dim=32, proj_seed=1)
    >>> project(gradients, ensemble_id=2).shape
    torch.Size([5, 32])
    """
    parts = matrices(named_parts("feature", feature))
    for name, x in parts.items():
        if x.shape[0] != feature_batch_size:
            raise ValueError(
                f"{name}: expected feature_batch_size = {feature_batch_size} samples, got "
                f"{x.shape[0]}"
            )
    r = sum(x.shape[1] for x in parts.values())
    threads = checks.threads(n_threads)

    def project(features: Features, ensemble_id: int = 0) -> Tensor:
        """The projected features (B', proj_dim) of an ensemble."""
        S = numbered_sketch(proj_type, r, proj_dim, proj_seed, ensemble_id, "ensemble_id")
        projected: Tensor = S.apply(features, n_threads=threads)
        return projected

    numbered_sketch(proj_type, r, proj_dim, proj_seed, 0, "ensemble_id")  # its checks, at once
    return project
