"""Folders of images: which files, and the features that a frozen model gives them, kept on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from paper.backbones import Backbone
from skmm_fast._support.files import write_whole
from skmm_fast.gradients.fingerprint import architecture_of, digest

SUFFIXES = {".jpg", ".jpeg", ".png"}
BATCH = 64


def images_in(folder: Path) -> list[Path]:
    """In this folder itself, in order of name. Raises ValueError where there are none."""
    if not folder.is_dir():
        raise ValueError(f"folder: expected a folder of images, got {folder}")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise ValueError(f"folder: expected images ({', '.join(sorted(SUFFIXES))}) in {folder}")
    return found


def classes_in(folder: Path) -> dict[str, list[Path]]:
    """class -> its images, of files <class>/<name>; classes in order of name."""
    if not folder.is_dir():
        raise ValueError(f"folder: expected a folder of classes, got {folder}")
    return {path.name: images_in(path) for path in sorted(folder.iterdir()) if path.is_dir()}


class Pixels(Dataset[torch.Tensor]):
    """(3, H, W) of each image, as a processor of `transformers` makes them."""

    def __init__(self, paths: list[Path], processor: Any) -> None:
        self.paths, self.processor = paths, processor

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> torch.Tensor:
        with Image.open(self.paths[i]) as image:
            pixels = self.processor(images=image.convert("RGB"), return_tensors="pt")
        return pixels["pixel_values"][0]


def features(
    paths: list[Path], backbone: Backbone, cache: Path, workers: int = 0
) -> tuple[np.ndarray, Path]:
    """(N, ...) float32, read-only and mapped, of all images in order; and their folder in `cache`,
    one for each list of files (names, sizes, times), trunk and processor."""
    files = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    weights = [*backbone.trunk.named_parameters(), *backbone.trunk.named_buffers()]
    processor = f"{type(backbone.processor).__name__} {backbone.processor.to_dict()}"
    key = digest([files, weights, architecture_of(backbone.trunk), processor])
    folder = cache / key[:16]
    whole = folder / "features.npy"
    if not whole.exists():
        folder.mkdir(parents=True, exist_ok=True)
        loader = DataLoader(Pixels(paths, backbone.processor), BATCH, num_workers=workers)
        write_whole(whole, lambda file: write_npy(file, len(paths), made(backbone.trunk, loader)))
    return np.load(whole, mmap_mode="r"), folder


@torch.no_grad()
def made(trunk: torch.nn.Module, loader: DataLoader[torch.Tensor]) -> Iterator[np.ndarray]:
    device = next(trunk.parameters()).device
    with tqdm(total=len(loader.dataset), desc="features", unit=" images") as bar:
        for pixels in loader:
            yield trunk(pixels.to(device)).cpu().numpy()
            bar.update(len(pixels))


def write_npy(file: BinaryIO, n_rows: int, parts: Iterator[np.ndarray]) -> None:
    """As `np.save`, of parts one after the other."""
    for i, part in enumerate(parts):
        if i == 0:
            header = {
                "descr": np.lib.format.dtype_to_descr(part.dtype),
                "fortran_order": False,
                "shape": (n_rows, *part.shape[1:]),
            }
            np.lib.format.write_array_header_1_0(file, header)
        file.write(np.ascontiguousarray(part).data)
