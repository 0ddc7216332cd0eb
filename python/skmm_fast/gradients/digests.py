"""Digests of values: of their types, shapes and entries."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
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
    feed(value, found.update)
    return found.hexdigest()


def feed(value: Any, update: Callable[[Any], None]) -> None:
    """Pass the bytes that stand for a value to `update`, part by part."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        update(f"{value.dtype}{value.shape};".encode())
        update(value.tobytes())
    elif isinstance(value, torch.Tensor):
        update(f"{value.dtype}{tuple(value.shape)};".encode())
        _feed_tensor(value.detach(), update)
    elif isinstance(value, Mapping):
        feed(list(value.items()), update)
    elif isinstance(value, (list, tuple)):
        update(f"{len(value)}:".encode())
        for item in value:
            feed(item, update)
    elif isinstance(value, (str, bytes, int, float, complex, type(None), type(...))):
        update(f"{value!r};".encode())
    elif isinstance(value, CodeType):
        feed([value.co_code, value.co_names, value.co_consts], update)
    elif isinstance(value, frozenset):
        feed(sorted(map(repr, value)), update)
    else:
        raise TypeError(
            "expected tensors, arrays, numbers, strings, and lists and dicts of these, got "
            f"{type(value).__name__}"
        )


def _feed_tensor(x: torch.Tensor, update: Callable[[Any], None]) -> None:
    if x.is_quantized:
        feed([x.int_repr(), *_scale_of(x)], update)
    elif x.layout != torch.strided:  # sparse
        feed(x.to_dense(), update)
    elif hasattr(x, "__tensor_flatten__"):  # a subclass that packs others
        names, _ = x.__tensor_flatten__()
        feed([(name, getattr(x, name)) for name in names], update)
    else:
        plain = x.cpu().resolve_conj().resolve_neg().contiguous()
        update(plain.reshape(-1).view(torch.uint8).numpy().data)


def _scale_of(x: torch.Tensor) -> list[Any]:
    """What turns the integers of a quantised tensor into its entries."""
    if x.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        return [x.q_scale(), x.q_zero_point()]
    return [x.q_per_channel_axis(), x.q_per_channel_scales(), x.q_per_channel_zero_points()]
