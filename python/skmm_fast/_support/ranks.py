"""Ranks: the processes that hold rows of one matrix, and what they exchange, by torch.distributed.

All ranks make the same calls in the same order. Time-outs are those of the process group.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .. import _core
from .cached import cached_property
from .optional import need
from .types import Array, Floats, Indices

T = TypeVar("T")

PAUSE = 2e-5  # seconds between two looks at an exchange that is under way
ANSWER = 10.0  # seconds within which the store of a process group answers
LOOK = 1.0  # seconds between two looks at whether another rank has failed


class RankError(RuntimeError):
    """Another rank failed, or does not answer."""


@dataclass(frozen=True)
class Ranks:
    """The ranks of the default process group, one of which is this process."""

    size: int
    rank: int
    call: int = 0  # which call of the library in this group
    sent: list[int] = field(default_factory=list)  # bytes that this rank gave to each exchange

    def gather(self, numbers: Floats) -> Floats:
        """(size, count): the numbers (count,) of each rank, all of one count."""
        torch = need("torch", "torch")
        mine = torch.from_numpy(np.ascontiguousarray(numbers, dtype=np.float64)).to(self._device)
        every = mine.new_empty((self.size, len(mine)))
        self.sent.append(8 * len(mine))
        gather = torch.distributed.all_gather
        self._finish(lambda: gather(list(every.unbind()), mine, async_op=True))
        found: Floats = every.cpu().numpy()
        return found

    def of_first(self, array: Floats) -> Floats:
        """The array that rank 0 gives; the others give one of its shape."""
        torch = need("torch", "torch")
        tensor = torch.from_numpy(np.array(array, np.float64)).to(self._device)
        self.sent.append(8 * tensor.numel())
        self._finish(lambda: torch.distributed.broadcast(tensor, 0, async_op=True))
        found: Floats = tensor.cpu().numpy()
        return found

    def objects(self, mine: T) -> list[T]:
        """The small object of each rank."""
        torch = need("torch", "torch")
        pickled = np.frombuffer(pickle.dumps(mine), np.uint8)
        sizes = self.gather(np.array([len(pickled)])).astype(np.int64).ravel()
        padded = torch.zeros(int(sizes.max()), dtype=torch.uint8)
        padded[: len(pickled)] = torch.from_numpy(pickled.copy())
        padded = padded.to(self._device)
        every = padded.new_empty((self.size, len(padded)))
        self.sent.append(len(padded))
        gather = torch.distributed.all_gather
        self._finish(lambda: gather(list(every.unbind()), padded, async_op=True))
        return [
            pickle.loads(row.tobytes()[:size])
            for row, size in zip(every.cpu().numpy(), sizes, strict=True)
        ]

    @contextmanager
    def together(self) -> Iterator[None]:
        """Where one rank raises in this context, the others raise RankError with its message, at
        their next exchange, instead of waiting for it."""
        try:
            yield
        except RankError:
            raise
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
            try:
                self._ask(lambda s: s.set(self._key("failed"), f"rank {self.rank}: {said}"))
                time.sleep(2 * LOOK)  # the store may be a part of this process: let others read
            except RuntimeError:
                pass  # the store has gone; the error itself is what counts
            raise

    def _finish(self, begin: Callable[[], Any]) -> None:
        """Make an exchange. Raises RankError where it cannot be."""
        try:
            work, look = begin(), time.monotonic() + LOOK
            while not work.is_completed():
                if time.monotonic() > look:
                    self._raise_failure()
                    look = time.monotonic() + LOOK
                time.sleep(PAUSE)
            work.wait()
        except RankError:
            raise
        except RuntimeError as error:
            self._raise_failure()
            raise RankError(
                f"rank {self.rank} of {self.size}: exchange {len(self.sent)} with the other ranks "
                f"failed ({self._behind()}): {error!s:.300}"
            ) from None

    def _raise_failure(self) -> None:
        """Raises RankError where another rank has said that it failed."""
        key = self._key("failed")
        try:
            said = self._ask(lambda s: s.get(key).decode() if s.check([key]) else None)
        except RuntimeError:
            raise RankError(
                f"rank {self.rank} of {self.size}: the process group's store does not answer: the "
                "process that holds it, rank 0 or torchrun, has ended or cannot be reached"
            ) from None
        if said is not None:
            raise RankError(f"another rank failed; {said}")

    def _behind(self) -> str:
        """Which ranks have not come to this exchange, as far as that is known."""
        try:
            self._ask(lambda s: s.set(self._key(f"at-{self.rank}"), str(len(self.sent))))
            time.sleep(2 * LOOK)
            keys = [self._key(f"at-{rank}") for rank in range(self.size)]
            at = self._ask(lambda s: [int(s.get(k)) if s.check([k]) else 0 for k in keys])
            late = [str(rank) for rank, step in enumerate(at) if step < len(self.sent)]
        except RuntimeError:
            return "the process group's store does not answer either"
        if not late:
            return "all ranks came to it"
        return f"not there: rank {', '.join(late)}; all ranks must make the call"

    def _key(self, name: str) -> str:
        return f"skmm_fast/{self.call}/{name}"

    def _ask(self, question: Callable[[Any], T]) -> T:
        """The answer of the store of the process group to question(store). Raises RuntimeError
        where there is none in ANSWER seconds: some calls of a store wait for ever."""
        store = need("torch.distributed.distributed_c10d", "torch")._get_default_store()
        answers: list[T] = []

        def ask() -> None:
            with suppress(RuntimeError):
                answers.append(question(store))

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(ANSWER)
        if not answers:
            raise RuntimeError("no answer")
        return answers[0]

    @cached_property
    def _device(self) -> str:
        """Where the tensors of a group must be: NCCL sends those of devices alone."""
        backend = need("torch", "torch").distributed.get_backend()
        return "cuda" if backend == "nccl" else "cpu"


_calls = 0  # for which ranks were asked, in this process


def ranks_of_group() -> Ranks | None:
    """Those of the default process group; None where there is none, or one of a single process."""
    global _calls
    torch = sys.modules.get("torch")  # without torch there is no group
    if torch is None or not torch.distributed.is_available():
        return None
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        return None
    _calls += 1
    return Ranks(torch.distributed.get_world_size(), torch.distributed.get_rank(), _calls)


def require_same(ranks: Ranks, arguments: dict[str, Any], but: tuple[str, ...]) -> None:
    """Raises ValueError naming the argument where ranks were given different ones, but those that
    may differ. Arrays are held against each other by their bytes."""
    mine = {name: _digest(value) for name, value in arguments.items() if name not in but}
    first, *others = ranks.objects(mine)
    for rank, other in enumerate(others, 1):
        for name in sorted(first.keys() | other.keys()):
            if other.get(name) != first.get(name):
                raise ValueError(
                    f"{name}: expected the same on all ranks, got another on rank {rank} than on "
                    "rank 0"
                )


def _digest(value: Any) -> str:
    if callable(value):
        return "a function"
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    try:
        array = np.asarray(value)
        data = repr(array.tolist()).encode() if array.dtype == object else array.tobytes()
    except (TypeError, ValueError):
        data = repr(value).encode()
    return hashlib.sha256(data).hexdigest()


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
