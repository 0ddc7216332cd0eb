"""One pass of some samples through the model, which adds their sketched gradients to sums.

Each parameter has its own method: hooks on its layer, vmap(grad) of the whole model, or a loop over
the samples. `calibration` chooses the methods; this module carries them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from .._support.types import Indices
from ..sketch.base import Sketch
from .adam_update import AdamUpdate
from .batch import Batch
from .captured_gradients import Module, OnCall, OnRefusal, captured_gradients, frozen
from .functional import by_loop, by_vmap, output
from .layer_rules import rule_of
from .losses import Loss
from .parameters import Slot, owners
from .sketch_accumulator import SketchAccumulator


def _raise_refusal(module: Module, reason: str) -> None:
    raise ValueError(
        f"model: {type(module).__name__} {reason}, unlike in the first batch; method='loop' may do"
    )


@dataclass(frozen=True)
class BackwardPass:
    """All that a pass needs beside its samples."""

    model: Module
    loss: Loss
    targets: str  # one of losses.Targets
    slots: dict[str, Slot]  # the chosen parameters by name
    sketch: Sketch
    dtype: torch.dtype  # the type of the sums: float32 or float64
    device: torch.device  # the device of the parameters
    updates: Mapping[str, AdamUpdate]  # by parameter, of whole gradients; empty: none

    def zeros(self, n: int) -> torch.Tensor:
        """Empty sums (n, m) for the sketched gradients of n samples."""
        return torch.zeros(n, self.sketch.out_dim, dtype=self.dtype, device=self.device)

    def add(
        self,
        samples: Batch,
        ids: Indices,
        methods: dict[str, str],
        sums: SketchAccumulator,
        on_refusal: OnRefusal = _raise_refusal,
        on_call: OnCall = lambda module, out: None,
        expand: bool = True,
    ) -> None:
        """Add the sketched gradients of `samples` to `sums`.

        `methods` gives the method of each parameter: "hooks", "vmap", "loop", or "none" for one on
        which the loss must not depend. `ids` (B,) are the sample ids, which random targets use.
        For `on_refusal`, `on_call` and `expand` see `captured_gradients`; by default a refused call
        is a ValueError.
        """

        def names(method: str) -> list[str]:
            return [name for name, how in methods.items() if how == method]

        samples = self._by_hooks(
            samples,
            ids,
            names("hooks"),
            frozenset(names("none")),
            sums,
            on_refusal,
            on_call,
            expand,
        )
        for method, gradients_by in (("vmap", by_vmap), ("loop", by_loop)):
            if not names(method):
                continue
            for rows, found in gradients_by(self.model, names(method), self.loss, samples):
                for name, g in found.items():
                    if g is None:
                        continue
                    G = g.to(self.dtype).flatten(1)
                    if self.updates:
                        G = self.updates[name](G)
                    sums.for_samples(rows).dense(self.slots[name], G)

    def _by_hooks(
        self,
        samples: Batch,
        ids: Indices,
        names: list[str],
        unused: frozenset[str],
        sums: SketchAccumulator,
        on_refusal: OnRefusal,
        on_call: OnCall,
        expand: bool,
    ) -> Batch:
        """Add the gradients of the parameters `names`, and return the samples with their targets as
        labels.

        The targets may depend on the model's output, so this runs even where `names` is empty.
        Raises ValueError where the loss depends on a parameter of `unused`.
        """
        slots_in = owners(self.model, {name: self.slots[name] for name in names})

        def on_gradient(module: Module, x: torch.Tensor, g: torch.Tensor) -> None:
            rule = rule_of(module)
            assert rule is not None
            wide = x.to(self.dtype) if x.is_floating_point() else x
            rule(module, wide, g.to(self.dtype), slots_in[module], sums)

        with (
            frozen(self.model, except_for=unused),
            captured_gradients(
                list(slots_in), samples.size, on_gradient, on_refusal, on_call, expand
            ),
        ):
            with torch.set_grad_enabled(bool(slots_in or unused)):
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
