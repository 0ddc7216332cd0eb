"""Batches as they come from data loaders: tuples, or dicts of keyword arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_map


@dataclass(frozen=True)
class Batch:
    """B samples: what the model is called with, and labels. Tensors of length B hold one entry a
    sample; anything else belongs to all of them."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    labels: Any
    size: int

    @classmethod
    def of(cls, batch: Any) -> Batch:
        """(inputs, ..., labels), or a dict with inputs and "labels" (or "label")."""
        args: tuple[Any, ...] = ()
        kwargs: dict[str, Any] = {}
        labels = None
        if isinstance(batch, Mapping):
            kwargs = dict(batch)
            for name in ("labels", "label"):
                labels = kwargs.pop(name, labels)
        elif isinstance(batch, (tuple, list)) and batch:
            *inputs, labels = batch if len(batch) > 1 else (*batch, None)
            if len(inputs) == 1 and isinstance(inputs[0], Mapping):
                kwargs = dict(inputs[0])
            elif len(inputs) == 1 and isinstance(inputs[0], (tuple, list)):
                args = tuple(inputs[0])
            else:
                args = tuple(inputs)
        else:
            raise TypeError(
                f"batch: expected (inputs, labels) or a dict, got {type(batch).__name__}"
            )
        size = _size((args, kwargs))
        if size == 0:
            raise ValueError("batch: expected inputs as tensors of at least one sample")
        if labels is not None and _size(labels) != size:
            got = _size(labels) or type(labels).__name__
            raise ValueError(
                f"batch: expected labels as a tensor, as many as inputs ({size}), got {got}"
            )
        return cls(args, kwargs, labels, size)

    @property
    def input_bytes(self) -> int:
        """Of all samples."""
        inputs = tree_flatten((self.args, self.kwargs))[0]
        return sum(x.numel() * x.element_size() for x in inputs if isinstance(x, torch.Tensor))

    def rows(self, rows: slice) -> Batch:
        """Some of the samples."""
        size = len(range(self.size)[rows])

        def part(x: Any) -> Any:
            return x[rows] if carries(x, self.size) else x

        return replace(self._map(part), size=size)

    def with_tokens_as_labels(self, ignored: int) -> Batch:
        """Labels are the input ids, where the attention mask is not 0."""
        tokens = self.kwargs.get("input_ids", self.args[0] if self.args else None)
        if tokens is None:
            raise ValueError("batch: expected labels, or input_ids to take them from, got neither")
        mask = self.kwargs.get("attention_mask")
        labels = tokens if mask is None else tokens.masked_fill(mask == 0, ignored)
        return replace(self, labels=labels)

    def to(self, device: torch.device) -> Batch:
        """There, apart from the graph that the tensors may be part of."""
        return self._map(lambda x: x.detach().to(device) if isinstance(x, torch.Tensor) else x)

    def _map(self, f: Callable[[Any], Any]) -> Batch:
        args, kwargs, labels = tree_map(f, (self.args, self.kwargs, self.labels))
        return replace(self, args=args, kwargs=kwargs, labels=labels)


def carries(x: Any, n: int) -> bool:
    """Whether x holds one entry for each of n samples."""
    return isinstance(x, torch.Tensor) and x.ndim > 0 and len(x) == n


def _size(tree: Any) -> int:
    """Length of the first tensor."""
    tensors = (x for x in tree_flatten(tree)[0] if isinstance(x, torch.Tensor) and x.ndim > 0)
    return next((len(x) for x in tensors), 0)
