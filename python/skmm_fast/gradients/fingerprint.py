"""The parts of a fingerprint: what sketches depend on, in a form that JSON can hold.

Tensors and code become digests; functions and objects what can be seen of them; adapters and
autocast their settings. docs/explanation/fingerprints.md says what is seen and what is not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import FunctionType
from typing import Any

import torch

from .description import (
    Description,
    Identity,
    hidden_state_of,
    identities,
    is_installed,
    is_same,
)
from .digests import digest


def architecture_of(model: torch.nn.Module) -> str:
    """A digest of what `repr` shows of a model: its modules and their settings. Addresses of
    objects are left out, since they change from run to run."""
    return digest(re.sub(r" at 0x[0-9a-f]+", "", repr(model)))


# Losses that were something else in the first versions: "causal-lm" was "causal-lm-mean".
CHANGED = {"causal-lm": "causal-lm, by the root of the number of tokens"}


def loss_of(loss: Any, model: torch.nn.Module | None = None) -> tuple[str, list[str]]:
    """What identifies a loss: its name, and for one of the user what can be seen of it (code,
    settings, state, what it closes over, defaults); and what cannot be seen. Parts of the model
    that it holds are described with the model."""
    if isinstance(loss, str):
        return CHANGED.get(loss, loss), []
    described = Description(loss, known=None if model is None else _parts_of(model))
    own = isinstance(loss, FunctionType) and not is_installed(loss.__module__)
    name = f"{loss.__module__}.{described}" if own else str(described)
    return name, [f"loss {what}" for what in described.unseen]


def hidden_state(
    model: torch.nn.Module, before: Mapping[tuple[str, str], Identity]
) -> tuple[dict[str, str], list[str]]:
    """What a model holds beside parameters, buffers and what `repr` shows: by its place in the
    model, the digest of each; and what cannot be seen.

    These are extra state, attributes, classes of the user and forward hooks. `before` is what
    `identities` said before a batch: attributes that the batch changed are results, no settings.
    """
    now = identities(model)

    def unchanged(path: str, name: str) -> bool:
        return is_same(before.get((path, name)), now[path, name])

    known = _parts_of(model)
    found: dict[str, str] = {}
    unseen: list[str] = []
    for name, value in hidden_state_of(model, unchanged):
        described = Description(value, name, known)
        found[name] = described.digest()[:16]
        unseen += described.unseen
    return found, unseen


def _parts_of(model: torch.nn.Module) -> dict[str, Any]:
    """What hooks, attributes and losses may hold that is described elsewhere."""
    parts = (model.named_modules(), model.named_parameters(), model.named_buffers())
    return {name: part for found in parts for name, part in found}


def adapters_of(model: torch.nn.Module) -> str | None:
    """The settings of PEFT's adapters and which are active, as JSON; None for a model without."""
    adapters = getattr(model, "peft_config", None)
    if not isinstance(adapters, dict):
        return None
    active = getattr(model, "active_adapters", None)  # a property in PEFT, else a method
    settings = {
        "adapters": {name: vars(adapter) for name, adapter in adapters.items()},
        "active": active() if callable(active) else active,
    }
    return json.dumps(
        settings, sort_keys=True, default=lambda x: sorted(x) if isinstance(x, set) else str(x)
    )


def autocast_on(device: torch.device) -> str | None:
    """The type that autocast uses on a device now; None where it is off."""
    if not torch.is_autocast_enabled(device.type):
        return None
    return str(torch.get_autocast_dtype(device.type))
