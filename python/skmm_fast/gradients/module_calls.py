"""Per-sample gradients of the parameters in a module, whatever it computes, from its calls alone.

One backward pass of a batch brings the gradients g of what the module gives back. Then the module
alone is run again, so that the gradient of Σ g · output is found for each sample: by vmap(grad) or
one sample at a time. This costs a pass of the module, where the same methods on the whole model
cost one of the model, and it does not matter what the rest of the model does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_structure, tree_unflatten

from .batch import Batch
from .captured_gradients import Module, OnCall, with_gradient
from .frozen import frozen
from .functional import Gradients, by_loop, by_vmap
from .sample_dims import SampleDims, is_repeatable, merged, split


@dataclass(frozen=True)
class ModuleCall:
    """One call of a module in the forward pass of a batch of n samples."""

    module: Module
    leaves: list[Any]  # of its (args, kwargs)
    spec: TreeSpec  # the structure around them
    dims: SampleDims
    n: int
    # The gradients that the backward pass brings, by number among the leaves of the output.
    received: dict[int, torch.Tensor] = field(default_factory=dict)

    def gradients(self, model: Module, names: list[str], how: str) -> Iterator[Gradients]:
        """The gradients that this call adds to those of the parameters `names` of the model, by
        `how`: "vmap" or "loop"."""
        if not self.received:
            return
        alone = _SamplesFirst(self)
        local = {id(p): name for name, p in alone.named_parameters()}
        name_of = {local[id(p)]: name for name, p in model.named_parameters() if name in names}
        inputs = [
            x if d is None else split(x, d, self.n)
            for x, d in zip(self.leaves, self.dims.inputs, strict=True)
        ]
        per_sample = tuple(i for i, d in enumerate(self.dims.inputs) if d is not None)
        received = [self._by_sample(i, g) for i, g in self.received.items()]
        batch = Batch(inputs, tree_structure((tuple(inputs), {})), per_sample, received, self.n)
        found = (by_vmap if how == "vmap" else by_loop)(alone, list(name_of), _product, batch)
        with frozen(model):  # the module may be given others, whose parameters it uses
            for rows, gradients in found:
                yield rows, {name_of[name]: g for name, g in gradients.items()}

    def _by_sample(self, i: int, g: torch.Tensor) -> torch.Tensor:
        dim = self.dims.outputs[i]
        if dim is None:
            raise ValueError(f"in {type(self.module).__name__}, with an output that samples share")
        return split(g, dim, self.n)


class _SamplesFirst(torch.nn.Module):
    """The module of a call, as one whose inputs and outputs are (B, k, ...) for k entries of each
    sample. It gives the outputs that have received a gradient."""

    def __init__(self, call: ModuleCall) -> None:
        super().__init__()
        self.module, self._spec, self._dims = call.module, call.spec, call.dims
        self._outputs = list(call.received)

    def forward(self, *inputs: Any) -> list[torch.Tensor]:
        dims = self._dims
        leaves = [
            x if d is None else merged(x, d) for x, d in zip(inputs, dims.inputs, strict=True)
        ]
        args, kwargs = tree_unflatten(leaves, self._spec)
        outputs = tree_leaves(self.module(*args, **kwargs))
        found = []
        for i in self._outputs:
            dim = dims.outputs[i]
            assert dim is not None
            found.append(split(outputs[i], dim, 1))
        return found


def _product(outputs: Any, received: Any) -> torch.Tensor:
    """Σ g · output. Raises RuntimeError for outputs of other sizes than the gradients."""
    each = [(o.reshape(g.shape) * g).sum() for o, g in zip(outputs, received, strict=True)]
    return torch.stack(each).sum()


@contextmanager
def captured_calls(
    modules: dict[str, Module],
    n: int,
    dims: Callable[[Module], SampleDims | None],
    on_refusal: Callable[[str, str], None],
    on_call: OnCall,
) -> Iterator[dict[str, list[ModuleCall]]]:
    """A context for one forward and one backward pass of a batch of n samples.

    It gives the calls of each of `modules`, by its name, which have received their gradients when
    the backward pass is done. A call that cannot be taken apart, sample by sample, is reported to
    `on_refusal(name, reason)`.
    """
    found: dict[str, list[ModuleCall]] = {name: [] for name in modules}

    def hook(name: str, module: Module, args: Any, kwargs: Any, out: Any) -> Any:
        if not torch.is_grad_enabled():  # a reentrant checkpoint comes again
            return None
        leaves, spec = tree_flatten((args, kwargs))
        outputs, out_spec = tree_flatten(out)
        of_samples = dims(module)
        if of_samples is None or not (of_samples.fit(leaves, n) and is_repeatable(leaves)):
            on_refusal(name, f"in {type(module).__name__}, which is called unlike before")
            return None
        inputs = [x.detach() if isinstance(x, torch.Tensor) else x for x in leaves]
        call = ModuleCall(module, inputs, spec, of_samples, n)
        found[name].append(call)
        for i, x in enumerate(outputs):
            if isinstance(x, torch.Tensor) and x.is_floating_point():
                on_call(module, x)
                # A copy: what the module itself makes of x adds nothing to its gradient.
                outputs[i] = with_gradient(x.clone(), partial(call.received.__setitem__, i))
        return tree_unflatten(outputs, out_spec)

    handles = [
        m.register_forward_hook(partial(hook, name), with_kwargs=True)
        for name, m in modules.items()
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
