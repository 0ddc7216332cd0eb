"""The rows of a matrix that this process holds, and what ranks find out together about all rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import _core
from .cached import cached_property
from .ranks import Ranks
from .types import Array, Floats, Indices

SAME = 1e-6  # the share of the largest number by which another processor may round differently


@dataclass(frozen=True)
class RowsHere:
    """The rows [first, last) of N that this process holds: all, or those of a rank. Without ranks
    the functions give back what they are given."""

    n_rows: int  # N
    ranks: Ranks | None = None

    @property
    def first(self) -> int:
        return self._range[0]

    @property
    def last(self) -> int:
        return self._range[1]

    @property
    def count(self) -> int:
        return self.last - self.first

    @cached_property
    def strips(self) -> _core.Strips:
        """In which the core sums over the rows."""
        return _core.Strips(self.n_rows, self.ranks)

    def of(self, rows: Indices) -> Indices:
        """Those of these rows that are here, counted from the first row here."""
        return rows[(rows >= self.first) & (rows < self.last)] - self.first

    def concatenated(self, x: Array) -> Array:
        """The arrays (k, ...) of all ranks, one after the other; k may differ, and float64 must
        hold the entries."""
        if self.ranks is None:
            return x
        sizes = self.ranks.gather(np.array([len(x)])).astype(np.int64).ravel()
        padded = np.zeros((sizes.max(), *x.shape[1:]))
        padded[: len(x)] = x
        every = self.ranks.gather(padded.ravel()).reshape(len(sizes), *padded.shape)
        parts = [rows[:size] for rows, size in zip(every, sizes, strict=True)]
        return np.concatenate(parts).astype(x.dtype)

    def listed(self, rows: Indices, entries: Array) -> Array:
        """(n, ...) The entries of these rows, whose numbers are those of all, from the entries
        (k, ...) of those that are here."""
        ours = (rows >= self.first) & (rows < self.last)
        place = self.concatenated(np.flatnonzero(ours))
        found = self.concatenated(entries)
        ordered = np.empty_like(found)
        ordered[place] = found
        return ordered

    def summed(self, x: Floats) -> Floats:
        """The sum over the ranks, in their order: for whole numbers, and where the last bits decide
        nothing."""
        if self.ranks is None:
            return x
        total: Floats = self.ranks.gather(x.ravel()).sum(axis=0).reshape(x.shape)
        return total

    def largest(self, x: float) -> float:
        """The largest of the numbers of the ranks."""
        return x if self.ranks is None else float(self.ranks.gather(np.array([x])).max())

    def before(self, counts: Floats) -> Floats:
        """What the ranks before this one count."""
        if self.ranks is None:
            return np.zeros_like(counts)
        every = self.ranks.gather(counts.ravel())
        before: Floats = every[: self.ranks.rank].sum(axis=0).reshape(counts.shape)
        return before

    def nth_largest(self, sets: list[tuple[Floats, int]]) -> Floats:
        """For each pair (x, n) the n-th largest of the numbers x of all ranks. Between ranks, each
        exchange of counts finds eight bits of the results."""
        if self.ranks is None:
            return np.array([np.partition(x, len(x) - n)[len(x) - n] for x, n in sets])
        orders = [np.sort(_ordered_bits(x)) for x, _ in sets]
        wanted = np.array([n for _, n in sets])
        low = np.zeros(len(sets), np.uint64)  # of the result, as far as it is known
        for shift in range(56, -8, -8):
            tried = low[:, None] + (np.arange(256, dtype=np.uint64) << np.uint64(shift))
            pairs = zip(orders, tried, strict=True)
            above = [len(x) - np.searchsorted(x, at, "left") for x, at in pairs]
            counts = self.summed(np.array(above, np.float64))
            enough = (counts >= wanted[:, None]).sum(axis=1) - 1  # the first always has enough
            low = tried[np.arange(len(sets)), enough]
        return _float_of_bits(low)

    def agreed(self, x: Floats) -> Floats:
        """What rank 0 has. Another BLAS or processor may round differently, and ranks that decide
        by their own numbers would part ways."""
        return x if self.ranks is None else self.ranks.of_first(x)

    def same(self, name: str, x: Floats) -> Floats:
        """What rank 0 has, of numbers that every rank made of the argument of this name. Raises
        ValueError where they differ by more than rounding."""
        if self.ranks is None:
            return x
        first, *others = every = self.ranks.gather(x.ravel())
        largest = np.abs(every).max(initial=0.0)
        for rank, other in enumerate(others, 1):
            if np.abs(other - first).max(initial=0.0) > SAME * largest:
                raise ValueError(
                    f"{name}: expected the same on all ranks, got another on rank {rank} than on "
                    "rank 0"
                )
        agreed: Floats = first.reshape(x.shape)
        return agreed

    @cached_property
    def _range(self) -> tuple[int, int]:
        if self.ranks is None:
            return 0, self.n_rows
        return _core.rows_of_rank(self.n_rows, self.ranks.size, self.ranks.rank)


def _ordered_bits(x: Floats) -> npt.NDArray[np.uint64]:
    """Integers in the order of the float64 numbers x."""
    bits = (np.ascontiguousarray(x, np.float64) + 0.0).view(np.uint64)  # + 0.0: no -0.0
    negative = bits >> np.uint64(63) == 1
    return np.where(negative, ~bits, bits | np.uint64(1 << 63))


def _float_of_bits(order: npt.NDArray[np.uint64]) -> Floats:
    """The numbers to which `_ordered_bits` gives these integers."""
    positive = order >> np.uint64(63) == 1
    bits: npt.NDArray[np.uint64] = np.where(positive, order & np.uint64((1 << 63) - 1), ~order)
    return bits.view(np.float64)
