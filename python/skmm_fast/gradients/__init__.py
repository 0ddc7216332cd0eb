"""Sketched per-sample gradients of torch models (needs torch)."""

from .._support.optional import need

need("torch", "torch")

from .dataset import sketch_dataset  # noqa: E402
from .finetuned import pilot  # noqa: E402
from .scaling import adam_scale  # noqa: E402
from .sketcher import GradientSketcher  # noqa: E402

__all__ = ["GradientSketcher", "adam_scale", "pilot", "sketch_dataset"]
