"""Rules: how the per-sample gradients of a layer's parameters follow from one call of the layer.

A rule gets the input x (B, ...) of the call and the gradient g (B, ...) with respect to its output.
It adds the gradients of the layer's chosen parameters to sums, in the type of the sums. A layer
that is applied at several positions of a sample (tokens, pixels) has the sum over them as gradient.

Letters of shapes: B samples, T positions, K groups of channels, o outputs and i inputs a group.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from .parameters import Slot
from .sketch_accumulator import SketchAccumulator

# rule(module, x, g, slots, sums); slots holds the module's chosen parameters by their names in it.
Rule = Callable[[nn.Module, torch.Tensor, torch.Tensor, dict[str, Slot], SketchAccumulator], None]


def rule_of(module: nn.Module) -> Rule | None:
    """The rule that holds for a module, None where there is none.

    A subclass has the rule of its base only if it keeps the base's `forward`. Layers of
    transformers are recognised by the name of their class, so that it need not be installed.
    """
    own = {name for name, _ in module.named_parameters(recurse=False, remove_duplicate=False)}
    if not own <= {"weight", "bias"}:
        return None
    for kind, rule in RULES.items():
        if isinstance(module, kind) and type(module).forward is kind.forward:
            return rule if _in_scope(module) else None
    if type(module).__name__ == "Conv1D" and hasattr(module, "nf"):  # in transformers
        return _linear
    if "RMSNorm" in type(module).__name__ or type(module).__name__ == "T5LayerNorm":
        return _scale if own == {"weight"} else None
    return None


def is_linear(module: nn.Module) -> bool:
    """Whether the gradient of the module's weight is a sum of products over tokens, by its rule."""
    return rule_of(module) is _linear


def _in_scope(module: nn.Module) -> bool:
    """Whether the settings of a module are such that its rule holds."""
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return module.track_running_stats and module.running_mean is not None
    if isinstance(module, nn.Embedding):
        return not module.scale_grad_by_freq
    if isinstance(module, nn.EmbeddingBag):
        return module.mode != "max" and not module.scale_grad_by_freq
    return True


def takes_positions(module: nn.Module) -> bool:
    """Whether the rule of a module holds for x (B, k, ...) with k rows of the module's input for
    each sample: it takes all dimensions but those of its channels, which are last, for positions.
    """
    channels_first = (nn.Conv1d, nn.Conv2d, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)
    return not isinstance(module, (*channels_first, nn.EmbeddingBag))


def _positions(x: torch.Tensor) -> torch.Tensor:
    """x (B, ..., c), with all dimensions between as positions, in the shape (B, 1, c, T)."""
    return x.reshape(len(x), 1, -1, x.shape[-1]).transpose(2, 3)


def _bias(g: torch.Tensor, slots: dict[str, Slot], sums: SketchAccumulator) -> None:
    """The gradient of a bias, (B, K o), from g (B, K, o, T)."""
    if "bias" in slots:
        sums.dense(slots["bias"], g.sum(3).flatten(1))


def _linear(
    module: nn.Module,
    x: torch.Tensor,
    g: torch.Tensor,
    slots: dict[str, Slot],
    sums: SketchAccumulator,
) -> None:
    """The gradient of the weight of nn.Linear, (out, in), is the sum of g_t ⊗ x_t over positions t.
    Hugging Face's Conv1D has the transpose, (in, out)."""
    x, g = _positions(x), _positions(g)
    if "weight" in slots:
        sums.products(slots["weight"], *((g, x) if isinstance(module, nn.Linear) else (x, g)))
    _bias(g, slots, sums)


