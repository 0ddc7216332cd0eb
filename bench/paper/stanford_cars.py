"""Cars of 196 classes, StanfordCars: two finetunes (SkMM, section 5), by accuracy and macro-F1.

- `lp`, linear probing: a new linear head on features of CLIP ViT-B/32, r = 512 * 196 + 196.
- `ft`: the last convolution of ResNet18, pretrained on ImageNet, and a new head, r = 2 459 844.
  What goes into that convolution is kept on disk: 200 KB an image, 3.2 GB in all.

Images lie in `train/<class>/*.jpg` (8 144, the pool) and `test/<class>/*.jpg` (8 041), the layout
of torchvision's ImageFolder, in which the data set is passed on; classes are numbered by name. No
augmentation. Gradients are those of the cross-entropy at a new head, drawn by the seed, which is
then trained on the rows selected. Methods of uncertainty get the predictions of such a head after a
few epochs on the labels of the whole pool: more than others know.

    python bench/paper/stanford_cars.py ~/stanford_cars lp
    python bench/paper/stanford_cars.py ~/stanford_cars ft --workers 8

No figures of it are in this repository: neither the images nor the weights were at hand. Its parts
have run on generated images and random weights alone (tests/python/test_paper_images.py). Rates and
epochs are not the authors', which are not known here: untuned, and the same for all methods.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch.utils.data import Dataset

sys.path.insert(0, str(Path(__file__).parents[1]))

import compare
from compare import Task
from paper import run
from paper.backbones import Backbone, clip, resnet
from paper.heads import Training, predict, proxy, train
from paper.images import classes_in, features
from skmm_fast.gradients import GradientSketcher, sketch_dataset

METHODS = (
    *("uniform", "herding", "contextual-diversity", "glister", "grand", "forgetting", "deepfool"),
    *("entropy", "margin", "least-confidence", "k-center", "adaptive", "t-leverage", "r-leverage"),
    *("moment-matching", "moment-matching, c_S = .9", "v-optimal"),
)
COUNTS = (500, 1000, 2000, 4000)


class Kind(NamedTuple):
    """Of finetune."""

    backbone: Callable[[str, str], Backbone]
    model: str
    epochs: int
    lr: float


KINDS = {
    "lp": Kind(clip, "openai/clip-vit-base-patch32", epochs=50, lr=1e-2),
    "ft": Kind(resnet, "microsoft/resnet-18", epochs=30, lr=1e-3),
}
TARGETS = {"labels": "label", "random": "random"}  # representation -> targets of the sketcher


class Cars(NamedTuple):
    paths: list[Path]
    y: np.ndarray  # (N,) int64 classes
    pool: np.ndarray  # rows of the pool
    test: np.ndarray  # and those to test on


def read(folder: Path) -> Cars:
    """Raises ValueError where train and test do not have the same classes."""
    train, test = (classes_in(folder / part) for part in ("train", "test"))
    odd = sorted(train.keys() ^ test.keys())
    if odd:
        raise ValueError(f"folder: expected classes of train and test, got {odd[0]!r} in one alone")
    paths = [path for part in (train, test) for several in part.values() for path in several]
    y = [k for part in (train, test) for k, several in enumerate(part.values()) for _ in several]
    n_pool = sum(map(len, train.values()))
    return Cars(paths, np.array(y), np.arange(n_pool), np.arange(n_pool, len(y)))


class Rows(Dataset[tuple[torch.Tensor, int]]):
    """(features, class) of some rows, as `sketch_dataset` takes them."""

    def __init__(self, X: np.ndarray, y: np.ndarray, rows: np.ndarray) -> None:
        self.X, self.y, self.rows = X, y, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        row = self.rows[i]
        return torch.from_numpy(np.array(self.X[row])), int(self.y[row])


@dataclass
class Finetune:
    """Of new heads on features of all cars."""

    name: str
    cars: Cars
    X: np.ndarray  # (N, ...) features
    folder: Path  # for sketches
    head: Callable[[int], torch.nn.Module]  # C -> new head
    training: Training
    targets: str  # of TARGETS
    sketch_dim: int
    proxy_epochs: int  # 0: no proxy

    def new_head(self, seed: int) -> torch.nn.Module:
        torch.manual_seed(seed)
        return self.head(int(self.cars.y.max()) + 1)

    def score(
        self, rows: np.ndarray, seed: int, weights: np.ndarray | None = None
    ) -> dict[str, float]:
        """Of the head that was trained on these rows of the pool."""
        _, y, pool, test = self.cars
        head = self.new_head(seed)
        train(head, self.X, y, pool[rows], self.training, seed, weights)
        predicted = predict(head, self.X, test).argmax(1)
        return {
            "accuracy": float((predicted == y[test]).mean()),
            "macro-F1": float(f1_score(y[test], predicted, average="macro")),
        }

    def gradients(self, seed: int) -> np.ndarray:
        """(N, m) sketches of the pool's gradients, kept in the folder."""
        targets, m = TARGETS[self.targets], self.sketch_dim
        sketcher = GradientSketcher(
            self.new_head(seed), params="trainable", targets=targets, sketch_dim=m, seed=seed
        )
        path = self.folder / f"{self.targets}-m{m}-seed{seed}"
        return sketch_dataset(sketcher, Rows(self.X, self.cars.y, self.cars.pool), path).array()

    def task(self, seed: int) -> Task:
        _, y, pool, _ = self.cars
        inputs: dict[str, Any] = {"y": y[pool]}
        if self.proxy_epochs:
            how = self.training._replace(epochs=self.proxy_epochs)
            inputs |= proxy(self.new_head(seed), self.X, y, pool, how, seed)
        trained = [p.numel() for p in self.new_head(seed).parameters() if p.requires_grad]
        return Task(
            self.name,
            {"accuracy": "high", "macro-F1": "high"},
            {self.targets: self.gradients(seed)},
            self.score,
            inputs,
            {"classes": int(y.max()) + 1, "parameters": sum(trained)},
        )


def main(argv: Sequence[str] | None = None) -> None:
    parser = run.arguments(__doc__, None, METHODS, COUNTS)
    parser.add_argument("finetune", choices=list(KINDS))
    parser.add_argument("--targets", choices=list(TARGETS), default="labels", help="of gradients")
    parser.add_argument("--sketch-dim", type=int, default=512)
    parser.add_argument("--epochs", type=int, help="of the finetune; default: 50 (lp), 30 (ft)")
    parser.add_argument("--lr", type=float, help="likewise; default: 1e-2 (lp), 1e-3 (ft)")
    parser.add_argument("--proxy-epochs", type=int, default=10)
    given = parser.parse_args(argv)
    kind = KINDS[given.finetune]
    for name, default in (("model", kind.model), ("epochs", kind.epochs), ("lr", kind.lr)):
        if getattr(given, name) is None:
            setattr(given, name, default)
    cars = read(given.folder)
    backbone = kind.backbone(given.model, given.device)
    X, folder = features(cars.paths, backbone, given.cache, given.workers)
    needs_proxy = any(set(compare.METHODS[who].needs) - {"y"} for who in given.methods)
    finetune = Finetune(
        f"StanfordCars, {given.finetune}",
        cars,
        X,
        folder,
        backbone.head,
        Training(given.epochs, given.lr),
        given.targets,
        given.sketch_dim,
        given.proxy_epochs if needs_proxy else 0,
    )
    run.run(given, f"stanford_cars_{given.finetune}", finetune.task, sees=given.targets)


if __name__ == "__main__":
    main()
