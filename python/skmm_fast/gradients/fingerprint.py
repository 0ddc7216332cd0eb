"""The parts of a fingerprint: what sketches depend on, in a form that JSON can hold.

Tensors and code become digests, functions their names, adapters and autocast their settings.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from types import CodeType
from typing import Any

import numpy as np
import torch


def digest(value: Any) -> str:
    """The SHA-256 of a value: of its types, shapes and entries, in order.

    The value may be a tensor, an array, a number, a string, code, or a list or dict of these.
    Raises TypeError for anything else.
    """
    found = hashlib.sha256()
    _feed(value, found.update)
    return found.hexdigest()


def _feed(value: Any, update: Callable[[Any], None]) -> None:
    """Pass the bytes that stand for a value to `update`, part by part."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        update(f"{value.dtype}{value.shape};".encode())
        update(value.tobytes())
    elif isinstance(value, torch.Tensor):
        update(f"{value.dtype}{tuple(value.shape)};".encode())
        update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(value, Mapping):
        _feed(list(value.items()), update)
    elif isinstance(value, (list, tuple)):
        update(f"{len(value)}:".encode())
        for item in value:
            _feed(item, update)
    elif isinstance(value, (str, bytes, int, float, complex, type(None), type(...))):
        update(f"{value!r};".encode())
    elif isinstance(value, CodeType):
        _feed([value.co_code, value.co_names, value.co_consts], update)
    elif isinstance(value, frozenset):
        _feed(sorted(map(repr, value)), update)
    else:
        raise TypeError(
            "expected tensors, arrays, numbers, strings, and lists and dicts of these, got "
            f"{type(value).__name__}"
        )


def architecture_of(model: torch.nn.Module) -> str:
    """A digest of what `repr` shows of a model: its modules and their settings. Addresses of
    objects are left out, since they change from run to run."""
    return digest(re.sub(r" at 0x[0-9a-f]+", "", repr(model)))


def name_of(loss: Any) -> str:
    """What identifies a loss: its name; for a function also its code; for a module its `repr`; for
    a `partial` also its arguments."""
    if isinstance(loss, str):
        return loss
    if isinstance(loss, partial):
        return f"{name_of(loss.func)} with {loss.args} {loss.keywords}"
    if isinstance(loss, torch.nn.Module):
        return repr(loss)
    named = loss if hasattr(loss, "__qualname__") else type(loss)
    code = getattr(loss, "__code__", None)
    return f"{named.__module__}.{named.__qualname__} {digest(code)[:16] if code else ''}".strip()


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
