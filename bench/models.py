"""Networks of the gradient benches, with random weights."""

from __future__ import annotations

from itertools import pairwise

import torch

nn = torch.nn


class Block(nn.Module):
    def __init__(self, inside: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Sequential()
        if stride != 1 or inside != out:
            self.shortcut.append(nn.Conv2d(inside, out, 1, stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(h)) + self.shortcut(x))


def resnet18(n_classes: int) -> nn.Module:
    """He, Zhang, Ren and Sun, 2015. Its last convolution and its head have 2 459 844 parameters
    with 196 classes."""
    torch.manual_seed(0)
    widths = (64, 64, 128, 256, 512)
    blocks = [
        Block(inside if first else out, out, 2 if first and inside != out else 1)
        for inside, out in pairwise(widths)
        for first in (True, False)
    ]
    stem = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, n_classes)
    return nn.Sequential(*stem, nn.MaxPool2d(3, 2, 1), *blocks, *head).eval()


def probe(n_features: int, n_classes: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(n_features, n_classes).eval()