def _convolution(
    module: nn.Module,
    x: torch.Tensor,
    g: torch.Tensor,
    slots: dict[str, Slot],
    sums: SketchAccumulator,
) -> None:
    """A convolution is a linear layer at each position of the output, whose input is the patch of
    x (B, channels, ...) under the kernel."""
    assert isinstance(module, (nn.Conv1d, nn.Conv2d))
    B, groups = len(x), module.groups
    if "weight" in slots:
        mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        x = F.pad(x, module._reversed_padding_repeated_twice, mode)
        flat = x.ndim == 3  # a 1d convolution is taken as a 2d one of height 1
        kernel, dilation, stride = (
            (1, *size) if flat else size
            for size in (module.kernel_size, module.dilation, module.stride)
        )
        x = x[:, :, None] if flat else x
        patches = F.unfold(x, kernel, dilation, 0, stride)  # (B, channels · patch, T)
        T = patches.shape[2]
        sums.products(slots["weight"], g.reshape(B, groups, -1, T), patches.view(B, groups, -1, T))
    _bias(g.reshape(B, 1, g.shape[1], -1), slots, sums)


def _scale(
    module: nn.Module,
    x: torch.Tensor,
    g: torch.Tensor,
    slots: dict[str, Slot],
    sums: SketchAccumulator,
) -> None:
    """A normalisation layer, y = x̂ ∘ (weight + constant) + bias.

    The output at weight 1 minus the output at weight 0 is x̂, whatever the normalisation is.
    """
    weight = module.weight
    assert isinstance(weight, torch.Tensor)
    channels_first = isinstance(module, (nn.GroupNorm, nn.modules.batchnorm._BatchNorm))
    if "weight" in slots:
        ones = torch.ones(weight.shape, dtype=g.dtype, device=g.device)
        # The running statistics of batch normalisation, in the type of the sums.
        wide = {k: b.to(g.dtype) for k, b in module.named_buffers() if b.is_floating_point()}
        zero_bias = {} if getattr(module, "bias", None) is None else {"bias": 0 * ones}
        at_one, at_zero = (
            functional_call(module, {**wide, **zero_bias, "weight": w}, (x,))
            for w in (ones, 0 * ones)
        )
        sums.dense(
            slots["weight"], _per_channel((at_one - at_zero) * g, weight.shape, channels_first)
        )
    if "bias" in slots:
        sums.dense(slots["bias"], _per_channel(g, weight.shape, channels_first))


def _per_channel(y: torch.Tensor, shape: torch.Size, channels_first: bool) -> torch.Tensor:
    """y (B, ...) summed over the positions of a sample, (B, channels).

    The channels are dimension 1, or else the last dimensions, those of `shape`.
    """
    if channels_first:
        return y.reshape(len(y), y.shape[1], -1).sum(2)
    return y.reshape(len(y), -1, shape.numel()).sum(1)


def _embedding(
    module: nn.Module,
    x: torch.Tensor,
    g: torch.Tensor,
    slots: dict[str, Slot],
    sums: SketchAccumulator,
) -> None:
    """Row x[b, t] of the weight has g[b, t] added to its gradient; the padding row has none."""
    assert isinstance(module, nn.Embedding)
    index = x.reshape(len(x), -1)
    if module.padding_idx is not None:
        index = index.masked_fill(index == module.padding_idx, -1)
    sums.rows(slots["weight"], index, g.reshape(*index.shape, -1))


def _embedding_bag(
    module: nn.Module,
    x: torch.Tensor,
    g: torch.Tensor,
    slots: dict[str, Slot],
    sums: SketchAccumulator,
) -> None:
    """Each row x[b, t] of the weight has g[b] added to its gradient, divided in mode "mean" by the
    length of the bag; x (B, T), g (B, D). Padding is no part of the bag."""
    assert isinstance(module, nn.EmbeddingBag)
    if module.padding_idx is not None:
        x = x.masked_fill(x == module.padding_idx, -1)
    if module.mode == "mean":
        g = g / (x >= 0).sum(1, keepdim=True).clamp(min=1)
    sums.rows(slots["weight"], x, g[:, None].expand(-1, x.shape[1], -1))


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
