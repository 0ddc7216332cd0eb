"""Matrices whose columns lie apart: gradients as a dict or a list of arrays, one per parameter."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from .._support import arrays, tensors


def named_parts(name: str, G: Any) -> dict[str, Any]:
    """The arrays that make up G, in order, by their names in error messages: those of a mapping, or
    of a list or tuple that begins with an array or a tensor, (N, ...) viewed as (N, c); else G."""
    if isinstance(G, Mapping):
        if not G:
            raise ValueError(f"{name}: expected at least one array, got an empty mapping")
        given = {f"{name}[{key!r}]": x for key, x in G.items()}
    elif isinstance(G, (list, tuple)) and G and hasattr(G[0], "shape"):
        if len(G) > 1 and all(getattr(x, "ndim", 0) == 1 for x in G):
            raise ValueError(
                f"{name}: expected arrays (N, ...), one a parameter, got {len(G)} vectors; stack "
                "them where each is the gradient of a sample"
            )
        given = {f"{name}[{i}]": x for i, x in enumerate(G)}
    else:
        return {name: G}
    return {part: _flattened(part, x) for part, x in given.items()}


def matrices(parts: dict[str, Any]) -> dict[str, Any]:
    """The parts as `arrays.matrix` gives them: all of one number of rows, one type, one device."""
    made = {name: arrays.matrix(name, x) for name, x in parts.items()}
    first = next(iter(made))
    rows, kind = made[first].shape[0], _kind(parts[first])
    for name, A in made.items():
        if A.shape[0] != rows:
            raise ValueError(f"{name}: expected as many rows as {first} ({rows}), got {A.shape[0]}")
        if _kind(parts[name]) != kind:
            raise TypeError(
                f"{name}: expected the type of {first} ({kind}), got {_kind(parts[name])}"
            )
    return made


def _kind(x: Any) -> str:
    return f"{x.dtype} on {x.device}" if tensors.is_torch(x) else str(x.dtype)


def _flattened(name: str, x: Any) -> Any:
    """A view (N, c) of a dense array or tensor (N, ...); anything else as it is, to be refused."""
    torch = tensors.is_torch(x) and str(x.layout) == "torch.strided"
    if not (torch or isinstance(x, np.ndarray)) or x.ndim in (0, 2):
        return x
    if not (x[:1].is_contiguous() if torch else x[:1].flags.c_contiguous):
        how = f"{name}.contiguous()" if torch else f"np.ascontiguousarray({name})"
        raise ValueError(
            f"{name}: expected samples of contiguous elements, got strides "
            f"{x.stride() if torch else x.strides}; {how} makes them so"
        )
    return x.reshape(x.shape[0], prod(x.shape[1:]))
