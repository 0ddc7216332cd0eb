"""Cars of 196 classes, StanfordCars: two finetunes (SkMM, section 5), by accuracy and macro-F1.

- `lp`, linear probing: a new linear head on features of CLIP ViT-B/32, r = 512 * 196 + 196.
- `ft`: the last convolution of ResNet18, pretrained on ImageNet, and a new head, r = 2 459 844.
  What goes into that convolution is kept on disk: 200 KB an image, 3.2 GB in all.

Images lie in `train/<class>/*.jpg` (the pool, 8 144) and `test/<class>/*.jpg` (8 041), the layout
of torchvision's ImageFolder, in which the data set is passed on; classes are numbered by name. No
augmentation. Gradients are those of the cross-entropy at a new head, drawn by the seed, with true
labels or targets drawn from the model; on these the head is trained too. Methods that need
predictions get those of another such head after a few epochs on the labels of the whole pool.

    python bench/paper/stanford_cars.py lp ~/stanford_cars
    python bench/paper/stanford_cars.py ft ~/stanford_cars --epochs 30 --lr 1e-3

No figures of it are in this repository: neither the images nor the weights were at hand. Its parts
have run on generated images and random weights alone (tests/python/test_paper_images.py). The
paper's rates and epochs are not known here; the defaults are guesses, the same for all methods.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from compare import Task
from paper import heads
from paper.backbones import Backbone, clip, resnet
from paper.images import classes_in, features


class Cars(NamedTuple):
    paths: list[Path]
    y: np.ndarray  # (N,) int64 classes
    pool: np.ndarray  # rows of the pool
    test: np.ndarray  # and of the test


def read(folder: Path) -> Cars:
    """Raises ValueError where train and test do not have the same classes."""
    train, test = (classes_in(folder / part) for part in ("train", "test"))
    if train.keys() != test.keys():
        odd = sorted(train.keys() ^ test.keys())
        raise ValueError(f"folder: expected the same classes in train and test, got {odd[0]!r} in one")
    paths = [path for part in (train, test) for several in part.values() for path in several]
    y = [k for part in (train, test) for k, several in enumerate(part.values()) for _ in several]
    n_pool = sum(map(len, train.values()))
    return Cars(paths, np.array(y), np.arange(n_pool), np.arange(n_pool, len(y)))
