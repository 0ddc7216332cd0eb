"""Models as training leaves them: wrapped for several processes, or made in inference mode."""

from __future__ import annotations

import warnings

import torch
from torch import nn

# Their backward pass synchronises gradients, and breaks where a pass needs some of them only.
WRAPPERS = nn.DataParallel, nn.parallel.DistributedDataParallel


def usable(model: nn.Module) -> nn.Module:
    """The model without wrappers around it, with a warning where there are any.

    Raises ValueError for a wrapper inside the model, or tensors that inference mode has made.
    """
    found = model
    while isinstance(found, WRAPPERS):
        found = found.module
    if found is not model:
        warnings.warn(
            f"model: {type(model).__name__} is taken off; gradients are those of the module in it, "
            "and names of parameters begin without 'module.'",
            stacklevel=3,
        )
    for name, module in found.named_modules():
        if isinstance(module, WRAPPERS):
            raise ValueError(
                f"model: expected no {type(module).__name__} inside, got one as {name!r}; put its "
                "attribute `module` in its place"
            )
    if torch.is_inference_mode_enabled():
        return found  # the first batch will say that there are no gradients
    for name, tensor in (*found.named_parameters(), *found.named_buffers()):
        if tensor.is_inference():
            raise ValueError(
                f"model: expected tensors that can have gradients, got {name!r}, made under "
                "torch.inference_mode(); build or load the model outside of it, or sketch "
                "copy.deepcopy(model) made outside of it"
            )
    return found
