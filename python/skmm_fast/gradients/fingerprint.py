"""What sketches depend on, as JSON can hold it: digests of values, names of functions, settings."""

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
    """Of tensors, arrays, numbers, strings, code, and lists and dicts of these: types, shapes and
    values, in order. Raises TypeError for anything else."""
    found = hashlib.sha256()
    _feed(value, found.update)
    return found.hexdigest()


def _feed(value: Any, update: Callable[[Any], None]) -> None:
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
    """Of what `repr` shows: modules and their settings, without addresses."""
    return digest(re.sub(r" at 0x[0-9a-f]+", "", repr(model)))


def name_of(loss: Any) -> str:
    """A function by its name and code, a module by its settings."""
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
    """Settings of PEFT's adapters, and which are active."""
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
    if not torch.is_autocast_enabled(device.type):
        return None
    return str(torch.get_autocast_dtype(device.type))
