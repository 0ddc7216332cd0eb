"""What `select` asks of a method: how many of which rows, in what manner."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .._support import checks
from .._support.checks import Array, Indices
from ..pool.pool import Pool
from .constraints import Quotas, labels, quotas


@dataclass(frozen=True)
class Request:
    """n of N rows, within constraints. The arguments are those of `select`, checked.

    The pool is made when a method first asks for it: one that lacks something says so before.
    """

    N: int
    n: int
    make_pool: Callable[[], Pool]
    y: Any
    per_class: str | Mapping[Any, int] | None
    include: Any
    exclude: Any
    seed: int
    n_threads: int | None
    progress: bool
    scratch_dir: str | os.PathLike[str] | None
    sketched: Callable[[str, Any], Array]  # (name, rows with the columns of X) -> as those of Z

    @cached_property
    def pool(self) -> Pool:
        return self.make_pool()

    @property
    def threads(self) -> int:
        return checks.threads(self.n_threads)

    @property
    def constraints(self) -> dict[str, Any]:
        return {
            "y": self.y,
            "per_class": self.per_class,
            "include": self.include,
            "exclude": self.exclude,
        }

    @cached_property
    def allowed(self) -> Quotas:
        return quotas(self.N, self.n, **self.constraints)

    @cached_property
    def classes(self) -> Indices | None:
        """(N,) the number of each row's class, where labels were given."""
        return None if self.y is None else labels(self.y, self.N)[1]


# What a method gives: n rows, ascending, and what it says of them. Options come by name.
Method = Callable[..., tuple[Indices, dict[str, Any]]]
