"""How the samples of a shard are put into batches: in order, by their lengths, or as a sampler has
them.

A batch never holds rows of two shards, and what it holds depends on the rows of its shard alone. So
a run that goes on with some of the shards makes the same batches as one that makes them all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, tee
from typing import Any

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader

from .._support import checks
from .._support.types import Indices
from .digests import digest
from .samples import as_list, in_order, loaded

CHUNK = 64  # samples that are read together where their lengths make the batches


class Batching(ABC):
    """A rule that cuts shards into batches."""

    most: int  # samples of a batch, at most

    @property
    def description(self) -> str | None:
        """What the fingerprint says of the rule; None where `most` says all."""
        return None

    @abstractmethod
    def batches(
        self, loader: DataLoader[Any], shards: Iterable[range]
    ) -> Iterator[tuple[Indices, Any]]:
        """The batches of each shard, one shard after the other: their row numbers, and what the
        loader makes of these samples. A shard is asked for when its samples begin to be read."""

    def first(self, loader: DataLoader[Any], shard: range) -> Sequence[int]:
        """Rows of the first shard that make a batch."""
        return shard[: self.most]


@dataclass(frozen=True)
class InOrder(Batching):
    """`most` rows after one another."""

    most: int

    def batches(
        self, loader: DataLoader[Any], shards: Iterable[range]
    ) -> Iterator[tuple[Indices, Any]]:
        rows, again = tee(_pieces(shards, self.most))
        for some, batch in zip(rows, loaded(loader, again), strict=True):
            yield np.arange(some.start, some.stop), batch


class AsSampled(Batching):
    """The rows of a shard in the order and in the batches in which the loader's own sampler has
    them; of a batch that has rows of several shards, each shard has its part.

    Raises ValueError for a sampler whose batches differ from one iteration to the next, or do not
    hold each row once.
    """

    def __init__(self, loader: DataLoader[Any], N: int, name: str = "dataset") -> None:
        with torch.random.fork_rng(devices=[]):  # a sampler may draw from torch's generator
            sampler: Any = loader.batch_sampler
            batches, again = ([list(rows) for rows in sampler] for _ in range(2))
        expected = f"{name}: expected a DataLoader whose batches hold each row once, the same each"
        if batches != again:
            raise ValueError(
                f"{expected} time, got others when asked again; shuffle=False gives them in order"
            )
        order = np.fromiter(chain.from_iterable(batches), np.int64)
        if len(order) != N or (np.sort(order) != np.arange(N)).any():
            raise ValueError(
                f"{expected} time, got {len(order)} rows of {N}, {len(np.unique(order))} of them "
                "different; drop_last=False and a sampler of all rows give them"
            )
        sizes = [len(rows) for rows in batches]
        self.most = max(sizes)
        self._digest = digest([order, np.array(sizes)])
        self._place = np.argsort(order, kind="stable")  # of each row in the sampler's order
        self._batch = np.repeat(np.arange(len(sizes)), sizes)[self._place]  # of each row

    @property
    def description(self) -> str:
        return f"as a sampler has them: {self._digest}"

    def batches(
        self, loader: DataLoader[Any], shards: Iterable[range]
    ) -> Iterator[tuple[Indices, Any]]:
        rows, again = tee(chain.from_iterable(map(self._cut, shards)))
        yield from zip(rows, loaded(loader, again), strict=True)

    def first(self, loader: DataLoader[Any], shard: range) -> Sequence[int]:
        rows: list[int] = self._cut(shard)[0].tolist()
        return rows

    def _cut(self, shard: range) -> list[Indices]:
        rows = shard.start + np.argsort(self._place[shard.start : shard.stop], kind="stable")
        return np.split(rows, np.flatnonzero(np.diff(self._batch[rows])) + 1)


@dataclass(frozen=True)
class ByLength(Batching):
    """At most `most` rows and `tokens` tokens, padding to the longest of a batch included; a longer
    sample is a batch of its own. With `sort` the longest rows of a shard come first, so that
    samples of a batch are of like lengths and what does not fit in memory fails at once.
    """

    most: int
    tokens: int | None
    sort: bool

    @property
    def description(self) -> str:
        order = "longest first" if self.sort else "in order"
        return order if self.tokens is None else f"{order}, of {self.tokens} tokens"

    def batches(
        self, loader: DataLoader[Any], shards: Iterable[range]
    ) -> Iterator[tuple[Indices, Any]]:
        collate: Any = loader.collate_fn
        shards, again = tee(shards)
        read = iter(loaded(loader, _pieces(again, CHUNK), collate=as_list))
        for shard in shards:
            samples: list[Any] = []
            while len(samples) < len(shard):
                samples += next(read)
            for places in self.cut(lengths_of(samples)):
                yield shard.start + places, collate([samples[i] for i in places])

    def first(self, loader: DataLoader[Any], shard: range) -> Sequence[int]:
        (samples,) = loaded(loader, [shard[: min(CHUNK, self.most)]], workers=1, collate=as_list)
        lengths = lengths_of(samples)
        return shard[: len(next(replace(self, sort=False).cut(lengths)))]

    def cut(self, lengths: Indices) -> Iterator[Indices]:
        """The places of samples of these lengths, batch by batch."""
        order = np.argsort(-lengths, kind="stable") if self.sort else np.arange(len(lengths))
        begin, longest = 0, 0
        for end, length in enumerate(lengths[order].tolist()):
            longest = max(longest, length)
            full = self.tokens is not None and (end + 1 - begin) * longest > self.tokens
            if end > begin and (full or end - begin >= self.most):
                yield order[begin:end]
                begin, longest = end, length
        yield order[begin:]


def _pieces(shards: Iterable[range], most: int) -> Iterator[range]:
    """The rows of the shards, so many at a time."""
    return (shard[i : i + most] for shard in shards for i in range(0, len(shard), most))


def lengths_of(samples: Sequence[Any]) -> Indices:
    """(n,) The lengths of samples: of the entry "input_ids", else of the first entry that has one.

    Raises ValueError for samples without lengths, and for texts, whose tokens cannot be counted.
    """
    return np.array([_length_of(sample) for sample in samples], np.int64)


def _length_of(sample: Any) -> int:
    tokens = sample
    if isinstance(sample, Mapping):
        tokens = sample.get("input_ids", next(iter(sample.values()), None))
    elif isinstance(sample, (tuple, list)) and sample and np.ndim(sample[0]):
        tokens = sample[0]
    elif isinstance(sample, tuple):
        tokens = None
    most = 1 if isinstance(sample, Mapping) and "input_ids" in sample else np.inf
    if not 1 <= np.ndim(tokens) <= most:  # texts have no dimension
        raise ValueError(
            "dataset: expected samples of tokens, input_ids (T,) or a first entry (T, ...), with "
            f"token_budget or sort_by_length, got {type(tokens).__name__} of {np.ndim(tokens)} "
            "dimensions"
        )
    if len(tokens) == 0:
        raise ValueError("dataset: expected samples of at least one token, got one without any")
    return len(tokens)


def batching_of(
    loader: DataLoader[Any],
    batch_size: int | None,
    token_budget: int | None,
    sort_by_length: bool | None,
) -> Batching:
    """The rule that arguments of `sketch_dataset` ask for."""
    samples: Any = loader.dataset
    sampler: Any = loader.batch_sampler
    tokens = None if token_budget is None else checks.integer("token_budget", token_budget, 1)
    sort = tokens is not None
    if sort_by_length is not None:
        sort = checks.boolean("sort_by_length", sort_by_length)
    if tokens is not None:
        most = len(samples) if batch_size is None else checks.integer("batch_size", batch_size, 1)
        return ByLength(most, tokens, sort)
    if not in_order(loader):
        if sort:
            raise ValueError(
                "sort_by_length: expected False with a DataLoader that has a sampler of its own, "
                "got True"
            )
        return AsSampled(loader, len(samples))
    assert isinstance(sampler, BatchSampler)
    return ByLength(sampler.batch_size, None, sort) if sort else InOrder(sampler.batch_size)
