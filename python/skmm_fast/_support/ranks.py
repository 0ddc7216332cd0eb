"""Ranks: processes that make the same calls, and what they exchange, by torch.distributed.

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

from .cached import cached_property
from .optional import need
from .types import Floats

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
