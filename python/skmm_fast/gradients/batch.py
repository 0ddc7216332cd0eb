"""Batches as data loaders give them: tuples, or dicts of keyword arguments; and sample ids.

A `Batch` knows which inputs hold one entry per sample, so that it can be cut into parts.
"""

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
    """B samples: the arguments of the model, and labels.

    The arguments (args, kwargs) are kept as a flat list of leaves and the structure around them.
    A leaf that is not numbered in `per_sample` is an argument that all samples share.
    """

    inputs: list[Any]  # the leaves of (args, kwargs)
    spec: TreeSpec  # the structure of (args, kwargs)
    per_sample: tuple[int, ...]  # numbers of the inputs that are tensors of length B
    labels: Any  # None, or a tree of tensors of length B
    size: int  # B

    @classmethod
    def of(cls, batch: Any, before: tuple[TreeSpec, tuple[int, ...]] | None = None) -> Batch:
        """Read a tuple (inputs, ..., labels), or a dict with inputs and "labels" (or "label").

        B is the length of the labels, or of the first input where there are none. Inputs of length
        B are taken to be per sample. `before` is the layout of an earlier batch; a batch of the
        same structure has the same layout.
        """
        args, kwargs, labels = _parts(batch)
        inputs, spec = tree_flatten((args, kwargs))
        size = _size(inputs)
        if size == 0:
            raise ValueError("batch: expected inputs as tensors of at least one sample")
        if labels is not None:
            expected, size = size, _size(labels)
            ys = tree_flatten(labels)[0]
            if not (
                all(is_per_sample(y, size) for y in ys)
                and any(is_per_sample(x, size) for x in inputs)
            ):
                raise ValueError(
                    f"batch: expected labels as a tensor, as many as inputs ({expected}), got "
                    f"{size or type(labels).__name__}"
                )
        if before is not None and before[0] == spec:
            per_sample = before[1]
        else:
            per_sample = tuple(i for i, x in enumerate(inputs) if is_per_sample(x, size))
        for i in per_sample:
            if not is_per_sample(inputs[i], size):
                got = tuple(inputs[i].shape) if isinstance(inputs[i], Tensor) else inputs[i]
                raise ValueError(
                    f"batch: expected one entry for each of {size} samples in input {i}, as in the "
                    f"first batch, got {got}"
                )
        return cls(inputs, spec, per_sample, labels, size)

    @property
    def layout(self) -> tuple[TreeSpec, tuple[int, ...]]:
        """What later batches of the same structure share with this one."""
        return self.spec, self.per_sample

    @property
    def call(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments of the model."""
        return tree_unflatten(self.inputs, self.spec)  # type: ignore[no-any-return]

    @property
    def input_bytes(self) -> int:
        """The bytes of the inputs of all samples; shared inputs do not count."""
        return sum(self.inputs[i].numel() * self.inputs[i].element_size() for i in self.per_sample)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of all tensors, inputs first."""
        leaves = [*self.inputs, *tree_flatten(self.labels)[0]]
        return tuple(tuple(x.shape) for x in leaves if isinstance(x, Tensor))

    def rows(self, rows: slice) -> Batch:
        """A batch of some of the samples."""
        inputs = list(self.inputs)
        for i in self.per_sample:
            inputs[i] = inputs[i][rows]
        labels = None if self.labels is None else tree_map(lambda y: y[rows], self.labels)
        return replace(self, inputs=inputs, labels=labels, size=len(range(self.size)[rows]))

    def with_tokens_as_labels(self, ignored: int) -> Batch:
        """The same samples with their input ids as labels.

        The label at t is `ignored` where the attention mask is 0 at t or at t - 1: padding is
        neither predicted nor predicted from.
        """
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
        """The same samples on a device, detached from any graph."""

        def moved(x: Any) -> Any:
            return x.detach().to(device) if isinstance(x, Tensor) else x

        inputs, labels = tree_map(moved, (self.inputs, self.labels))
        return replace(self, inputs=inputs, labels=labels)


def own(tree: Any) -> Any:
    """The same values in tensors that nobody else holds: a model or a loss may change what it is
    given in place, while later passes need it as it was."""
    return tree_map(lambda x: x.detach().clone() if isinstance(x, Tensor) else x, tree)


def is_per_sample(x: Any, n: int) -> bool:
    """Whether x is a tensor with one entry for each of n samples in dimension 0."""
    return isinstance(x, Tensor) and x.ndim > 0 and len(x) == n


def _parts(batch: Any) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    """(args, kwargs, labels) of a batch as a data loader gives it."""
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
    """The length of the first tensor with dimensions in a tree; 0 where there is none."""
    tensors = (x for x in tree_flatten(tree)[0] if isinstance(x, Tensor) and x.ndim > 0)
    return next((len(x) for x in tensors), 0)


def ids_of(sample_ids: Any, length: int, needed: bool) -> Indices:
    """The checked sample ids, (B,) int64; an empty array where they are not needed."""
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
