"""Pretrained models of `transformers`, cut where training begins: a frozen trunk, and new heads.

A source is the name of a model at its hub, or a folder that `save_pretrained` wrote. Features of
the trunk do not change while a head is trained, so they are made once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from transformers import AutoImageProcessor, CLIPVisionModelWithProjection, ResNetModel

nn = torch.nn


class Backbone(NamedTuple):
    trunk: nn.Module  # pixels (B, 3, H, W) -> features (B, ...)
    processor: Any  # images -> pixels
    head: Callable[[int], nn.Module]  # C -> a new head, features -> (B, C)


def clip(source: str, device: str) -> Backbone:
    """CLIP's vision transformer, to its projected features: (B, 512) of ViT-B/32. Linear heads."""
    model = pretrained(CLIPVisionModelWithProjection, source)
    width = model.config.projection_dim
    trunk = Projected(model).to(device)
    return Backbone(trunk, processor(source), lambda n: nn.Linear(width, n, device=device).eval())


def resnet(source: str, device: str) -> Backbone:
    """A ResNet up to its last convolution; heads of that convolution, as it was pretrained, and a
    new linear layer: 2 459 844 parameters of ResNet18 with 196 classes.
    """
    model = pretrained(ResNetModel, source).to(device)
    return Backbone(Trunk(model), processor(source), lambda n: LastTwo(model, n).to(device).eval())


def pretrained(of: Any, source: str) -> nn.Module:
    """In eval mode, of float32. Raises ValueError for missing weights, which would be random."""
    model, said = of.from_pretrained(source, output_loading_info=True)
    if said["missing_keys"]:
        missing = sorted(said["missing_keys"])
        raise ValueError(
            f"model: expected all weights of {of.__name__} in {source}, got none of "
            f"{missing[0]} ({len(missing)} are missing)"
        )
    return model.eval().float()


def processor(source: str) -> Any:
    return AutoImageProcessor.from_pretrained(source, backend="pil")  # without torchvision


class Projected(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model(pixel_values=pixels).image_embeds


class Trunk(nn.Module):
    """What is added to the output of the last convolution, and what goes into it: (B, 2 c, h, w)
    where its block is a basic one of c channels."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        *blocks, last = [block for stage in model.encoder.stages for block in stage.layers]
        self.embedder, self.blocks = model.embedder, nn.Sequential(*blocks)
        self.shortcut, self.first = last.shortcut, last.layer[:-1]

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.embedder(pixels))
        return torch.cat([self.shortcut(x), self.first(x)], 1)


class LastTwo(nn.Module):
    """What follows the trunk. Its normalisation is frozen, statistics and all."""

    def __init__(self, model: nn.Module, n_classes: int) -> None:
        super().__init__()
        last = model.encoder.stages[-1].layers[-1]
        self.layer = copy.deepcopy(last.layer[-1])
        self.layer.normalization.requires_grad_(False)
        self.activation, self.pooler = last.activation, model.pooler
        self.linear = nn.Linear(self.layer.convolution.out_channels, n_classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        into = self.layer.convolution.in_channels
        shortcut, x = features[:, :-into], features[:, -into:]
        return self.linear(self.pooler(self.activation(shortcut + self.layer(x))).flatten(1))
