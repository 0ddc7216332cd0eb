"""Per-sample gradients of any parameters: vmap(grad), and one sample after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.func import functional_call, grad, vmap
from torch.utils._pytree import tree_flatten, tree_unflatten

from .batch import Batch
from .captured_gradients import frozen
from .losses import Loss

VMAP_BYTES = 1 << 28  # of gradients, held at a time

# (samples, gradients (b, *shape) by name: None where the loss does not depend on a parameter)
Found = tuple[slice, dict[str, torch.Tensor | None]]


def output(model: torch.nn.Module, samples: Batch) -> Any:
    """What the model makes of them. Raises ValueError where it does not take them."""
    args, kwargs = samples.call
    try:
        return model(*args, **kwargs)
    except (RuntimeError, TypeError, IndexError) as error:
        raise ValueError(f"batch: expected inputs that the model takes: {error}") from error


def by_vmap(model: torch.nn.Module, names: list[str], loss: Loss, batch: Batch) -> Iterator[Found]:
    """In chunks. The labels of the batch are the targets."""
    params = {name: p.detach() for name, p in model.named_parameters() if name in names}
    labels, spec = tree_flatten(() if batch.labels is None else batch.labels)
    n_own = len(batch.own)

    def loss_of_one(params: dict[str, torch.Tensor], *entries: torch.Tensor) -> torch.Tensor:
        inputs = list(batch.inputs)
        for i, x in zip(batch.own, entries, strict=False):
            inputs[i] = x[None]
        args, kwargs = tree_unflatten(inputs, batch.spec)
        y = tree_unflatten([y[None] for y in entries[n_own:]], spec) if labels else None
        return loss(functional_call(model, params, args, kwargs), y).sum()

    entries = [*(batch.inputs[i] for i in batch.own), *labels]
    gradients = vmap(grad(loss_of_one), in_dims=(None, *[0] * len(entries)))
    size = sum(p.numel() * p.element_size() for p in params.values())
    step = max(1, VMAP_BYTES // size)
    with frozen(model):
        for i in range(0, batch.size, step):
            rows = slice(i, i + step)
            yield rows, gradients(params, *(x[rows] for x in entries))


def _entries(g: torch.Tensor | None) -> torch.Tensor | None:
    return None if g is None else g.to_dense()[None]  # embeddings may have sparse gradients


def by_loop(model: torch.nn.Module, names: list[str], loss: Loss, batch: Batch) -> Iterator[Found]:
    """As `by_vmap`, sample by sample."""
    params = {name: p for name, p in model.named_parameters() if name in names}
    with frozen(model, but=frozenset(names)):
        for i in range(batch.size):
            rows = slice(i, i + 1)
            one = batch.rows(rows)
            value = loss(output(model, one), one.labels).sum()
            if value.requires_grad:
                torch.autograd.backward(value)  # reentrant checkpoints refuse autograd.grad
            yield rows, {k: _entries(p.grad) for k, p in params.items()}
            for p in params.values():
                p.grad = None
