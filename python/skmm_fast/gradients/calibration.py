"""Calibration: the first samples settle by which method the gradient of each parameter is found.

The sketches by the chosen methods are compared with those of the loop, parameter by parameter.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal

import torch

from .._support.types import Indices
from .backward_pass import BackwardPass
from .batch import Batch
from .captured_gradients import Module
from .layer_rules import rule_of
from .parameters import Slot, owners
from .sketch_accumulator import SketchAccumulator

MethodName = Literal["auto", "hooks", "vmap", "loop"]

# How far a parameter's sketched gradient may be from the loop's, relative to
# (its norm) + SMALL · (norm of the gradient of all parameters together), both by the loop. The
# second term matters where a parameter's gradient is small, such as a sum of parts that cancel.
TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-3}
TOLERANCE_TF32 = 1e-2
TOLERANCE_16_BITS = 0.1
SMALL = 1e-2

# torch warns with these words when a reentrant checkpoint loses gradients.
CHECKPOINT = "None of the inputs have requires_grad=True"

# The sketched gradients (n, m) of n samples, apart for each parameter, by its name.
PerParameter = dict[str, torch.Tensor]


def calibrate(
    backward: BackwardPass, samples: Batch, ids: Indices, method: str, check: int
) -> tuple[dict[str, str], torch.Tensor, float]:
    """(methods, Z, tolerance): the method of each parameter, the sketched gradients of the first
    `check` samples in a batch of few samples, and the relative error that others may have.

    With `method` "auto" a parameter has hooks where its layer allows it and no updates are made of
    gradients, else vmap, and the loop where vmap fails. Except with "loop", parameters on which the
    losses do not depend have "none".

    Raises ValueError for parameters that `method` cannot do, or whose gradients differ from the
    loop's by more than rounding.
    """
    n = min(max(check, 2), samples.size)
    samples, ids = samples.rows(slice(0, n)), ids[:n]

    def sketches(methods: dict[str, str], n: int = n, **options: Any) -> PerParameter:
        found: PerParameter = {}

        def target(slot: Slot) -> torch.Tensor:
            return found.setdefault(slot.name, backward.zeros(n))

        sums = SketchAccumulator(backward.sketch, target)
        backward.add(samples.rows(slice(0, n)), ids[:n], methods, sums, **options)
        return found

    by_loop = dict.fromkeys(backward.slots, "loop")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loop = sketches(by_loop, min(max(check, 1), n))
    if loop.keys() != by_loop.keys() and any(CHECKPOINT in str(w.message) for w in caught):
        raise ValueError(
            "model: expected checkpoints that let gradients through, got a reentrant one without "
            "inputs that need a gradient; use_reentrant=False mends it"
        )
    types = {p.dtype for p in backward.model.parameters()}
    if not loop:
        raise ValueError(
            "loss: expected one that depends on the chosen parameters, got one without gradients; "
            "is the model, the loss or this call under torch.no_grad() or inference_mode()?"
        )
    methods = {name: "vmap" if name in loop else "none" for name in backward.slots}
    if method == "loop":
        methods = by_loop
    elif method != "vmap" and not backward.updates:  # hooks form no whole gradients
        try:
            reasons = _without_hooks(backward, sketches, types)
        except ValueError:  # the model may not take an expanded output
            reasons = _without_hooks(backward, sketches, types, expand=False)
        methods.update(dict.fromkeys(loop.keys() - reasons.keys(), "hooks"))
        first = next((name for name in backward.slots if methods[name] == "vmap"), None)
        if first is not None and method == "hooks":
            raise ValueError(
                f"params: expected parameters whose gradients can be read off their layers, got "
                f"{first!r}: {reasons[first]}; method='auto' or 'vmap' may do"
            )
    try:
        found = sketches(methods)
    except Exception as error:
        by_vmap = [name for name, how in methods.items() if how == "vmap"]
        if method != "auto" or not by_vmap:
            raise
        warnings.warn(
            f"vmap(grad) fails for this model ({error}): {len(by_vmap)} parameters, {by_vmap[0]!r} "
            "first, go through the model one sample at a time",
            stacklevel=3,
        )
        methods = {name: "hooks" if how == "hooks" else "loop" for name, how in methods.items()}
        found = sketches(methods)
    tolerance = _tolerance(types, backward.device.type)
    if check:
        _compare(found, loop, methods, tolerance)
    return methods, sum(found.values(), backward.zeros(n))[:check], tolerance


def _without_hooks(
    backward: BackwardPass,
    sketches: Callable[..., PerParameter],
    types: set[torch.dtype],
    expand: bool = True,
) -> dict[str, str]:
    """The parameters whose gradients cannot be read off their layers, each with the reason.

    `sketches(methods, **options of BackwardPass.add)` runs a pass. The types of the layers' outputs
    are added to `types`.
    """
    slots_in = owners(backward.model, backward.slots)
    reasons: dict[str, str] = {}

    def refuse(module: Module, reason: str) -> None:
        for slot in slots_in[module].values():
            reasons[slot.name] = f"its layer, {type(module).__name__}, {reason}"

    for module in slots_in:
        if rule_of(module) is None:
            refuse(module, "has no formula here")
    called: set[str] = set()  # names of the parameters whose layers are called

    def on_call(module: Module, out: torch.Tensor) -> None:
        types.add(out.dtype)
        called.update(slot.name for slot in slots_in[module].values())

    hooked = dict.fromkeys((name for name in backward.slots if name not in reasons), "hooks")
    sketches(hooked, on_refusal=refuse, on_call=on_call, expand=expand)
    for module, own_slots in slots_in.items():
        for slot in own_slots.values():
            if slot.name not in called:
                reasons.setdefault(slot.name, f"its layer, {type(module).__name__}, is not called")
    return reasons


def _tolerance(types: set[torch.dtype], device: str) -> float:
    """The relative error to allow where parameters and layers have these types."""
    if not types <= TOLERANCE.keys() or torch.is_autocast_enabled(device):
        return TOLERANCE_16_BITS
    tf32 = device == "cuda" and torch.float32 in types  # convolutions there use TF32 by default
    return TOLERANCE_TF32 if tf32 else max(TOLERANCE[t] for t in types)


def _compare(
    found: PerParameter, loop: PerParameter, methods: dict[str, str], tolerance: float
) -> None:
    """Raises ValueError for a parameter whose sketch in `found` differs from that in `loop`."""
    total = sum(loop.values(), torch.zeros(())).norm(dim=1)
    n = len(total)
    sums = sum(found.values(), torch.zeros(()))[:n].norm(dim=1)
    # NaN or Inf by both methods comes from the sample itself; the sketcher reports it later.
    neither_finite = ~(total.isfinite() | sums.isfinite())
    for name, expected in loop.items():
        norm = expected.norm(dim=1) + SMALL * total
        error = (found[name][:n] - expected).norm(dim=1) if name in found else expected.norm(dim=1)
        off = ~(error <= tolerance * norm) & ~neither_finite
        if off.any():
            i = int(off.nonzero()[0])
            raise ValueError(
                f"check: expected gradients by {methods[name]!r} that equal the loop's, got "
                f"{name!r} off by {float(error[i] / norm[i]):.2g} of its norm in sample {i}. Is a "
                "weight used outside of its layer too, or something random at work? method='vmap' "
                "or 'loop' may do, or other params"
            )


def require_independence(Z: torch.Tensor, alone: torch.Tensor, tolerance: float) -> None:
    """Raises ValueError where a sample's gradient depends on the other samples of its batch.

    Z holds the sketched gradients of the whole batch, `alone` those of its first samples in a batch
    of their own.
    """
    n = min(len(Z), len(alone))
    error, norm = (Z[:n] - alone[:n]).norm(dim=1), alone[:n].norm(dim=1)
    off = ~(error <= tolerance * norm) & ~(norm.isnan() & error.isnan())
    if off.any():
        i = int(off.nonzero()[0])
        raise ValueError(
            "model: expected gradients of a sample that do not depend on the others in its batch, "
            f"got sample {i} off by {float(error[i] / norm[i]):.2g} of its norm: batch statistics, "
            "losses across samples and random layers have no per-sample gradients"
        )
