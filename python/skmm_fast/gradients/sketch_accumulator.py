"""Sums of sketched gradients, parameter by parameter: Z += G Γ[coordinates of the parameter].

G holds the per-sample gradients of one parameter. Every argument here is made by this package, in
the type of Z and on its device, so nothing is checked again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from .._support import checks, tensors
from ..sketch.base import Sketch
from ..sketch.factored import LEFT, Block, PartlyFactored
from .parameters import Slot

CHUNK_BYTES = 1 << 25  # bytes of gradients formed at a time in `products`


class SketchAccumulator:
    """Adds the sketched gradients of a parameter to `target(slot)`, a (B, m) tensor.

    A rule passes gradients in the one of three shapes that takes least memory: all entries
    (`dense`), sums of outer products (`products`), or a few rows (`rows`).
    """

    def __init__(
        self,
        sketch: Sketch,
        target: Callable[[Slot], torch.Tensor],
        n_threads: int | None = None,
        scales: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        self.sketch, self.target, self.n_threads = sketch, target, n_threads
        self.scales = scales or {}  # (size,) by parameter: what its gradients are multiplied with

    def for_samples(self, rows: slice) -> SketchAccumulator:
        """The accumulator of some of the samples; it adds to the same sums."""
        return SketchAccumulator(
            self.sketch, lambda slot: self.target(slot)[rows], self.n_threads, self.scales
        )

    def dense(self, slot: Slot, G: torch.Tensor, first: int = 0) -> None:
        """Add gradients whose entries [first, first + c), row-major, are G (B, c)."""
        if slot.name in self.scales:
            G = G * self.scales[slot.name][first : first + G.shape[1]]
        Z, first = self.target(slot), slot.offset + first
        if isinstance(self.sketch, PartlyFactored):
            self.sketch._add_dense(self._add, G.contiguous(), Z, first)
        else:
            self._add(self.sketch, G, Z, first)

    def products(self, slot: Slot, A: torch.Tensor, X: torch.Tensor) -> None:
        """Add gradients A Xᵀ (B, K, o, i), the products of A (B, K, o, T) and X (B, K, i, T).

        They are formed CHUNK_BYTES at a time. A single outer product (K = T = 1) that is not scaled
        is not formed, and nothing is for a matrix that the sketch has factored.
        """
        B, K, o, T = A.shape
        i = X.shape[2]
        block = self._block(slot)
        if block is not None:
            assert isinstance(self.sketch, PartlyFactored)
            E, X = A[:, 0].transpose(1, 2), X[:, 0].transpose(1, 2)
            self.sketch._add_products(self._add, block, E, X, self.target(slot))
            return
        if K == T == 1 and slot.name not in self.scales:
            self._outer(slot, A.reshape(B, o), X.reshape(B, i))
            return
        rows = max(1, CHUNK_BYTES // (B * i * A.element_size()))  # among the K·o rows of a gradient
        step = max(1, rows // o)
        for k in range(0, K, step):
            for c in range(0, o, rows):
                G = A[:, k : k + step, c : c + rows] @ X[:, k : k + step].transpose(2, 3)
                self.dense(slot, G.reshape(B, -1), (k * o + c) * i)

    def _add(self, sketch: Sketch, G: torch.Tensor, Z: torch.Tensor, first: int) -> None:
        """Z (n, m) += G (n, c) Γ[first : first + c]."""
        if tensors.on_device(Z):
            from ..device.gamma import add_dense

            add_dense(sketch, G.contiguous(), Z, first)
        else:
            threads = checks.threads(self.n_threads)
            sketch._core.sketch_dense(G.contiguous().numpy(), first, True, threads, Z.numpy())

    @property
    def _entries(self) -> Sketch:
        """The sketch of parameters that are sketched by their entries."""
        return self.sketch._last if isinstance(self.sketch, PartlyFactored) else self.sketch

    def _block(self, slot: Slot) -> Block | None:
        """The matrix that is this slot, where the sketch has factored it."""
        return (
            self.sketch._blocks.get(slot.offset)
            if isinstance(self.sketch, PartlyFactored)
            else None
        )

    def _outer(self, slot: Slot, E: torch.Tensor, X: torch.Tensor) -> None:
        """Add gradients e_b ⊗ x_b, the outer products of the rows of E (B, o) and X (B, i)."""
        Z, E, X = self.target(slot), E.contiguous(), X.contiguous()
        if tensors.on_device(Z):
            from ..device.gamma import add_outer

            add_outer(self._entries, E, X, Z, slot.offset)
        else:
            threads = checks.threads(self.n_threads)
            self._entries._core.sketch_outer(
                E.numpy(), X.numpy(), slot.offset, True, threads, Z.numpy()
            )

    def rows(self, slot: Slot, index: torch.Tensor, values: torch.Tensor) -> None:
        """Add gradients (n, D) with few nonzero rows: values[b, t] is added to row index[b, t] of
        the gradient of sample b. index (B, T) may repeat a row; -1 stands for none; values
        (B, T, D)."""
        Z, kept = self.target(slot), index >= 0
        B, _, D = values.shape
        if slot.name in self.scales:
            values = values * self.scales[slot.name].view(-1, D)[index]
        block = self._block(slot)
        if block is not None:
            assert isinstance(self.sketch, PartlyFactored)
            units = torch.from_numpy(self.sketch._unit_sides(LEFT, block, 0, block.rows)).to(Z)
            A = units[index.clamp(min=0)] * kept[..., None]
            self.sketch._add_sides(self._add, block, A, values, Z)
            return
        if tensors.on_device(Z):
            from ..device.gamma import add_rows

            add_rows(self._entries, index.clamp(min=0), values * kept[..., None], Z, slot.offset)
            return
        # The gradients become a CSR matrix (B, n·D). A key b·n + row names one of its nonzero rows.
        n_rows = slot.size // D
        keys, place = torch.unique(
            (torch.arange(B)[:, None] * n_rows + index)[kept], return_inverse=True
        )
        summed = torch.zeros(len(keys), D, dtype=Z.dtype).index_add_(0, place, values[kept])
        columns = (keys % n_rows)[:, None] * D + torch.arange(D)
        ends = torch.searchsorted(keys, torch.arange(B + 1) * n_rows) * D
        self._entries._core.sketch_csr(
            summed.view(-1).numpy(),
            columns.view(-1).numpy(),
            ends.numpy(),
            slot.size,
            slot.offset,
            True,
            checks.threads(self.n_threads),
            Z.numpy(),
        )
