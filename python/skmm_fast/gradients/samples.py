"""Samples as a data loader reads them, in order: each the same at any time, in any batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    SequentialSampler,
    default_collate,
)

from .._support import checks
from .._support.types import Indices
from .digests import digest

READS = 4  # times that a batch of a few samples is read; a larger one is read twice
SPREAD = 8  # rows between the first and the last that are read, where all are not known at once
MANY = 8  # samples from which on a batch is large: random changes of all of them are never equal


Collate = Callable[[list[Any]], Any]  # a list of samples -> a batch


def loader_of(
    dataset: Any, batch_size: int, name: str = "dataset", collate_fn: Collate | None = None
) -> DataLoader[Any]:
    """A loader of all samples: `dataset` itself if it is a DataLoader, else a new one in order.

    Of a `Trainer` it is one of the training samples with the trainer's collator.
    """
    if collate_fn is not None and not callable(collate_fn):
        raise TypeError(
            "collate_fn: expected a function of a list of samples, or None, got "
            f"{type(collate_fn).__name__}"
        )
    if hasattr(dataset, "get_train_dataloader"):  # a Trainer
        theirs = dataset.get_train_dataloader()
        dataset, collate_fn = theirs.dataset, collate_fn or theirs.collate_fn
    loader = dataset if isinstance(dataset, DataLoader) else None
    samples = dataset if loader is None else loader.dataset
    if (
        isinstance(samples, (IterableDataset, Mapping, tuple))
        or not hasattr(samples, "__getitem__")
        or not hasattr(samples, "__len__")
    ):
        raise TypeError(
            f"{name}: expected samples by row number and their count (a map-style dataset; "
            f"TensorDataset(inputs, labels) makes one of tensors), got {type(samples).__name__}"
        )
    if len(samples) == 0:
        raise ValueError(f"{name}: expected at least one sample, got none")
    if loader is None:
        size = checks.integer("batch_size", batch_size, 1)
        return DataLoader(samples, size, collate_fn=collate_fn or stacked)
    if collate_fn is not None:
        raise ValueError("collate_fn: expected None with a DataLoader, which has its own")
    if loader.batch_sampler is None:
        raise ValueError(f"{name}: expected a DataLoader of batches, got one with batch_size=None")
    return loader


def ordered_loader(dataset: Any, batch_size: int, name: str = "dataset") -> DataLoader[Any]:
    """As `loader_of`, of batches of all rows in order."""
    loader = loader_of(dataset, batch_size, name)
    if not in_order(loader):
        batches: Any = loader.batch_sampler
        rows = getattr(batches, "sampler", loader.sampler)
        raise ValueError(
            f"{name}: expected a DataLoader of batches in order (shuffle=False, no sampler of its "
            f"own) and all rows (drop_last=False), got {type(rows).__name__} and "
            f"{type(batches).__name__}"
        )
    return loader


def in_order(loader: DataLoader[Any]) -> bool:
    """Whether the batches of a loader are known to hold all rows, one after the other."""
    batches: Any = loader.batch_sampler
    return (
        type(batches) is BatchSampler
        and type(batches.sampler) is SequentialSampler
        and not batches.drop_last
    )


def as_list(samples: list[Any]) -> list[Any]:
    """A batch that is the samples as they are."""
    return samples


def stacked(samples: list[Any]) -> Any:
    """The samples as torch stacks them by default, or a ValueError that says what else to do."""
    try:
        first = samples[0]
        if isinstance(first, Mapping) and isinstance(first.get("input_ids"), list):
            raise TypeError("input_ids are lists")  # torch would make them (T, B)
        return default_collate(samples)
    except (TypeError, ValueError, RuntimeError, KeyError) as error:
        raise ValueError(
            "dataset: expected samples that can be stacked to a batch (tensors of one shape, or "
            f"tuples and dicts of them), got others ({error!s:.200}); give collate_fn, a function "
            "that makes a batch of a list of samples, or tokenizer, which pads token ids"
        ) from error


def loaded(
    loader: DataLoader[Any],
    batches: Iterable[Sequence[int]] | Iterable[Indices],
    workers: int | None = None,
    collate: Collate | None = None,
) -> DataLoader[Any]:
    """A loader with the settings of `loader` that yields these batches of rows, with at most so
    many workers; and with another way to make them of samples where `collate` says one."""
    most = loader.num_workers if workers is None else min(workers, loader.num_workers)
    return DataLoader(
        loader.dataset,
        batch_sampler=([int(row) for row in rows] for rows in batches),
        collate_fn=collate or loader.collate_fn,
        num_workers=most,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        prefetch_factor=loader.prefetch_factor,
        generator=torch.Generator(),  # its own, so that torch's global one does not advance
    )


@dataclass(frozen=True)
class Read:
    """What was read of a data set before anything is sketched."""

    first: Any  # the first batch
    fields: dict[str, str]  # of the fingerprint: its first and last sample, and some between


def read_ends(loader: DataLoader[Any], rows: Sequence[int], between: bool = False) -> Read:
    """Read these rows as a batch, and the first and the last row alone, more than once, as
    the loader reads; and where `between`, evenly spaced rows once. The batches are read one after
    the other, by one process, so that whatever is random goes on from one to the next.

    Raises TypeError or ValueError for samples that are not the same each time, or depend on the
    others of their batch.
    """
    samples: Any = loader.dataset
    last = len(samples) - 1
    few = (len(rows) // 2) | 1  # odd: a sample and its neighbour part
    times = 2 if len(rows) >= MANY else READS
    whole, part = tuple(rows), tuple(rows[:few])
    batches: list[tuple[int, ...]] = [(0,), (0,), (last,), (last,)]
    batches += [*[whole] * times, *[part] * (few < len(rows))]
    places = range(1, SPREAD + 1) if between else ()
    spread = sorted({round(i * last / (SPREAD + 1)) for i in places})
    batches += [(row,) for row in spread]
    found: dict[tuple[int, ...], tuple[Any, str]] = {}
    for row_numbers, batch in zip(batches, loaded(loader, batches, workers=1), strict=True):
        try:
            now = digest(batch)
        except TypeError as error:
            raise TypeError(f"dataset: {error}") from error
        _, before = found.setdefault(row_numbers, (batch, now))
        if now != before:
            raise ValueError(
                "dataset: expected samples that read the same each time, got another "
                f"{_named(row_numbers)} when read again; switch random augmentation off"
            )
    first = found[whole][0]
    if few < len(rows) and not all(_equal_starts(first, found[part][0], len(rows), few)):
        raise ValueError(
            f"dataset: expected samples that read the same in any batch, got others in "
            f"a batch of {len(rows)} than in one of the first {few}: collate_fn "
            "mixes samples (CutMix, MixUp) or changes their order, so that a row would not be the "
            "gradient of its sample"
        )
    fields = {
        "dataset_first_sample": found[(0,)][1],
        "dataset_last_sample": found[(last,)][1],
    }
    if between:
        fields["dataset_samples"] = digest([found[(row,)][1] for row in spread])
    return Read(first, fields)


def _named(rows: Sequence[int]) -> str:
    return f"row {rows[0]}" if len(rows) == 1 else f"batch of rows {rows[0]} to {rows[-1]}"


def _equal_starts(whole: Any, part: Any, size: int, few: int) -> Iterator[bool]:
    """For each part of a batch that has an entry for each sample: whether those of the first few
    samples are what they are in a batch of their own. Where samples are padded to another length
    they cannot be compared, and are left out."""
    if isinstance(whole, Mapping) and isinstance(part, Mapping):
        for name in whole.keys() & part.keys():
            yield from _equal_starts(whole[name], part[name], size, few)
    elif isinstance(whole, (torch.Tensor, np.ndarray)) and type(whole) is type(part):
        of_samples = whole.ndim > 0 and len(whole) == size and len(part) == few
        if of_samples and whole.shape[1:] == part.shape[1:] and whole.dtype == part.dtype:
            yield digest(whole[:few]) == digest(part)
    elif isinstance(whole, (list, tuple)) and isinstance(part, (list, tuple)):
        if len(whole) == size and len(part) == few:
            yield digest(whole[:few]) == digest(part)
        elif len(whole) == len(part):
            for a, b in zip(whole, part, strict=True):
                yield from _equal_starts(a, b, size, few)
