"""Per-sample gradients inside one backward pass of a batch: what goes into a layer and the gradient
of what comes out are met by a closure per call, so that layers may be used several times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .batch import carries

Module = torch.nn.Module
# (module, x, g): what went in, and the gradient of what came out, both (B, ...)
Meet = Callable[[Module, torch.Tensor, torch.Tensor], None]
# (module, reason): a call from which no per-sample gradient can be read
Refuse = Callable[[Module, str], None]


class _Root(torch.autograd.Function):
    """Makes x the beginning of a graph, and not a leaf: it may be changed in place."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, root: torch.Tensor) -> torch.Tensor:
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[None, None]:
        return None, None


def _whole(out: torch.Tensor) -> Any:
    """The tensor with the entries of `out` in their order that is no view: changes of a view in
    place replace its place in the graph, with the hooks there."""
    base = out._base
    if base is None or base.numel() != out.numel():
        return out
    return base if base.is_contiguous() and out.is_contiguous() else out


@contextmanager
def captured_gradients(
    modules: list[Module],
    n: int,
    meet: Meet,
    refuse: Refuse,
    called: Callable[[Module, torch.Tensor], Any],
    expand: bool,
) -> Iterator[None]:
    """Within it, `meet` is called in the backward pass of n samples for every call of the modules
    that is not refused, and `called`, with its output, in the forward pass.

    The outputs of the modules begin the graph where nothing before them needs a gradient. An
    output of length 1 that is meant for all samples (position embeddings) is expanded to n,
    unless `expand` is False.
    """

    def hook(module: Module, args: Any, kwargs: Any, out: Any) -> Any:
        if not torch.is_grad_enabled():  # the first run of a reentrant checkpoint
            return None
        tensors = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor)]
        if len(tensors) != 1 or not isinstance(out, torch.Tensor):
            refuse(module, "is called with more than one tensor")
            return None
        x = tensors[0].detach()
        if expand and n > 1 and len(x) == len(out) == 1:
            x, out = (y.expand(n, *y.shape[1:]) for y in (x, out))
        if not (carries(x, n) and carries(out, n)):
            refuse(
                module,
                f"has an output of shape {tuple(out.shape)}, without the batch of {n} samples in "
                "dimension 0: its gradient arrives summed over the samples",
            )
            return None
        called(module, out)
        if not out.requires_grad:
            out = _Root.apply(out.detach(), root)  # type: ignore[no-untyped-call]

        def arrived(g: torch.Tensor) -> None:
            with torch.no_grad(), torch.autocast(g.device.type, enabled=False):
                meet(module, x, g.reshape(shape))

        shape = out.shape
        _whole(out).register_hook(arrived)
        return out

    root = torch.zeros((), requires_grad=True)
    handles = [m.register_forward_hook(hook, prepend=True, with_kwargs=True) for m in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def frozen(model: Module, but: frozenset[str] = frozenset()) -> Iterator[None]:
    """Within it no parameter but these requires a gradient, none has one, and grad mode is on.
    PyTorch's fast path of attention, which calls no layers, is off."""
    before = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        for name, p in model.named_parameters():
            p.requires_grad_(name in but)
            p.grad = None
        torch.backends.mha.set_fastpath_enabled(False)
        with torch.enable_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for p, flag, gradient in before:
            p.requires_grad_(flag)
            p.grad = gradient
