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

from .batch import is_per_sample

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


def _without_view(out: torch.Tensor) -> Any:
    """The base of `out` if `out` is a view with the same entries in the same order, else `out`.

    A change of a view in place replaces the view's node in the graph together with the hooks on
    it, so the hook goes on the base.
    """
    base = out._base
    if base is None or base.numel() != out.numel():
        return out
    return base if base.is_contiguous() and out.is_contiguous() else out


@contextmanager
def captured_gradients(
    modules: list[Module],
    n: int,
    on_gradient: OnGradient,
    on_refusal: OnRefusal,
    on_call: OnCall,
    expand: Callable[[Module], bool],
) -> Iterator[None]:
    """A context for one forward and one backward pass of a batch of n samples.

    Each call of one of `modules` is either reported to `on_refusal`, or reported to `on_call` in
    the forward pass and to `on_gradient` in the backward pass.

    An output that does not require a gradient becomes the beginning of the graph, so that nothing
    before the first of the modules is kept for the backward pass. An input and output of length 1
    that serve all samples (position embeddings) are expanded to n where `expand(module)`.
    """

    def hook(module: Module, args: Any, kwargs: Any, out: Any) -> Any:
        # A reentrant checkpoint runs its layers twice: first without gradients, then with them.
        if not torch.is_grad_enabled():
            return None
        tensors = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor)]
        if len(tensors) != 1 or not isinstance(out, torch.Tensor):
            on_refusal(module, "is called with more than one tensor")
            return None
        x = tensors[0].detach()
        if n > 1 and len(x) == len(out) == 1 and expand(module):
            x, out = (y.expand(n, *y.shape[1:]) for y in (x, out))
        if not (is_per_sample(x, n) and is_per_sample(out, n)):
            on_refusal(
                module,
                f"has an output of shape {tuple(out.shape)}, without the batch of {n} samples in "
                "dimension 0: its gradient arrives summed over the samples",
            )
            return None
        on_call(module, out)
        if not out.requires_grad:
            out = _Root.apply(out.detach(), root)  # type: ignore[no-untyped-call]

        def receive(g: torch.Tensor) -> None:
            with torch.no_grad(), torch.autocast(g.device.type, enabled=False):
                on_gradient(module, x, g.reshape(shape))

        shape = out.shape
        _without_view(out).register_hook(receive)
        return out

    root = torch.zeros((), requires_grad=True)
    handles = [m.register_forward_hook(hook, prepend=True, with_kwargs=True) for m in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def frozen(model: Module, except_for: frozenset[str] = frozenset()) -> Iterator[None]:
    """A context in which only the parameters named in `except_for` require gradients, no parameter
    has a `grad`, and grad mode is on.

    PyTorch's fast path of attention is off meanwhile: it calls no layers, so no hook would run.
    Everything is restored on exit.
    """
    before = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    fast_path = torch.backends.mha.get_fastpath_enabled()
    try:
        for name, p in model.named_parameters():
            p.requires_grad_(name in except_for)
            p.grad = None
        torch.backends.mha.set_fastpath_enabled(False)
        with torch.enable_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for p, flag, gradient in before:
            p.requires_grad_(flag)
            p.grad = gradient
