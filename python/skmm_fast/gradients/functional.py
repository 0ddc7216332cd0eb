"""Per-sample gradients of any parameters: vmap(grad), and one sample after the other."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.func import functional_call, grad, vmap
from torch.utils._pytree import tree_flatten, tree_unflatten

from .batch import Batch, carries
from .hooks import frozen
from .losses import Loss

VMAP_BYTES = 1 << 28  # of gradients, held at a time

# (samples, gradients (b, *shape) by name: None where the loss does not depend on a parameter)
Found = tuple[slice, dict[str, torch.Tensor | None]]


def by_vmap(model: torch.nn.Module, names: list[str], loss: Loss, batch: Batch) -> Iterator[Found]:
    """In chunks. The labels of the batch are the targets."""
    params = {name: p.detach() for name, p in model.named_parameters() if name in names}
    leaves, spec = tree_flatten((batch.args, batch.kwargs, batch.labels))
    own = [i for i, x in enumerate(leaves) if carries(x, batch.size)]

    def loss_of_one(params: dict[str, torch.Tensor], *entries: torch.Tensor) -> torch.Tensor:
        parts = list(leaves)
        for i, x in zip(own, entries, strict=True):
            parts[i] = x[None]
        args, kwargs, labels = tree_unflatten(parts, spec)
        return loss(functional_call(model, params, args, kwargs), labels).sum()

    gradients = vmap(grad(loss_of_one), in_dims=(None, *[0] * len(own)))
    size = sum(p.numel() * p.element_size() for p in params.values())
    step = max(1, VMAP_BYTES // size)
    with frozen(model):
        for i in range(0, batch.size, step):
            rows = slice(i, i + step)
            yield rows, gradients(params, *(leaves[k][rows] for k in own))


def _entries(g: torch.Tensor | None) -> torch.Tensor | None:
    return None if g is None else g.to_dense()[None]  # embeddings may have sparse gradients


def by_loop(model: torch.nn.Module, names: list[str], loss: Loss, batch: Batch) -> Iterator[Found]:
    """As `by_vmap`, sample by sample."""
    params = {name: p for name, p in model.named_parameters() if name in names}
    with frozen(model, but=frozenset(names)):
        for i in range(batch.size):
            rows = slice(i, i + 1)
            one = batch.rows(rows)
            value = loss(model(*one.args, **one.kwargs), one.labels).sum()
            if value.requires_grad:
                torch.autograd.backward(value)  # reentrant checkpoints refuse autograd.grad
            yield rows, {k: _entries(p.grad) for k, p in params.items()}
            for p in params.values():
                p.grad = None
