"""Where the calls of a model's modules hold the samples: two forward passes show it.

A dimension along which a tensor is n times as long for n samples as for one holds the samples, with
equally many consecutive entries each. So it is seen whether a module gets samples (B, ...), rows of
tokens (B · T, ...) or positions first (T, B, ...), and which of its tensors serve all samples.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from .batch import Batch
from .frozen import frozen
from .functional import output

Module = torch.nn.Module

UNCHANGED = (
    *(str, bytes, int, float, complex, type(None), slice),
    *(torch.dtype, torch.device, torch.Tensor, Module),
)
Shape = tuple[int, ...] | None  # None: of what is no tensor
Shapes = tuple[Shape, ...]
_Call = tuple[Shapes, Shapes, bool]  # what goes in, what comes out, and `is_repeatable`


@dataclass(frozen=True)
class SampleDims:
    """For each leaf of a call's (args, kwargs), and of its output, the dimension that holds the
    samples; None: it is no tensor, or one that serves all samples."""

    inputs: tuple[int | None, ...]
    outputs: tuple[int | None, ...]
    repeatable: bool  # as in `is_repeatable`

    @property
    def can_run_alone(self) -> bool:
        """Whether the call can be made again, and a tensor with samples comes out."""
        return self.repeatable and any(d is not None for d in self.outputs)

    def fit(self, leaves: list[Any], n: int) -> bool:
        """Whether a call with these leaves as arguments holds n samples along the dimensions."""
        return len(leaves) == len(self.inputs) and all(
            d is None or (isinstance(x, torch.Tensor) and x.ndim > d and x.shape[d] % n == 0)
            for x, d in zip(leaves, self.inputs, strict=True)
        )


def is_repeatable(leaves: list[Any]) -> bool:
    """Whether a call with these leaves as arguments can be made again: none of them is an object,
    such as a cache, that the call may change."""
    return all(isinstance(x, UNCHANGED) for x in leaves)


def sample_dims(model: Module, samples: Batch) -> dict[Module, SampleDims]:
    """The dimensions of the samples in each module that is called, and alike in all its calls."""
    several = _calls(model, samples)
    alone = several if samples.size == 1 else _calls(model, samples.rows(slice(0, 1)))
    found = {}
    for module, calls in several.items():
        pairs = list(zip(calls, alone.get(module, []), strict=False))
        first, *others = {_dims_of(a, b, samples.size) for a, b in pairs} or {None}
        if first is not None and not others and len(pairs) == len(calls):
            found[module] = first
    return found


def split(x: torch.Tensor, dim: int, n: int) -> torch.Tensor:
    """x with the k entries of each sample along `dim` as (n, k, ...). Raises RuntimeError where the
    length of x is no multiple of n."""
    return torch.unflatten(x.movedim(dim, 0), 0, (n, -1))


def merged(x: torch.Tensor, dim: int) -> torch.Tensor:
    """The tensor of which `split` gives x."""
    return x.flatten(0, 1).movedim(0, dim)


def _calls(model: Module, samples: Batch) -> dict[Module, list[_Call]]:
    """The shapes of what goes into each call of each module and of what comes out."""
    found: dict[Module, list[_Call]] = {}

    def hook(module: Module, args: Any, kwargs: Any, out: Any) -> None:
        leaves = tree_leaves((args, kwargs))
        call = _shapes(leaves), _shapes(tree_leaves(out)), is_repeatable(leaves)
        found.setdefault(module, []).append(call)

    handles = [m.register_forward_hook(hook, with_kwargs=True) for m in model.modules()]
    try:
        with frozen(model), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of missing gradients; other passes say what there is
            output(model, samples)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _shapes(leaves: list[Any]) -> Shapes:
    return tuple(tuple(x.shape) if isinstance(x, torch.Tensor) else None for x in leaves)


def _dims_of(several: _Call, alone: _Call, n: int) -> SampleDims | None:
    """None where a call of n samples is built unlike that of one sample."""
    pairs = list(zip(several[:2], alone[:2], strict=True))
    if any(len(a) != len(b) for a, b in pairs):
        return None
    inputs, outputs = (tuple(_dim(x, y, n) for x, y in zip(a, b, strict=True)) for a, b in pairs)
    return SampleDims(inputs, outputs, several[2])


def _dim(several: Shape, alone: Shape, n: int) -> int | None:
    """The first dimension that is n times as long for n samples as for one."""
    if several is None or alone is None or len(several) != len(alone):
        return None
    longer = (d for d, (a, b) in enumerate(zip(several, alone, strict=True)) if a == n * b > 0)
    return next(longer, None)
