"""The checked sketches of batches, by a `GradientSketcher` or an object like it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader

from .._support import arrays
from .._support.float16_rows import scaled_halves
from .._support.types import Array, Indices
from ..sketch.base import Sketch
from .samples import loaded


class Sketcher(Protocol):
    """What `sketch_dataset` needs of a sketcher: a `GradientSketcher`, or an object like it."""

    @property
    def sketch(self) -> Sketch:
        """Γ; sketch.out_dim is m."""

    def __call__(self, batch: Any, sample_ids: Any = None) -> torch.Tensor:
        """The sketches (B, m) of a batch, float32 or float64."""

    def forget(self) -> None:
        """Forget what earlier batches settled, so that the next batch is treated as the first."""

    def fingerprint(self) -> dict[str, Any]:
        """Fields that JSON can hold and that say what the sketches depend on. They are known after
        the first batch. A list "advisory unseen" names what they cannot see."""


def sketched_batches(
    sketcher: Sketcher, loader: DataLoader[Any], batches: Sequence[range], name: str = "dataset"
) -> Iterator[Array]:
    """The checked sketches of these batches of rows, one batch after the other."""
    for rows, batch in zip(batches, loaded(loader, batches), strict=True):
        yield sketch_of(sketcher, batch, np.array(rows), name)


def sketch_of(sketcher: Sketcher, batch: Any, rows: Indices, name: str = "dataset") -> Array:
    """The checked sketches (B, m) of a batch, which holds these rows of the dataset."""
    try:
        Z = sketcher(batch, rows)
    except ValueError as error:
        raise ValueError(f"{name}: in {_named(rows)}: {error}") from error
    if Z.shape != (len(rows), sketcher.sketch.out_dim):
        raise ValueError(
            f"sketcher: expected shape {(len(rows), sketcher.sketch.out_dim)} for {_named(rows)}, "
            f"got {tuple(Z.shape)}"
        )
    return arrays.dense("sketcher", Z.detach().cpu().contiguous())


def _named(rows: Indices) -> str:
    if len(rows) == rows[-1] - rows[0] + 1:
        return f"rows {rows[0]} to {rows[-1]}"
    return f"rows {', '.join(map(str, rows[:8]))}" + ", ..." * (len(rows) > 8)


def rounded(Z: Array, rows: Indices, dtype: str) -> Array:
    """The sketches of these rows of the dataset as float32, or as 16 bits with "float16"."""
    if dtype == "float16":
        narrow, lost = scaled_halves(Z)
    else:
        with np.errstate(over="ignore"):
            narrow = Z.astype(np.float32)
        beyond = (np.isinf(narrow) & np.isfinite(Z)).any(axis=1)
        lost = np.flatnonzero(beyond | (Z.any(axis=1) & ~narrow.any(axis=1)))
    if len(lost):
        raise ValueError(
            f"dtype: expected sketches in the range of float32 with {dtype!r}, got a largest entry "
            f"of {np.abs(Z[lost[0]]).max():.3g} in row {rows[lost[0]]}; scale the loss, or take "
            "dtype=None"
        )
    return narrow
