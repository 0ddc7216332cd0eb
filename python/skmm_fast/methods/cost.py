"""The cost of a method, predicted from the size of a problem and the speed of a machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """The size of a problem."""

    n_rows: int  # N
    dim: int  # m
    n: int  # rows to choose
    itemsize: int  # bytes of an entry of Z
    scratch: bool  # whether copies of Z go to a file

    @property
    def copy(self) -> int:
        """Bytes of Z."""
        return self.n_rows * self.dim * self.itemsize


@dataclass(frozen=True)
class Speed:
    """What this machine does with rows of m entries."""

    flops: float  # per second, in products of matrices
    bytes: float  # per second, in passes over rows
    row: float  # seconds per row of what NumPy does with a vector of doubles


@dataclass(frozen=True)
class Cost:
    """What a method adds to the spectrum and the diagnosis of every selection."""

    seconds: float = 0.0
    peak_bytes: float = 0.0
    scratch_bytes: int = 0
    route: str = ""  # the route of V-optimal selection, empty for other methods
    bound: bool = False  # whether the bound of the diagnosis is among what it takes


def no_cost(work: Work, speed: Speed) -> Cost:
    """The cost of methods that read Z once, or not at all."""
    return Cost()
