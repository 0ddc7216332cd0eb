"""Sketches of a model's gradients, parameter by parameter: Z += (gradient) Γ[its coordinates].

What is given here is right by construction, and of the type of Z: nothing is checked again.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from .._support import checks, tensors
from ..sketch.operators import Sketch
from .parameters import Slot

CHUNK_BYTES = 1 << 25  # of a gradient, held at a time


class SketchAccumulator:
    """`target(slot)` is the (B, m) tensor to which the sketched gradients of a parameter are added.

    Gradients come in three shapes, whichever takes least: all entries, sums of outer products, and
    a few rows.
    """

    def __init__(
        self, sketch: Sketch, target: Callable[[Slot], torch.Tensor], n_threads: int | None = None
    ) -> None:
        self.sketch, self.target, self.n_threads = sketch, target, n_threads

    def of(self, rows: slice) -> SketchAccumulator:
        """Of some of the samples."""
        return SketchAccumulator(self.sketch, lambda slot: self.target(slot)[rows], self.n_threads)

    def dense(self, slot: Slot, G: torch.Tensor, first: int = 0) -> None:
        """G: (B, c), entries [first, first + c) of the gradients."""
        Z, G = self.target(slot), G.contiguous()
        if tensors.on_device(Z):
            from ..device.gamma import add_dense

            add_dense(self.sketch, G, Z, slot.offset + first)
        else:
            threads = checks.threads(self.n_threads)
            self.sketch._core.sketch_dense(G.numpy(), slot.offset + first, True, threads, Z.numpy())

    def products(self, slot: Slot, A: torch.Tensor, X: torch.Tensor) -> None:
        """A: (B, K, o, T), X: (B, K, i, T): the gradients are A Xᵀ, (B, K, o, i)."""
        B, K, o, T = A.shape
        i = X.shape[2]
        if K == T == 1:
            self._outer(slot, A.reshape(B, o), X.reshape(B, i))
            return
        rows = max(1, CHUNK_BYTES // (B * i * A.element_size()))  # of the K o
        step = max(1, rows // o)
        for k in range(0, K, step):
            for c in range(0, o, rows):
                G = A[:, k : k + step, c : c + rows] @ X[:, k : k + step].transpose(2, 3)
                self.dense(slot, G.reshape(B, -1), (k * o + c) * i)

    def _outer(self, slot: Slot, E: torch.Tensor, X: torch.Tensor) -> None:
        Z, E, X = self.target(slot), E.contiguous(), X.contiguous()
        if tensors.on_device(Z):
            from ..device.gamma import add_outer

            add_outer(self.sketch, E, X, Z, slot.offset)
        else:
            threads = checks.threads(self.n_threads)
            self.sketch._core.sketch_outer(
                E.numpy(), X.numpy(), slot.offset, True, threads, Z.numpy()
            )

    def rows(self, slot: Slot, index: torch.Tensor, values: torch.Tensor) -> None:
        """Row index[b, t] of the gradient of sample b gets values[b, t]; index: (B, T), -1 for no
        row; values: (B, T, D)."""
        Z, kept = self.target(slot), index >= 0
        B, _, D = values.shape
        if tensors.on_device(Z):
            from ..device.gamma import add_rows

            add_rows(self.sketch, index.clamp(min=0), values * kept[..., None], Z, slot.offset)
            return
        n_rows = slot.size // D
        keys, place = torch.unique(
            (torch.arange(B)[:, None] * n_rows + index)[kept], return_inverse=True
        )
        summed = torch.zeros(len(keys), D, dtype=Z.dtype).index_add_(0, place, values[kept])
        columns = (keys % n_rows)[:, None] * D + torch.arange(D)
        ends = torch.searchsorted(keys, torch.arange(B + 1) * n_rows) * D
        self.sketch._core.sketch_csr(
            summed.view(-1).numpy(),
            columns.view(-1).numpy(),
            ends.numpy(),
            slot.size,
            slot.offset,
            True,
            checks.threads(self.n_threads),
            Z.numpy(),
        )
