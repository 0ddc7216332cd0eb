"""Per-sample gradients of layers from what went in, x (B, ...), and the gradient of what came out,
g (B, ...), both of the type of the sums. Formulas: sum over positions of a sample."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from .parameters import Slot
from .sketch_accumulator import SketchAccumulator

# (module, x, g, chosen parameters by their names in the module, sums)
Rule = Callable[[nn.Module, torch.Tensor, torch.Tensor, dict[str, Slot], SketchAccumulator], None]


def rule_of(module: nn.Module) -> Rule | None:
    """The rule that holds for a module, None where there is none."""
    own = {name for name, _ in module.named_parameters(recurse=False, remove_duplicate=False)}
    if not own <= {"weight", "bias"}:
        return None
    for kind, rule in RULES.items():
        if isinstance(module, kind) and type(module).forward is kind.forward:
            return rule if _in_scope(module) else None
    if type(module).__name__ == "Conv1D" and hasattr(module, "nf"):  # of transformers
        return _linear
    if "RMSNorm" in type(module).__name__ or type(module).__name__ == "T5LayerNorm":
        return _scale if own == {"weight"} else None
    return None


def _in_scope(module: nn.Module) -> bool:
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return module.track_running_stats and module.running_mean is not None
    if isinstance(module, nn.Embedding):
        return not module.scale_grad_by_freq
    if isinstance(module, nn.EmbeddingBag):
        return module.mode != "max" and not module.scale_grad_by_freq
    return True


def _positions(x: torch.Tensor) -> torch.Tensor:
    """(B, ..., c) -> (B, 1, c, T)."""
    return x.reshape(len(x), 1, -1, x.shape[-1]).transpose(2, 3)


def _bias(g: torch.Tensor, at: dict[str, Slot], sums: SketchAccumulator) -> None:
    """g: (B, K, o, T)."""
    if "bias" in at:
        sums.dense(at["bias"], g.sum(3).flatten(1))


def _linear(
    module: nn.Module,
    x: torch.Tensor,
    g: torch.Tensor,
    at: dict[str, Slot],
    sums: SketchAccumulator,
) -> None:
    """The weight is (out, in); that of Hugging Face's Conv1D (in, out)."""
    x, g = _positions(x), _positions(g)
    if "weight" in at:
        sums.products(at["weight"], *((g, x) if isinstance(module, nn.Linear) else (x, g)))
    _bias(g, at, sums)


def _convolution(
    module: nn.Module,
    x: torch.Tensor,
    g: torch.Tensor,
    at: dict[str, Slot],
    sums: SketchAccumulator,
) -> None:
    assert isinstance(module, (nn.Conv1d, nn.Conv2d))
    B, groups = len(x), module.groups
    if "weight" in at:
        mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        x = F.pad(x, module._reversed_padding_repeated_twice, mode)
        flat = x.ndim == 3  # as one of height 1
        kernel, dilation, stride = (
            (1, *size) if flat else size
            for size in (module.kernel_size, module.dilation, module.stride)
        )
        x = x[:, :, None] if flat else x
        patches = F.unfold(x, kernel, dilation, 0, stride)  # (B, channels · patch, T)
        T = patches.shape[2]
        sums.products(at["weight"], g.reshape(B, groups, -1, T), patches.view(B, groups, -1, T))
    _bias(g.reshape(B, 1, g.shape[1], -1), at, sums)


def _scale(
    module: nn.Module,
    x: torch.Tensor,
    g: torch.Tensor,
    at: dict[str, Slot],
    sums: SketchAccumulator,
) -> None:
    """Normalisation, y = x̂ ∘ (weight + constant) + bias, whatever x̂ is: weight 1 minus weight 0."""
    weight = module.weight
    assert isinstance(weight, torch.Tensor)
    channels_first = isinstance(module, (nn.GroupNorm, nn.modules.batchnorm._BatchNorm))
    if "weight" in at:
        ones = torch.ones(weight.shape, dtype=g.dtype, device=g.device)
        wide = {k: b.to(g.dtype) for k, b in module.named_buffers() if b.is_floating_point()}
        zero_bias = {} if getattr(module, "bias", None) is None else {"bias": 0 * ones}
        at_one, at_zero = (
            functional_call(module, {**wide, **zero_bias, "weight": w}, (x,))
            for w in (ones, 0 * ones)
        )
        sums.dense(at["weight"], _per_channel((at_one - at_zero) * g, weight.shape, channels_first))
    if "bias" in at:
        sums.dense(at["bias"], _per_channel(g, weight.shape, channels_first))


def _per_channel(y: torch.Tensor, shape: torch.Size, channels_first: bool) -> torch.Tensor:
    """(B, ...) summed over the positions of a sample: (B, channels)."""
    if channels_first:
        return y.reshape(len(y), y.shape[1], -1).sum(2)
    return y.reshape(len(y), -1, shape.numel()).sum(1)


def _embedding(
    module: nn.Module,
    x: torch.Tensor,
    g: torch.Tensor,
    at: dict[str, Slot],
    sums: SketchAccumulator,
) -> None:
    assert isinstance(module, nn.Embedding)
    index = x.reshape(len(x), -1)
    if module.padding_idx is not None:
        index = index.masked_fill(index == module.padding_idx, -1)
    sums.rows(at["weight"], index, g.reshape(*index.shape, -1))


def _embedding_bag(
    module: nn.Module,
    x: torch.Tensor,
    g: torch.Tensor,
    at: dict[str, Slot],
    sums: SketchAccumulator,
) -> None:
    assert isinstance(module, nn.EmbeddingBag)
    if module.padding_idx is not None:
        x = x.masked_fill(x == module.padding_idx, -1)
    if module.mode == "mean":
        g = g / (x >= 0).sum(1, keepdim=True).clamp(min=1)
    sums.rows(at["weight"], x, g[:, None].expand(-1, x.shape[1], -1))


RULES: dict[type[nn.Module], Rule] = {
    nn.Linear: _linear,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.Embedding: _embedding,
    nn.EmbeddingBag: _embedding_bag,
    nn.LayerNorm: _scale,
    nn.GroupNorm: _scale,
    nn.BatchNorm1d: _scale,
    nn.BatchNorm2d: _scale,
    nn.BatchNorm3d: _scale,
    nn.RMSNorm: _scale,
}
