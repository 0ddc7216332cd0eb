"""Torch tensors as arguments: recognised, checked, and viewed as NumPy arrays.

Torch is never imported here. If it is not loaded, no argument can be a tensor.
"""

from __future__ import annotations

import sys
from typing import Any

from .types import Array


def is_torch(x: object) -> bool:
    """Whether x is a torch tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def on_device(x: Any) -> bool:
    """Whether x is a torch tensor on a CUDA device."""
    return is_torch(x) and x.device.type == "cuda"


def like(x: object, result: Array) -> Any:
    """The result, as a torch tensor with the same memory if x is a torch tensor."""
    return sys.modules["torch"].from_numpy(result) if is_torch(x) else result


def numpy_view(name: str, x: Any, bits: Any = None) -> Any:
    """A dense CPU tensor as a NumPy array with the same memory; anything else is returned as it is.

    If a torch type `bits` is given, the memory is read as that type.
    """
    if not is_torch(x):
        return x
    if x.device.type != "cpu":
        raise TypeError(f"{name}: expected a tensor on the CPU, got one on {x.device}")
    try:
        return (x.detach() if bits is None else x.detach().view(bits)).numpy()
    except (TypeError, RuntimeError):  # NotImplementedError is a RuntimeError
        raise TypeError(
            f"{name}: expected a dense tensor of a NumPy type, got {x.layout} of {x.dtype}"
        ) from None


def device_matrix(name: str, x: Any, types: tuple[str, ...] = ("float32", "float64")) -> Any:
    """A dense, non-empty CUDA matrix of one of `types`, detached from its graph."""
    if str(x.layout) != "torch.strided" or str(x.dtype).removeprefix("torch.") not in types:
        raise TypeError(
            f"{name}: expected a dense tensor of {' or '.join(types)}, got {x.layout} of {x.dtype}"
        )
    if x.ndim != 2:
        raise ValueError(f"{name}: expected 2 dimension(s), got shape {tuple(x.shape)}")
    if x.numel() == 0:
        raise ValueError(
            f"{name}: expected at least one row and one column, got shape {tuple(x.shape)}"
        )
    return x.detach()
