"""Batches as they come from data loaders: tuples, or dicts of keyword arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import TreeSpec, tree_flatten, tree_map, tree_unflatten

from .._support import arrays
from .._support.types import Indices

Tensor = torch.Tensor


@dataclass(frozen=True)
class Batch:
    """B samples: what the model is called with, and labels (None, or tensors of length B).

    The inputs are the leaves of (args, kwargs); those numbered in `own` hold one entry a sample,
    the others belong to all of them.
    """

    inputs: list[Any]
    spec: TreeSpec
    own: tuple[int, ...]
    labels: Any
    size: int

    @classmethod
    def of(cls, batch: Any, before: tuple[TreeSpec, tuple[int, ...]] | None = None) -> Batch:
        """(inputs, ..., labels), or a dict with inputs and "labels" (or "label").

        before: the layout of an earlier batch, which holds for those of the same structure. By
        default the inputs of length B are `own`, B being that of the labels, or of the first input.
        """
        args, kwargs, labels = _parts(batch)
        inputs, spec = tree_flatten((args, kwargs))
        size = _size(inputs)
        if size == 0:
            raise ValueError("batch: expected inputs as tensors of at least one sample")
        if labels is not None:
            expected, size = size, _size(labels)
            ys = tree_flatten(labels)[0]
            if not (all(carries(y, size) for y in ys) and any(carries(x, size) for x in inputs)):
                raise ValueError(
                    f"batch: expected labels as a tensor, as many as inputs ({expected}), got "
                    f"{size or type(labels).__name__}"
                )
        if before is not None and before[0] == spec:
            own = before[1]
        else:
            own = tuple(i for i, x in enumerate(inputs) if carries(x, size))
        for i in own:
            if not carries(inputs[i], size):
                got = tuple(inputs[i].shape) if isinstance(inputs[i], Tensor) else inputs[i]
                raise ValueError(
                    f"batch: expected one entry for each of {size} samples in input {i}, as in the "
                    f"first batch, got {got}"
                )
        return cls(inputs, spec, own, labels, size)

    @property
    def layout(self) -> tuple[TreeSpec, tuple[int, ...]]:
        return self.spec, self.own

    @property
    def call(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments of the model."""
        return tree_unflatten(self.inputs, self.spec)  # type: ignore[no-any-return]

    @property
    def input_bytes(self) -> int:
        """Of all samples."""
        return sum(self.inputs[i].numel() * self.inputs[i].element_size() for i in self.own)

    def rows(self, rows: slice) -> Batch:
        """Some of the samples."""
        inputs = list(self.inputs)
        for i in self.own:
            inputs[i] = inputs[i][rows]
        labels = None if self.labels is None else tree_map(lambda y: y[rows], self.labels)
        return replace(self, inputs=inputs, labels=labels, size=len(range(self.size)[rows]))

    def with_tokens_as_labels(self, ignored: int) -> Batch:
        """Labels are the input ids where the attention mask is not 0, there and one before."""
        args, kwargs = self.call
        tokens = kwargs["input_ids"] if "input_ids" in kwargs else next(iter(args), None)
        if not isinstance(tokens, Tensor):
            raise ValueError(
                "batch: expected labels, or tokens as input_ids or as the first input, got neither"
            )
        mask = kwargs.get("attention_mask")
        if mask is None:
            return replace(self, labels=tokens)
        seen = mask != 0
        seen[:, 1:] &= mask[:, :-1] != 0
        return replace(self, labels=tokens.masked_fill(~seen, ignored))

    def to(self, device: torch.device) -> Batch:
        def there(x: Any) -> Any:
            return x.detach().to(device) if isinstance(x, Tensor) else x

        inputs, labels = tree_map(there, (self.inputs, self.labels))
        return replace(self, inputs=inputs, labels=labels)


def carries(x: Any, n: int) -> bool:
    """Whether x holds one entry for each of n samples."""
    return isinstance(x, Tensor) and x.ndim > 0 and len(x) == n


def _parts(batch: Any) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    """args, kwargs, labels."""
    if isinstance(batch, Mapping):
        kwargs = dict(batch)
        if "labels" in kwargs and "label" in kwargs:
            raise ValueError("batch: expected 'labels' or 'label', got both")
        return (), kwargs, kwargs.pop("labels", kwargs.pop("label", None))
    if not isinstance(batch, (tuple, list)) or not batch:
        raise TypeError(f"batch: expected (inputs, labels) or a dict, got {type(batch).__name__}")
    *inputs, labels = batch if len(batch) > 1 else (*batch, None)
    if len(inputs) == 1 and isinstance(inputs[0], Mapping):
        return (), dict(inputs[0]), labels
    if len(inputs) == 1 and isinstance(inputs[0], (tuple, list)):
        return tuple(inputs[0]), {}, labels
    return tuple(inputs), {}, labels


def _size(tree: Any) -> int:
    """Length of the first tensor."""
    tensors = (x for x in tree_flatten(tree)[0] if isinstance(x, Tensor) and x.ndim > 0)
    return next((len(x) for x in tensors), 0)


def ids_of(sample_ids: Any, length: int, needed: bool) -> Indices:
    """(B,) int64 sample ids, empty where not needed."""
    if not needed:
        return np.empty(0, np.int64)
    if sample_ids is None:
        raise ValueError("sample_ids: expected ids with targets='random', got None")
    ids = arrays.vector("sample_ids", sample_ids)
    if ids.dtype.kind not in "iu" or ids.shape != (length,):
        raise ValueError(
            f"sample_ids: expected {length} integers, got shape {ids.shape} of {ids.dtype}"
        )
    return np.ascontiguousarray(ids, np.int64)
