"""Calibration: the first samples suggest by which methods the gradient of each parameter is found.

`checked_pass` then holds these methods against the loop and against the whole batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import torch

from .._support.types import Indices
from . import proof
from .backward_pass import QUIET, BackwardPass, MethodFails, Observer
from .batch import Batch
from .captured_gradients import Module
from .layer_rules import rule_of
from .parameters import Slot, around, owners
from .proof import PerParameter
from .sample_dims import SampleDims, sample_dims

MethodName = Literal["auto", "hooks", "vmap", "loop"]

OF_THE_MODEL = "vmap", "loop"  # methods that need no formula, for the model or a module in it
# So many modules around a parameter are tried, since larger ones take as long as the model.
MODULES = 2
# torch warns with these words when a reentrant checkpoint loses gradients.
CHECKPOINT = "None of the inputs have requires_grad=True"


@dataclass(frozen=True)
class Calibration:
    """What the first samples of a batch say."""

    samples: Batch  # a batch of few of them
    ids: Indices
    methods: dict[str, str]  # the method of each parameter
    orders: dict[str, list[str]]  # the methods that each may have, the fastest first
    dims: dict[Module, SampleDims]  # where modules have their samples
    alone: PerParameter  # their sketched gradients by the loop: one model call a sample
    expanded: frozenset[Module]  # layers whose one row serves all samples
    tolerance: float  # the relative error that other methods may have


def calibrate(
    backward: BackwardPass, samples: Batch, ids: Indices, method: str, check: int
) -> Calibration:
    """Look at the first max(check, 2) samples of a batch; `check` of them, or one, by the loop.

    With `method` "auto" a parameter has the first of these methods that may do: hooks, where its
    layer allows it; vmap, or a loop, of the calls of a module around it; vmap of the whole model;
    the loop. Updates are no sums over calls: for them there are only the last two. Except with
    "loop", parameters on which the losses do not depend have "none". Raises ValueError for
    parameters that `method` cannot do.
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
    types = {p.dtype for p in backward.model.parameters() if p.is_floating_point()}
    expanded: set[Module] = set()
    dims: dict[Module, SampleDims] = {}
    orders = {name: [method] if method != "auto" else list(OF_THE_MODEL) for name in backward.slots}
    if method in ("auto", "hooks") and not backward.updates:  # these form no whole gradients
        dims = sample_dims(backward.model, samples)
        try:
            reasons = _without_hooks(backward, samples, ids, types, dims, alone, expanded)
        except MethodFails:  # the model may not take an expanded output
            expanded.clear()
            reasons = _without_hooks(backward, samples, ids, types, dims, alone, None)
        if method == "hooks":
            first = next(
                (name for name in backward.slots if name in alone and name in reasons), None
            )
            if first is not None:
                raise ValueError(
                    "params: expected parameters whose gradients can be read off their layers, got "
                    f"{first!r}: {reasons[first]}; method='auto' or 'vmap' may do"
                )
        else:
            orders = _orders(backward, reasons.keys(), dims)
    used = backward.slots if method == "loop" else alone
    methods = {name: orders[name][0] if name in used else "none" for name in backward.slots}
    tolerance = proof.tolerance(types, backward.device.type)
    return Calibration(samples, ids, methods, orders, dims, alone, frozenset(expanded), tolerance)


def _orders(
    backward: BackwardPass, without_hooks: Collection[str], dims: dict[Module, SampleDims]
) -> dict[str, list[str]]:
    """The methods that each parameter may have, the fastest first."""
    model, orders = backward.model, {}
    for name, paths in around(model, backward.slots).items():
        known = (path for path in paths if model.get_submodule(path) in dims)
        usable = [path for path in known if dims[model.get_submodule(path)].can_run_alone][:MODULES]
        inside = [f"{how} {path}" for path in usable for how in OF_THE_MODEL]
        hooks = [] if name in without_hooks else ["hooks"]
        orders[name] = [*hooks, *inside, *OF_THE_MODEL]
    return orders


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
    dims: dict[Module, SampleDims],
    used: Collection[str],
    expanded: set[Module] | None,
) -> dict[str, str]:
    """The parameters whose gradients cannot be read off their layers, each with the reason: there
    is no formula, its calls do not fit it, or one of `used` is not in a layer that is called.

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
    observer = Observer(expand, dims.get, on_call, on_refusal=refuse)
    sketches(backward, samples, ids, hooked, observer)
    for module, own_slots in slots_in.items():
        for slot in own_slots.values():
            if slot.name in used and slot.name not in called:
                reasons.setdefault(slot.name, f"its layer, {type(module).__name__}, is not called")
    return reasons
