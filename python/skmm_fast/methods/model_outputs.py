"""Checks of what a trained model puts out for the samples: probabilities, logits, its last layer.

The outputs of a new head say nothing about samples: the model has been trained at least a little.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .._support import arrays, tensors
from .._support.types import Array

IN_CACHE = 1 << 19  # bytes of outputs that are looked at together


def predicted(
    n_rows: int, method: str, probs: Any = None, logits: Any = None
) -> tuple[int, Iterator[tuple[slice, Array]]]:
    """The number of classes C, and an iterator over blocks of rows and their predicted
    probabilities (B, C), float64: exponentials in float32 have errors that hang on the processor.
    Exactly one of probs and logits must be given.

    Raises TypeError or ValueError naming the argument, before the first block.
    """
    if (probs is None) == (logits is None):
        got = "neither" if probs is None else "both"
        raise ValueError(
            f"probs: expected predicted probabilities (N, C), or logits, with method {method!r}, "
            f"got {got}"
        )
    name, given = ("probs", probs) if logits is None else ("logits", logits)
    x = outputs(name, given, n_rows, classes_ruled_out=logits is not None)
    if logits is None:
        for rows in arrays.row_blocks(x, IN_CACHE):
            p = x[rows]
            off = np.flatnonzero((p.min(axis=1) < 0) | (np.abs(p.sum(axis=1) - 1) > 1e-3))
            if len(off):
                raise ValueError(
                    f"probs: expected rows of probabilities that sum to 1, got {p[off[0]]} in row "
                    f"{rows.start + off[0]}"
                )
    shares = _shares if logits is None else _softmax
    blocks = arrays.row_blocks(x, IN_CACHE)
    return x.shape[1], ((rows, shares(x[rows].astype(np.float64, copy=False))) for rows in blocks)


def outputs(name: str, x: Any, n_rows: int, classes_ruled_out: bool = False) -> Array:
    """(N, C) finite numbers, C > 1, from an array or a torch tensor on any device.

    Where `classes_ruled_out`, a logit may be -∞: the model gives this class probability 0. At least
    one logit of a row is then finite.
    """
    array = host_matrix(name, x)
    if len(array) != n_rows or array.shape[1] < 2:
        raise ValueError(f"{name}: expected shape ({n_rows}, C), C > 1, got {array.shape}")
    known = arrays.finite_rows(array)
    if classes_ruled_out and not known.all():
        known[~known] = _some_class_left(array[~known])
    arrays.raise_not_finite(name, known)
    return array


def _some_class_left(logits: Array) -> npt.NDArray[np.bool_]:
    """Whether each row has a finite logit, and others are finite or -∞."""
    largest: npt.NDArray[np.bool_] = np.isfinite(logits.max(axis=1))
    return largest & ~np.isnan(logits).any(axis=1)


def host_matrix(name: str, x: Any) -> Array:
    """A matrix of floats in host memory, from an array or a tensor on any device; 16-bit floats
    become float32."""
    return arrays.widened(arrays.gradients(name, on_host(x)))


def on_host(x: Any) -> Any:
    """A tensor of a device copied to the CPU; anything else as it is."""
    return x.cpu() if tensors.on_device(x) else x


def log(p: Array) -> Array:
    """log p, finite where p = 0."""
    return np.asarray(np.log(np.maximum(p, np.finfo(p.dtype).tiny)))


def _shares(x: Array) -> Array:
    return np.asarray(x / x.sum(axis=1, keepdims=True))


def _softmax(x: Array) -> Array:
    return _shares(np.exp(x - x.max(axis=1, keepdims=True)))
