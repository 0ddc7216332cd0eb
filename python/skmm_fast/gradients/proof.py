"""The proof of a batch: one ordinary backward pass against the sketches of all its samples.

The sketch is linear. So for any weights w the sketch of the gradient of Σ w_i loss_i, which torch
computes without looking at single samples, is Σ w_i Z_i, and so for the part of Z that each
parameter adds. With random weights, rows that are wrong or in a wrong order do not add up.
"""

from __future__ import annotations

from collections.abc import Collection

import torch

from .parameters import Slot

# How far a parameter's sketched gradient may be from the one that it is compared with, relative to
# (the norm of this) + SMALL · (the norm of the gradient of all parameters together). The second
# term matters where a parameter's gradient is small, such as a sum of parts that cancel.
TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-3}
TOLERANCE_TF32 = 1e-2
TOLERANCE_16_BITS = 0.1
SMALL = 1e-2

# Sketched gradients (n, m), apart for each parameter, by its name.
PerParameter = dict[str, torch.Tensor]


def weights(n: int, seed: int) -> torch.Tensor:
    """Random weights (n,) of both signs, with absolute values in [1, 2) so that every sample
    counts. They are multiples of 1/64, which any float type holds exactly."""
    generator = torch.Generator().manual_seed(seed)
    u = torch.randint(-64, 64, (n,), generator=generator)
    return torch.where(u < 0, u - 63, u + 64) / 64


class WeightedSums:
    """Σ w_i Z_i of what each parameter adds to Z (n, m), for the `target` of a SketchAccumulator.

    Sketches are added in place, one parameter after the other. So Σ w_i Z_i is formed whenever an
    addition begins, and what it has grown by belongs to the parameter of the addition before.
    """

    def __init__(self, Z: torch.Tensor, w: torch.Tensor) -> None:
        self.Z, self.w = Z, w.to(Z)
        self._of: PerParameter = {}
        self._last: tuple[str, torch.Tensor] | None = None  # the open addition, the sum before it

    def __call__(self, slot: Slot) -> torch.Tensor:
        self._last = slot.name, self._close()
        return self.Z

    def _close(self) -> torch.Tensor:
        total: torch.Tensor = self.w @ self.Z
        if self._last is not None:
            name, before = self._last
            grown = total - before
            self._of[name] = self._of[name] + grown if name in self._of else grown
        return total

    def of(self) -> PerParameter:
        """The sums (1, m) of the parameters that have added anything."""
        self._close()
        self._last = None
        return {name: total[None] for name, total in self._of.items()}


def scale(Z: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """(1,) The norm that Σ w_i Z_i has where the rows of Z are orthogonal."""
    norm: torch.Tensor = torch.linalg.vector_norm(Z * w.to(Z)[:, None])
    return norm.reshape(1)


def tolerance(types: set[torch.dtype], device: str) -> float:
    """The relative error to allow where parameters and layers have these types."""
    if not types <= TOLERANCE.keys() or torch.is_autocast_enabled(device):
        return TOLERANCE_16_BITS
    tf32 = device == "cuda" and torch.float32 in types  # convolutions there use TF32 by default
    return TOLERANCE_TF32 if tf32 else max(TOLERANCE[t] for t in types)


def differing(
    found: PerParameter,
    expected: PerParameter,
    names: Collection[str],
    total: torch.Tensor,
    tolerance: float,
) -> dict[str, float]:
    """The parameters, among `names`, whose sketches (n, m) differ, each with the largest error of a
    row relative to its norm. A parameter that is missing has zeros; `total` (n,) are the norms of
    the expected rows with all parameters together.

    NaN or Inf in a row on both sides comes from the sample itself; the sketcher reports it later.
    """
    sums = sum(found.values(), torch.zeros_like(total)[:, None]).norm(dim=1)
    finite, off = total.isfinite() | sums.isfinite(), {}
    for name in names:
        zeros = torch.zeros_like(total)[:, None]
        a, b = found.get(name, zeros), expected.get(name, zeros)
        error, norm = (a - b).norm(dim=1), b.norm(dim=1) + SMALL * total
        wrong = ~(error <= tolerance * norm) & finite
        if wrong.any():
            off[name] = float((error / norm)[wrong].max())
    return off
