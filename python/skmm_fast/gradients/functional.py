"""Per-sample gradients of any parameters of any model: by vmap(grad), or one sample at a time.

Neither needs a formula for a layer. The loop is also the reference that the other methods are
checked against.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.func import functional_call, grad, vmap
from torch.utils._pytree import tree_flatten, tree_unflatten

from .batch import Batch, own
from .frozen import frozen

VMAP_BYTES = 1 << 28  # bytes of gradients held at a time in `by_vmap`

# loss(output of a model, labels) gives one number a sample, or the sum of them.
PerSample = Callable[[Any, Any], torch.Tensor]
# (samples, gradients by name). `samples` is a slice of b samples of the batch. A gradient has shape
# (b, *shape of the parameter), or is None where the loss does not depend on the parameter.
Gradients = tuple[slice, dict[str, torch.Tensor | None]]


def output(model: torch.nn.Module, samples: Batch) -> Any:
    """The model's output for the samples. Raises ValueError where the model does not take them."""
    args, kwargs = own(samples.call)
    try:
        return model(*args, **kwargs)
    except (RuntimeError, TypeError, IndexError) as error:
        raise ValueError(f"batch: expected inputs that the model takes: {error}") from error


def by_vmap(
    model: torch.nn.Module, names: list[str], loss: PerSample, batch: Batch
) -> Iterator[Gradients]:
    """Gradients of the parameters `names` by vmap(grad), for VMAP_BYTES of them at a time.

    The labels of the batch are the targets.
    """
    params = {name: p.detach() for name, p in model.named_parameters() if name in names}
    places = _places(model, names)
    labels, spec = tree_flatten(() if batch.labels is None else batch.labels)
    n_inputs = len(batch.per_sample)

    def loss_of_one(params: dict[str, torch.Tensor], *entries: torch.Tensor) -> torch.Tensor:
        # entries are one sample's inputs, then its labels, without the batch dimension.
        inputs = [x if i in batch.per_sample else own(x) for i, x in enumerate(batch.inputs)]
        for i, x in zip(batch.per_sample, entries, strict=False):
            inputs[i] = x[None]
        args, kwargs = tree_unflatten(inputs, batch.spec)
        y = tree_unflatten([y[None] for y in entries[n_inputs:]], spec) if labels else None
        placed = {place: params[name] for place, name in places.items()}
        return loss(functional_call(model, placed, args, kwargs, tie_weights=False), y).sum()

    entries = [*(batch.inputs[i] for i in batch.per_sample), *labels]
    gradients = vmap(grad(loss_of_one), in_dims=(None, *[0] * len(entries)))
    size = sum(p.numel() * p.element_size() for p in params.values())
    step = max(1, VMAP_BYTES // size)
    with frozen(model):
        for i in range(0, batch.size, step):
            rows = slice(i, i + step)
            yield rows, gradients(params, *(own(x[rows]) for x in entries))


def _places(model: torch.nn.Module, names: list[str]) -> dict[str, str]:
    """Where a model holds parameters: each place once, with the name of the parameter, among
    `names`, that is there. A tied parameter has several places. A module that is used under two
    names counts once: after functional_call with both of its places, or with tie_weights=True,
    torch would leave the replacement in the module (seen in 2.13)."""
    name_of = {id(p): name for name, p in model.named_parameters() if name in names}
    return {
        f"{path}.{own}" if path else own: name_of[id(p)]
        for path, module in model.named_modules()
        for own, p in module.named_parameters(recurse=False, remove_duplicate=False)
        if id(p) in name_of
    }


def _as_batch_of_one(g: torch.Tensor | None) -> torch.Tensor | None:
    return None if g is None else g.to_dense()[None]  # embeddings may have sparse gradients


def by_loop(
    model: torch.nn.Module, names: list[str], loss: PerSample, batch: Batch
) -> Iterator[Gradients]:
    """Gradients of the parameters `names` by one backward pass a sample.

    The labels of the batch are the targets.
    """
    params = {name: p for name, p in model.named_parameters() if name in names}
    with frozen(model, except_for=frozenset(names)):
        for i in range(batch.size):
            rows = slice(i, i + 1)
            one = batch.rows(rows)
            value = loss(output(model, one), own(one.labels)).sum()
            if value.requires_grad:
                torch.autograd.backward(value)  # reentrant checkpoints refuse autograd.grad
            yield rows, {k: _as_batch_of_one(p.grad) for k, p in params.items()}
            for p in params.values():
                p.grad = None
