"""Sketched per-sample gradients of torch models (needs torch)."""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("torch is needed here: pip install 'skmm-fast[torch]'") from error

from .dataset import sketch_dataset
from .sketcher import GradientSketcher

__all__ = ["GradientSketcher", "sketch_dataset"]
