"""Calibration: the first samples suggest by which method the gradient of each parameter is found.

`checked_pass` then holds these methods against the loop and against the whole batch.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import torch

from .._support.types import Indices
from . import proof
from .backward_pass import QUIET, BackwardPass, MethodFails, Observer
from .batch import Batch
from .captured_gradients import Module
from .layer_rules import rule_of
from .parameters import Slot, owners
from .proof import PerParameter

MethodName = Literal["auto", "hooks", "vmap", "loop"]

# torch warns with these words when a reentrant checkpoint loses gradients.
CHECKPOINT = "None of the inputs have requires_grad=True"


@dataclass(frozen=True)
class Calibration:
    """What the first samples of a batch say."""

    samples: Batch  # a batch of few of them
    ids: Indices
    methods: dict[str, str]  # the method of each parameter
    alone: PerParameter  # their sketched gradients by the loop: one model call a sample
    expanded: frozenset[Module]  # layers whose one row serves all samples
    tolerance: float  # the relative error that other methods may have


def calibrate(
    backward: BackwardPass, samples: Batch, ids: Indices, method: str, check: int
) -> Calibration:
    """Look at the first max(check, 2) samples of a batch; `check` of them, or one, by the loop.

    With `method` "auto" a parameter has hooks where its layer allows it and no updates are made of
    gradients, else vmap. Except with "loop", parameters on which the losses do not depend have
    "none". Raises ValueError for parameters that `method` cannot do.
    """
    n = min(max(check, 2), samples.size)
    samples, ids = samples.rows(slice(0, n)), ids[:n]
    by_loop = dict.fromkeys(backward.slots, "loop")
    few = slice(0, max(check, 1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        alone = sketches(backward, samples.rows(few), ids[few], by_loop)
    if alone.keys() != by_loop.keys() and any(CHECKPOINT in str(w.message) for w in caught):
        raise ValueError(
            "model: expected checkpoints that let gradients through, got a reentrant one without "
            "inputs that need a gradient; use_reentrant=False mends it"
        )
    if not alone:
        raise ValueError(
            "loss: expected one that depends on the chosen parameters, got one without gradients; "
            "is the model, the loss or this call under torch.no_grad() or inference_mode()?"
        )
    types = {p.dtype for p in backward.model.parameters()}
    expanded: set[Module] = set()
    methods = {name: "vmap" if name in alone else "none" for name in backward.slots}
    if method == "loop":
        methods = by_loop
    elif method != "vmap" and not backward.updates:  # hooks form no whole gradients
        try:
            reasons = _without_hooks(backward, samples, ids, types, expanded)
        except MethodFails:  # the model may not take an expanded output
            expanded.clear()
            reasons = _without_hooks(backward, samples, ids, types, None)
        methods.update(dict.fromkeys(alone.keys() - reasons.keys(), "hooks"))
        first = next((name for name in backward.slots if methods[name] == "vmap"), None)
        if first is not None and method == "hooks":
            raise ValueError(
                f"params: expected parameters whose gradients can be read off their layers, got "
                f"{first!r}: {reasons[first]}; method='auto' or 'vmap' may do"
            )
    tolerance = proof.tolerance(types, backward.device.type)
    return Calibration(samples, ids, methods, alone, frozenset(expanded), tolerance)


def require_independence(
    backward: BackwardPass, samples: Batch, ids: Indices, first: Calibration
) -> None:
    """Raises ValueError where the gradient of one of the first samples is another in the batch
    `samples`, which begins with them, than for the sample alone."""
    alone = first.alone
    n = min(samples.size, len(next(iter(alone.values()))))
    w = proof.weights(samples.size, backward.sketch.seed)

    def off(rows: slice) -> dict[str, float]:
        """The parameters whose gradient of Σ w_i loss_i, over some of the first samples, is not
        that which the samples have alone."""
        some = torch.zeros_like(w)
        some[rows] = w[rows]
        found = backward.weighted(samples, ids, alone, some)
        expected = {name: (w[rows].to(Z) @ Z[rows])[None] for name, Z in alone.items()}
        scale = proof.scale(sum(alone.values(), torch.zeros(()))[rows], w[rows])
        return proof.differing(found, expected, alone, scale, first.tolerance)

    errors = off(slice(0, n))
    if errors:
        i = next((i for i in range(n) if off(slice(i, i + 1))), 0)
        raise depends_on_others(i, max(errors.values()))


def depends_on_others(i: int, error: float) -> ValueError:
    """The error to raise where the gradient of sample i is not that of the sample alone."""
    return ValueError(
        "model: expected gradients of a sample that do not depend on the others in its batch, "
        f"got sample {i} off by {error:.2g} of its norm: batch statistics, losses across samples "
        "and random layers have no per-sample gradients; method='loop' takes each sample alone"
    )


def sketches(
    backward: BackwardPass,
    samples: Batch,
    ids: Indices,
    methods: dict[str, str],
    observer: Observer = QUIET,
) -> PerParameter:
    """The sketched gradients of the samples, apart for each parameter that has any."""
    found: PerParameter = {}

    def target(slot: Slot) -> torch.Tensor:
        return found.setdefault(slot.name, backward.zeros(samples.size))

    backward.add(samples, ids, methods, backward.sums(target), observer)
    return found


def _without_hooks(
    backward: BackwardPass,
    samples: Batch,
    ids: Indices,
    types: set[torch.dtype],
    expanded: set[Module] | None,
) -> dict[str, str]:
    """The parameters whose gradients cannot be read off their layers, each with the reason.

    The types of the layers' outputs are added to `types`, and layers whose one row serves all
    samples to `expanded`; None: there are no such layers.
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

    def on_call(module: Module, out: Any) -> None:
        types.add(out.dtype)
        called.update(slot.name for slot in slots_in[module].values())

    def expand(module: Module) -> bool:
        if expanded is not None:
            expanded.add(module)
        return expanded is not None

    hooked = dict.fromkeys((name for name in backward.slots if name not in reasons), "hooks")
    observer = Observer(expand, on_call, on_refusal=refuse)
    sketches(backward, samples, ids, hooked, observer)
    for module, own_slots in slots_in.items():
        for slot in own_slots.values():
            if slot.name not in called:
                reasons.setdefault(slot.name, f"its layer, {type(module).__name__}, is not called")
    return reasons
