"""One pass of some samples through the model, which adds their sketched gradients to sums.

Each parameter has its own method: hooks on its layer; vmap(grad) of a module around it or of the
whole model; or a loop over the samples, through either. `calibration` and `checked_pass` choose the
methods; this module carries them out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch

from .._support.types import Indices
from ..sketch.base import Sketch
from .adam_update import AdamUpdate
from .batch import Batch, own
from .captured_gradients import Module, OnCall, OnRefusal, captured_gradients
from .frozen import frozen
from .functional import Gradients, by_loop, by_vmap, output
from .layer_rules import rule_of
from .losses import Loss
from .module_calls import ModuleCall, captured_calls
from .parameters import Slot, owners
from .sample_dims import SampleDims
from .sketch_accumulator import SketchAccumulator


class MethodFails(Exception):
    """The gradients of some parameters cannot be had by their methods."""

    def __init__(self, names: Collection[str], reason: str) -> None:
        super().__init__(reason)
        self.names, self.reason = list(names), reason


@dataclass(frozen=True)
class Observer:
    """What a pass by hooks asks, and what it tells while it runs."""

    expand: Callable[[Module], bool] = lambda module: False  # as in `captured_gradients`
    dims: Callable[[Module], SampleDims | None] = lambda module: None  # as in `captured_gradients`
    on_call: OnCall = lambda module, out: None  # of each call of a layer with hooks
    on_losses: Callable[[torch.Tensor], None] = lambda losses: None  # before the backward pass
    # Of a layer whose gradients cannot be read; None: raise MethodFails.
    on_refusal: OnRefusal | None = None


QUIET = Observer()


@contextmanager
def _failing(names: Collection[str]) -> Iterator[None]:
    """A context in which any error is a failure of the method of the parameters `names`."""
    try:
        yield
    except Exception as error:
        raise MethodFails(names, str(error)) from error


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
    scales: Mapping[str, torch.Tensor]  # by parameter, as in SketchAccumulator; empty: none

    def zeros(self, n: int) -> torch.Tensor:
        """Empty sums (n, m) for the sketched gradients of n samples."""
        return torch.zeros(n, self.sketch.out_dim, dtype=self.dtype, device=self.device)

    def sums(
        self, target: Callable[[Slot], torch.Tensor], n_threads: int | None = None
    ) -> SketchAccumulator:
        """An accumulator that adds to target(slot)."""
        return SketchAccumulator(self.sketch, target, n_threads, self.scales)

    def add(
        self,
        samples: Batch,
        ids: Indices,
        methods: dict[str, str],
        sums: SketchAccumulator,
        observer: Observer = QUIET,
    ) -> None:
        """Add the sketched gradients of `samples` to `sums`.

        `methods` gives the method of each parameter: "hooks"; "vmap" or "loop", of the whole model,
        or followed by the name of a module, of its calls; or "none" for one on which the loss must
        not depend. `ids` (B,) are the sample ids, which random targets use.
        Raises MethodFails for parameters whose method does not give their gradients; then `sums`
        may hold some of them.
        """

        def names(method: str) -> list[str]:
            return [name for name, how in methods.items() if how == method]

        inside: dict[str, list[str]] = {}  # the parameters found by calls of a module, by its name
        for name, method in methods.items():
            if path := method.partition(" ")[2]:
                inside.setdefault(path, []).append(name)
        samples, calls = self._by_hooks(
            samples, ids, names("hooks"), inside, frozenset(names("none")), sums, observer
        )
        for method in dict.fromkeys(methods.values()):
            how, _, path = method.partition(" ")
            for call in calls.get(path, []):
                with _failing(names(method)):
                    self._dense(call.gradients(self.model, names(method), how), sums)
        if names("vmap"):
            with _failing(names("vmap")):
                self._dense(by_vmap(self.model, names("vmap"), self.loss, samples), sums)
        if names("loop"):
            self._dense(by_loop(self.model, names("loop"), self.loss, samples), sums)

    def _dense(self, gradients: Iterable[Gradients], sums: SketchAccumulator) -> None:
        for rows, found in gradients:
            for name, g in found.items():
                if g is None:
                    continue
                G = g.to(self.dtype).flatten(1)
                if self.updates:
                    G = self.updates[name](G)
                sums.for_samples(rows).dense(self.slots[name], G)

    def weighted(
        self, samples: Batch, ids: Indices, names: Collection[str], weights: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """The sketch (1, m) of the gradient of Σ weights_i loss_i, apart for each of the parameters
        `names`, by one ordinary backward pass. Those on which the loss does not depend are
        missing."""
        found: dict[str, torch.Tensor] = {}
        sums = self.sums(lambda slot: found.setdefault(slot.name, self.zeros(1)))
        with frozen(self.model, except_for=frozenset(names)), ExitStack() as hooks:
            for name, p in self.model.named_parameters():
                if name in names:
                    sketch = partial(self._take_gradient, self.slots[name], sums)
                    handle = p.register_post_accumulate_grad_hook(sketch)  # type: ignore[no-untyped-call]
                    hooks.callback(handle.remove)
            losses, _ = self._losses(samples, ids)
            if losses.requires_grad:
                torch.autograd.backward((losses * weights.to(losses)).sum())
        return found

    def _take_gradient(self, slot: Slot, sums: SketchAccumulator, p: torch.Tensor) -> None:
        """Sketch a parameter's `grad` as soon as it is there, so that one is held at a time."""
        assert p.grad is not None
        with torch.no_grad():
            g = p.grad.to_dense()  # embeddings may have sparse gradients
            sums.dense(slot, g.to(self.dtype).reshape(1, -1))
        p.grad = None

    def _losses(self, samples: Batch, ids: Indices) -> tuple[torch.Tensor, Batch]:
        """The losses (B,), and the samples with their targets as labels."""
        out = output(self.model, samples)
        targets = self.loss.targets(out, samples.labels, self.targets, ids, self.sketch.seed)
        losses = self.loss(out, own(targets))
        if losses.shape != (samples.size,):
            raise ValueError(
                f"loss: expected one loss per sample, shape ({samples.size},), got "
                f"{tuple(losses.shape)}"
            )
        return losses, replace(samples, labels=targets)

    def _by_hooks(
        self,
        samples: Batch,
        ids: Indices,
        names: list[str],
        inside: dict[str, list[str]],
        unused: frozenset[str],
        sums: SketchAccumulator,
        observer: Observer,
    ) -> tuple[Batch, dict[str, list[ModuleCall]]]:
        """Add the gradients of the parameters `names`, and return the samples with their targets as
        labels, and the calls of the modules whose names are in `inside`.

        The targets may depend on the model's output, so this runs even where `names` is empty.
        Raises MethodFails where the loss depends on a parameter of `unused`.
        """
        slots_in = owners(self.model, {name: self.slots[name] for name in names})

        def refuse(module: Module, reason: str) -> None:
            own_names = [slot.name for slot in slots_in[module].values()]
            raise MethodFails(own_names, f"of a layer, {type(module).__name__}, that {reason}")

        def refuse_call(path: str, reason: str) -> None:
            raise MethodFails(inside[path], reason)

        on_refusal = observer.on_refusal or refuse

        def on_gradient(module: Module, x: torch.Tensor, g: torch.Tensor) -> None:
            rule = rule_of(module)
            assert rule is not None
            wide = x.to(self.dtype) if x.is_floating_point() else x
            try:
                rule(module, wide, g.to(self.dtype), slots_in[module], sums)
            except torch.OutOfMemoryError:
                raise
            except (RuntimeError, ValueError, IndexError) as error:
                on_refusal(module, f"has a formula here that does not fit it ({error})")

        expanded: list[str] = []

        def expand(module: Module) -> bool:
            if observer.expand(module):
                expanded.extend(slot.name for slot in slots_in[module].values())
                return True
            return False

        with (
            frozen(self.model, except_for=unused),
            captured_gradients(
                list(slots_in),
                samples.size,
                on_gradient,
                on_refusal,
                observer.on_call,
                expand,
                observer.dims,
            ),
            captured_calls(
                {path: self.model.get_submodule(path) for path in inside},
                samples.size,
                observer.dims,
                refuse_call,
                observer.on_call,
            ) as calls,
        ):
            with torch.set_grad_enabled(bool(slots_in or inside or unused)):
                try:
                    losses, samples = self._losses(samples, ids)
                except Exception as error:
                    if not expanded or isinstance(error, MethodFails):
                        raise
                    reason = "of layers with one row for all samples, which cannot be expanded"
                    raise MethodFails(expanded, reason) from error
            if losses.requires_grad:
                observer.on_losses(losses)
                torch.autograd.backward(losses.sum())
            used = [
                name
                for name, p in self.model.named_parameters()
                if name in unused and p.grad is not None
            ]
        if used:
            raise MethodFails(used, "it gets a gradient, unlike in the samples before")
        return samples, calls
