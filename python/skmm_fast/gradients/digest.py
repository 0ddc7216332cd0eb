"""SHA-256 of what a sketch depends on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
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
