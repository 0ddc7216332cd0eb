"""Per-sample gradients of layers, captured in one backward pass of a batch.

A forward hook keeps a layer's input x; a hook on its output receives the gradient g; a closure per
call combines the two. One closure per call is what lets a layer be used several times in one pass.
This module captures x and g only; `layer_rules` turns them into gradients of parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from .batch import is_per_sample
from .layer_rules import takes_positions
from .sample_dims import SampleDims, split

Module = torch.nn.Module
# on_gradient(module, x, g) receives the input x (B, ...) of one call of a module and the gradient
# g (B, ...) with respect to the output of that call.
OnGradient = Callable[[Module, torch.Tensor, torch.Tensor], None]
# on_call(module, output) is told in the forward pass of a call whose gradient will be captured.
OnCall = Callable[[Module, torch.Tensor], Any]
# on_refusal(module, reason) is told of a call from which no per-sample gradient can be read.
OnRefusal = Callable[[Module, str], None]


class _Root(torch.autograd.Function):
    """Returns x as the beginning of an autograd graph. The result is no leaf, so that the model may
    change it in place. `root` is a scalar that requires a gradient and makes the result require
    one."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, root: torch.Tensor) -> torch.Tensor:
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[None, None]:
        return None, None


def with_gradient(out: torch.Tensor, receive: Callable[[torch.Tensor], None]) -> torch.Tensor:
    """The output of a module as the model may use it, with a hook that gets its gradient.

    An output that does not require a gradient becomes the beginning of the graph, so that nothing
    before the first of the modules is kept for the backward pass.
    """
    if not out.requires_grad:
        root = torch.zeros((), requires_grad=True)
        out = _Root.apply(out.detach(), root)  # type: ignore[no-untyped-call]
    _without_view(out).register_hook(receive)
    return out


def _without_view(out: torch.Tensor) -> Any:
    """The base of `out` if `out` is a view with the same entries in the same order, else `out`.

    A change of a view in place replaces the view's node in the graph together with the hooks on
    it, so the hook goes on the base.
    """
    base = out._base
    if base is None or base.numel() != out.numel():
        return out
    return base if base.is_contiguous() and out.is_contiguous() else out


def _dims_of(
    module: Module,
    known: tuple[int | None, int | None] | None,
    x: torch.Tensor,
    out: torch.Tensor,
    n: int,
) -> tuple[int, int] | None:
    """The dimensions of a call's input and output that hold n samples, where the formula of the
    module can take them; else None. `known` are those of the calls before."""
    as_they_come = is_per_sample(x, n) and is_per_sample(out, n)
    if as_they_come and (n == 1 or known in (None, (0, 0))):
        return 0, 0
    if known is None or not takes_positions(module):
        return None
    of_x, of_out = known
    if of_x is None or of_out is None:
        return None
    entries = _entries(x, of_x, n)
    return (of_x, of_out) if entries and entries == _entries(out, of_out, n) else None


def _entries(x: torch.Tensor, dim: int, n: int) -> int:
    """How many entries each of n samples has along a dimension of x; 0: x is no such tensor."""
    return 0 if x.ndim <= dim or x.shape[dim] % n else x.shape[dim] // n


def _by_sample(x: torch.Tensor, dim: int, n: int) -> torch.Tensor:
    """x as (n, ...), with the k entries of a sample along `dim` as (n, k, ...) where k > 1."""
    y = split(x, dim, n)
    return y if y.shape[1] > 1 else y.squeeze(1)


@contextmanager
def captured_gradients(
    modules: list[Module],
    n: int,
    on_gradient: OnGradient,
    on_refusal: OnRefusal,
    on_call: OnCall,
    expand: Callable[[Module], bool],
    dims: Callable[[Module], SampleDims | None],
) -> Iterator[None]:
    """A context for one forward and one backward pass of a batch of n samples.

    Each call of one of `modules` is either reported to `on_refusal`, or reported to `on_call` in
    the forward pass and to `on_gradient` in the backward pass.

    `dims` says where a module's calls hold the samples; None, where it is not known: in dimension
    0, one row each. An input and output of length 1 that serve all samples (position embeddings)
    are expanded to n where `expand(module)`.
    """

    def hook(module: Module, args: Any, kwargs: Any, out: Any) -> Any:
        # A reentrant checkpoint runs its layers twice: first without gradients, then with them.
        if not torch.is_grad_enabled():
            return None
        leaves = tree_leaves((args, kwargs))
        tensors = [i for i, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
        if len(tensors) != 1 or not isinstance(out, torch.Tensor):
            on_refusal(module, "is called with more than one tensor")
            return None
        x = leaves[tensors[0]].detach()
        called = dims(module)
        known = None if called is None else (called.inputs[tensors[0]], called.outputs[0])
        if n > 1 and len(x) == len(out) == 1 and expand(module):
            x, out, known = *(y.expand(n, *y.shape[1:]) for y in (x, out)), None
        of_samples = _dims_of(module, known, x, out, n)
        if of_samples is None:
            on_refusal(
                module,
                f"has an output of shape {tuple(out.shape)}, without the batch of {n} samples in "
                "it: its gradient arrives summed over the samples",
            )
            return None
        on_call(module, out)
        shape, (x_dim, out_dim) = out.shape, of_samples
        x = _by_sample(x, x_dim, n)

        def receive(g: torch.Tensor) -> None:
            with torch.no_grad(), torch.autocast(g.device.type, enabled=False):
                on_gradient(module, x, _by_sample(g.reshape(shape), out_dim, n))

        return with_gradient(out, receive)

    handles = [m.register_forward_hook(hook, prepend=True, with_kwargs=True) for m in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
