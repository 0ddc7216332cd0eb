"""How the gradient of each parameter is found: settled, and checked, on the first samples."""

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

# How far a sketched gradient may be from the loop's, relative to its norm; where this is small, as
# parts that cancel, relative to a hundredth of the norm of all parameters together.
TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-3}
TOLERANCE_TF32 = 1e-2
TOLERANCE_16_BITS = 0.1
SMALL = 1e-2

CHECKPOINT = "None of the inputs have requires_grad=True"  # of torch, then gradients are lost

Parts = dict[str, torch.Tensor]  # sketched gradients of a few samples, the parameters kept apart


def calibrate(
    of: BackwardPass, samples: Batch, ids: Indices, method: str, check: int
) -> tuple[dict[str, str], torch.Tensor, float]:
    """The method of each parameter, the sketched gradients of the first `check` samples, and how
    far others may be from these.

    Raises ValueError for parameters that `method` cannot do, or whose gradients differ from the
    loop's by more than rounding.
    """
    n = min(max(check, 2), samples.size)
    samples, ids = samples.rows(slice(0, n)), ids[:n]

    def parts(methods: dict[str, str], n: int = n, **calls: Any) -> Parts:
        found: Parts = {}

        def part(slot: Slot) -> torch.Tensor:
            return found.setdefault(slot.name, of.zeros(n))

        of.add(
            samples.rows(slice(0, n)), ids[:n], methods, SketchAccumulator(of.sketch, part), **calls
        )
        return found

    by_loop = dict.fromkeys(of.slots, "loop")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        loop = parts(by_loop, min(max(check, 1), n))
    if loop.keys() != by_loop.keys() and any(CHECKPOINT in str(w.message) for w in said):
        raise ValueError(
            "model: expected checkpoints that let gradients through, got a reentrant one without "
            "inputs that need a gradient; use_reentrant=False mends it"
        )
    types = {p.dtype for p in of.model.parameters()}
    if not loop:
        raise ValueError(
            "loss: expected one that depends on the chosen parameters, got one without gradients; "
            "is the model, the loss or this call under torch.no_grad() or inference_mode()?"
        )
    methods = {name: "vmap" if name in loop else "none" for name in of.slots}
    if method == "loop":
        methods = by_loop
    elif method != "vmap":
        try:
            reasons = _without_hooks(of, parts, types)
        except ValueError:  # of a model that does not take an expanded output
            reasons = _without_hooks(of, parts, types, expand=False)
        methods.update(dict.fromkeys(loop.keys() - reasons.keys(), "hooks"))
        first = next((name for name in of.slots if methods[name] == "vmap"), None)
        if first is not None and method == "hooks":
            raise ValueError(
                f"params: expected parameters whose gradients can be read off their layers, got "
                f"{first!r}: {reasons[first]}; method='auto' or 'vmap' may do"
            )
    try:
        found = parts(methods)
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
        found = parts(methods)
    tolerance = _tolerance(types, of.device.type)
    if check:
        _compare(found, loop, methods, tolerance)
    return methods, sum(found.values(), of.zeros(n))[:check], tolerance


def _without_hooks(
    of: BackwardPass, parts: Callable[..., Parts], types: set[torch.dtype], expand: bool = True
) -> dict[str, str]:
    """Parameters whose gradients cannot be read off their layers, and why. Adds the types that
    layers compute in."""
    at = owners(of.model, of.slots)
    reasons: dict[str, str] = {}

    def refuse(module: Module, reason: str) -> None:
        for slot in at[module].values():
            reasons[slot.name] = f"its layer, {type(module).__name__}, {reason}"

    for module in at:
        if rule_of(module) is None:
            refuse(module, "has no formula here")
    heard: set[str] = set()

    def called(module: Module, out: torch.Tensor) -> None:
        types.add(out.dtype)
        heard.update(slot.name for slot in at[module].values())

    hooked = dict.fromkeys((name for name in of.slots if name not in reasons), "hooks")
    parts(hooked, refuse=refuse, called=called, expand=expand)
    for module, own in at.items():
        for slot in own.values():
            if slot.name not in heard:
                reasons.setdefault(slot.name, f"its layer, {type(module).__name__}, is not called")
    return reasons


def _tolerance(types: set[torch.dtype], device: str) -> float:
    if not types <= TOLERANCE.keys() or torch.is_autocast_enabled(device):
        return TOLERANCE_16_BITS
    tf32 = device == "cuda" and torch.float32 in types  # the default of convolutions there
    return TOLERANCE_TF32 if tf32 else max(TOLERANCE[t] for t in types)


def _compare(found: Parts, loop: Parts, methods: dict[str, str], tolerance: float) -> None:
    total = sum(loop.values(), torch.zeros(())).norm(dim=1)
    n = len(total)
    sums = sum(found.values(), torch.zeros(()))[:n].norm(dim=1)
    lost = ~(total.isfinite() | sums.isfinite())  # NaN or Inf both ways: of the sample itself
    for name, expected in loop.items():
        norm = expected.norm(dim=1) + SMALL * total
        error = (found[name][:n] - expected).norm(dim=1) if name in found else expected.norm(dim=1)
        off = ~(error <= tolerance * norm) & ~lost
        if off.any():
            i = int(off.nonzero()[0])
            raise ValueError(
                f"check: expected gradients by {methods[name]!r} that equal the loop's, got "
                f"{name!r} off by {float(error[i] / norm[i]):.2g} of its norm in sample {i}. Is a "
                "weight used outside of its layer too, or something random at work? method='vmap' "
                "or 'loop' may do, or other params"
            )


def require_independence(Z: torch.Tensor, alone: torch.Tensor, tolerance: float) -> None:
    """The first samples have the same gradients in their batch as they have in one of a few."""
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
