"""Which weights `PartlyFactored` takes as matrices: those of linear layers that see many tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .batch import Batch
from .frozen import frozen
from .functional import output
from .layer_rules import is_linear
from .parameters import Slot, owners


def matrices_of(
    model: nn.Module, slots: dict[str, Slot], samples: Batch, factor_dim: int
) -> list[tuple[int, int, int]]:
    """The first coordinate, the rows and the columns of each weight to sketch as a matrix.

    These are the chosen weights of linear layers with more than factor_dim² entries, also those
    that an embedding shares. Not among them are layers whose inputs (B, d) have no dimension for
    tokens: a single product is embedded better by its entries. `samples` go through the model once.
    """
    layers: dict[str, list[nn.Module]] = {}
    for module, own in owners(model, slots).items():
        for slot in own.values():
            layers.setdefault(slot.name, []).append(module)
    flat = _without_tokens(model, [m for own in layers.values() for m in own], samples)
    found = []
    for name, slot in slots.items():
        linear = {m for m in layers.get(name, []) if is_linear(m)}
        others = set(layers.get(name, [])) - linear
        if (
            len(slot.shape) == 2
            and slot.size > factor_dim**2
            and linear
            and not linear & flat
            and all(type(module) is nn.Embedding for module in others)
        ):
            found.append((slot.offset, *slot.shape))
    return found


def _without_tokens(model: nn.Module, modules: list[nn.Module], samples: Batch) -> set[nn.Module]:
    """The linear layers among `modules` that are called with inputs (B, d)."""
    flat: set[nn.Module] = set()

    def look(module: nn.Module, args: Any, kwargs: Any) -> None:
        inputs = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor)]
        if any(x.ndim < 3 for x in inputs):
            flat.add(module)

    handles = [
        module.register_forward_pre_hook(look, with_kwargs=True)
        for module in modules
        if is_linear(module)
    ]
    try:
        with frozen(model), torch.no_grad():
            output(model, samples)
    finally:
        for handle in handles:
            handle.remove()
    return flat
