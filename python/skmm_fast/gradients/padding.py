"""`Padding`: makes a batch of samples of token ids, as a tokenizer's fields ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from .losses import IGNORED

LABELS = ("labels", "label")


class Padding:
    """A collate_fn for dicts with `input_ids` (T,), and labels of tokens or of samples, if any.

    Everything is padded on the right, where no real token's place changes. The mask is 0 on
    padding, and labels are -100 there. Fields that are neither the tokenizer's nor labels are left
    out.

    Raises TypeError for an object that is no tokenizer, and ValueError for samples without
    `input_ids`.
    """

    def __init__(self, tokenizer: Any) -> None:
        names = getattr(tokenizer, "model_input_names", None)
        if not isinstance(names, (list, tuple)):
            raise TypeError(
                "tokenizer: expected a tokenizer of Hugging Face, or None, got "
                f"{type(tokenizer).__name__}"
            )
        self.names = list(names)
        # A tokenizer without padding has None here; what stands under the mask does not matter.
        self.values = {
            "input_ids": getattr(tokenizer, "pad_token_id", None) or 0,
            "token_type_ids": getattr(tokenizer, "pad_token_type_id", None) or 0,
        }

    def __call__(self, samples: list[Any]) -> dict[str, torch.Tensor]:
        first = samples[0]
        if not isinstance(first, Mapping) or "input_ids" not in first:
            got = list(first) if isinstance(first, Mapping) else type(first).__name__
            raise ValueError(f"dataset: expected samples with input_ids with tokenizer, got {got}")
        batch = {
            name: _padded([sample[name] for sample in samples], self.values.get(name, 0))
            for name in self.names
            if name in first
        }
        if "attention_mask" in self.names and "attention_mask" not in first:
            ones = [torch.ones(len(sample["input_ids"]), dtype=torch.int64) for sample in samples]
            batch["attention_mask"] = _padded(ones, 0)
        for name in LABELS:
            if name in first:
                batch[name] = _padded([sample[name] for sample in samples], IGNORED)
        return batch


def _padded(rows: list[Any], value: int) -> torch.Tensor:
    """The rows as a tensor, (B, longest), or (B,) where they are numbers."""
    tensors = [torch.as_tensor(row) for row in rows]
    if any(t.ndim > 1 or (t.ndim == 1 and len(t) == 0) for t in tensors):
        shape = next(tuple(t.shape) for t in tensors if t.ndim > 1 or len(t) == 0)
        raise ValueError(
            "dataset: expected samples with tokens (T,), at least one, with tokenizer, got "
            f"shape {shape}"
        )
    if tensors[0].ndim == 0:
        return torch.stack(tensors)
    return pad_sequence(tensors, batch_first=True, padding_value=value)
