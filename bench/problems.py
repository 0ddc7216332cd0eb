"""Problems with a pool that is made already: what the benches time is then the method alone."""

from __future__ import annotations

from typing import Any

from skmm_fast.methods.problem import Problem
from skmm_fast.pool.pool import Pool


def problem_of(
    pool: Pool, n: int, *, y: Any = None, seed: int = 0, n_threads: int | None = None
) -> Problem:
    """Choose n rows of this pool."""
    return Problem.of(
        lambda: pool, len(pool.Z), n, y=y, per_class=None, include=None, exclude=None, seed=seed,
        n_threads=n_threads, progress=False,
    )  # fmt: skip
