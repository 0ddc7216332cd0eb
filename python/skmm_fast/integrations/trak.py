"""TRAK: a projector for `trak.TRAKer(projector=...)`, with the families of Γ of this package.

Tested with traker 0.3.2. Nothing here imports it: it asks a projector for two methods and four
attributes, and not for its class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._support import checks
from .._support.types import Tensor
from .numbered import numbered_sketch


class SketchProjector:
    """Projects gradients as the projectors of TRAK do: `project(grads, model_id)`.

    The entries of Γ are scaled as those of TRAK's own projectors, to E[ΓΓᵀ] = proj_dim · I. Scores
    do not depend on that; but TRAK keeps features as float16, whose range is small.

    Parameters
    ----------
    grad_dim : int
        r, the number of parameters.
    proj_dim : int
        m, at most grad_dim.
    seed : int, default 0
        In [0, 2³²). The Γ of a model_id, in [0, 2³²) too, is that of
        `SparseSign(grad_dim, proj_dim, seed=seed + 2**32 * model_id)`, say: independent of those of
        other seeds and model_ids, and √m times as large.
    proj_type : {"sparse-sign", "grouped-sign", "gaussian"}
        The family of Γ.
    device : str or torch.device, default "cpu"
        Kept for TRAK. Gradients are projected where they lie, on the CPU or a CUDA device.
    n_threads : int, optional
        Threads of the core.

    Raises
    ------
    TypeError, ValueError
        proj_dim above grad_dim, another family, a seed out of range.

    Examples
    --------
    With TRAK, `TRAKer(model, "image_classification", train_set_size=N, device="cpu",
    projector=SketchProjector(grad_dim=r, proj_dim=2048))`. Without it:

    >>> import torch
    >>> from skmm_fast.integrations.trak import SketchProjector
    >>> projector = SketchProjector(grad_dim=340, proj_dim=32)
    >>> projector.project(torch.ones(5, 340), model_id=0).shape
    torch.Size([5, 32])
    >>> gradients = {"weight": torch.ones(5, 10, 30), "bias": torch.ones(5, 40)}
    >>> projector.project(gradients, model_id=1).shape
    torch.Size([5, 32])
    """

    def __init__(
        self,
        grad_dim: int,
        proj_dim: int,
        seed: int = 0,
        proj_type: str = "sparse-sign",
        device: Any = "cpu",
        *,
        n_threads: int | None = None,
    ) -> None:
        numbered_sketch(proj_type, grad_dim, proj_dim, seed, 0, "model_id")  # its checks
        self.grad_dim, self.proj_dim, self.seed = grad_dim, proj_dim, seed
        self.proj_type, self.device = proj_type, device
        self.n_threads = None if n_threads is None else checks.threads(n_threads)

    def project(self, grads: Tensor | Mapping[str, Tensor], model_id: int) -> Tensor:
        """The projected gradients (B, proj_dim) of a checkpoint.

        Parameters
        ----------
        grads : (B, grad_dim) tensor, or mapping of (B, ...) tensors
            Gradients, or a tensor for each parameter, in the order of the mapping.
        model_id : int
            The number of the checkpoint.

        Returns
        -------
        (B, proj_dim) tensor
            Where the gradients are, of their dtype; float32 where they have 16 bits.

        Raises
        ------
        TypeError, ValueError
            As `Sketch.apply`; a model_id out of range.
        """
        S = numbered_sketch(
            self.proj_type, self.grad_dim, self.proj_dim, self.seed, model_id, "model_id"
        )
        Z: Any = S.apply(grads, n_threads=self.n_threads)
        projected: Tensor = Z.mul_(self.proj_dim**0.5)
        return projected

    def free_memory(self) -> None:
        """Nothing: Γ is never in memory."""
