"""Models as training leaves them: wrapped for several processes, sharded among them, or made in
inference mode."""

from __future__ import annotations

import warnings

import torch
from torch import nn

# Their backward pass synchronises gradients, and breaks where a pass needs some of them only.
WRAPPERS = nn.DataParallel, nn.parallel.DistributedDataParallel
# Classes, by name so that nothing of torch.distributed is imported, of modules with parameters in
# parts. A layer sketched there would need all processes to make the same passes, proofs included,
# and gradients arrive as means over the processes.
SHARDED = {"FSDPModule", "FullyShardedDataParallel"}


def usable(model: nn.Module) -> nn.Module:
    """The model without wrappers around it, with a warning where there are any.

    Raises ValueError for a wrapper inside the model, for parameters that are sharded among
    processes, and for tensors that inference mode has made.
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
        if SHARDED & {cls.__name__ for cls in type(module).__mro__}:
            raise _sharded(name or "the model", "by fully_shard or FullyShardedDataParallel")
    for name, p in found.named_parameters():
        if hasattr(p, "full_tensor"):
            raise _sharded(name, f"a {type(p).__name__}")
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


def _sharded(name: str, how: str) -> ValueError:
    """The error to raise where a part of the model is sharded among processes."""
    return ValueError(
        f"model: expected whole parameters in each process, got {name!r} sharded, {how}; load "
        "get_model_state_dict(model, options=StateDictOptions(full_state_dict=True)) of "
        "torch.distributed.checkpoint.state_dict into a model that is not sharded, and give each "
        "process other samples"
    )
