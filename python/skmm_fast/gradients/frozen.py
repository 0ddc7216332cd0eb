"""The state of a model while its gradients are found: nothing of it stays when that is done."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch


@contextmanager
def frozen(model: torch.nn.Module, except_for: frozenset[str] = frozenset()) -> Iterator[None]:
    """A context in which only the parameters named in `except_for` require gradients, no parameter
    has a `grad`, and grad mode is on.

    Meanwhile hooks of layers are called: PyTorch's fast path of attention is off, and what
    torch.compile has made runs as it was before. Everything is restored on exit.
    """
    before = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    fast_path = torch.backends.mha.get_fastpath_enabled()
    try:
        for name, p in model.named_parameters():
            p.requires_grad_(name in except_for)
            p.grad = None
        torch.backends.mha.set_fastpath_enabled(False)
        with torch.enable_grad(), _not_compiled():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for p, flag, gradient in before:
            p.requires_grad_(flag)
            p.grad = gradient


def _not_compiled() -> Any:
    """A context in which nothing runs compiled. Nothing is where the compiler, whose import takes
    seconds, has not been imported."""
    compiler = "torch._dynamo" in sys.modules
    return torch.compiler.set_stance("force_eager") if compiler else nullcontext()
