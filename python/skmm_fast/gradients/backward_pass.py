"""Some samples through the model, their sketched gradients into sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from .._support.types import Indices
from ..sketch.operators import Sketch
from .batch import Batch
from .captured_gradients import Module, Refuse, captured_gradients, frozen
from .functional import by_loop, by_vmap, output
from .layer_rules import rule_of
from .losses import Loss
from .parameters import Slot, owners
from .sketch_accumulator import SketchAccumulator


def _raise(module: Module, reason: str) -> None:
    raise ValueError(
        f"model: {type(module).__name__} {reason}, unlike in the first batch; method='loop' may do"
    )


@dataclass(frozen=True)
class BackwardPass:
    model: Module
    loss: Loss
    targets: str  # one of losses.Targets
    slots: dict[str, Slot]
    sketch: Sketch
    dtype: torch.dtype  # of the sums
    device: torch.device

    def zeros(self, n: int) -> torch.Tensor:
        """SketchAccumulator of n samples, to begin with."""
        return torch.zeros(n, self.sketch.out_dim, dtype=self.dtype, device=self.device)

    def add(
        self,
        samples: Batch,
        ids: Indices,
        methods: dict[str, str],
        sums: SketchAccumulator,
        refuse: Refuse = _raise,
        called: Callable[[Module, torch.Tensor], Any] = lambda module, out: None,
        expand: bool = True,
    ) -> None:
        """The gradients of all parameters by their methods: "hooks", "vmap", "loop" or "none".

        refuse is told of calls of a layer from which no per-sample gradient can be read, `called`
        of all others. `expand`: see `captured_gradients`.
        """

        def names(method: str) -> list[str]:
            return [name for name, how in methods.items() if how == method]

        samples = self._by_hooks(
            samples, ids, names("hooks"), frozenset(names("none")), sums, refuse, called, expand
        )
        for method, gradients_by in (("vmap", by_vmap), ("loop", by_loop)):
            if not names(method):
                continue
            for rows, found in gradients_by(self.model, names(method), self.loss, samples):
                for name, g in found.items():
                    if g is not None:
                        sums.of(rows).dense(self.slots[name], g.to(self.dtype).flatten(1))

    def _by_hooks(
        self,
        samples: Batch,
        ids: Indices,
        names: list[str],
        unused: frozenset[str],
        sums: SketchAccumulator,
        refuse: Refuse,
        called: Callable[[Module, torch.Tensor], Any],
        expand: bool,
    ) -> Batch:
        """Returns the samples with their targets as labels.

        Raises ValueError where the loss depends on a parameter that is to be unused.
        """
        at = owners(self.model, {name: self.slots[name] for name in names})

        def meet(module: Module, x: torch.Tensor, g: torch.Tensor) -> None:
            rule = rule_of(module)
            assert rule is not None
            wide = x.to(self.dtype) if x.is_floating_point() else x
            rule(module, wide, g.to(self.dtype), at[module], sums)

        with (
            frozen(self.model, but=unused),
            captured_gradients(list(at), samples.size, meet, refuse, called, expand),
        ):
            with torch.set_grad_enabled(bool(at or unused)):
                out = output(self.model, samples)
                targets = self.loss.targets(
                    out, samples.labels, self.targets, ids, self.sketch.seed
                )
                losses = self.loss(out, targets)
            if losses.shape != (samples.size,):
                raise ValueError(
                    f"loss: expected one loss per sample, shape ({samples.size},), got "
                    f"{tuple(losses.shape)}"
                )
            if losses.requires_grad:
                torch.autograd.backward(losses.sum())
            for name, p in self.model.named_parameters():
                if name in unused and p.grad is not None:
                    raise ValueError(
                        f"params: expected {name!r} unused, as in the first samples, got a "
                        "gradient; method='loop' may do"
                    )
        return replace(samples, labels=targets)
