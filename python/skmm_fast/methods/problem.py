"""What a method is given, and what it gives back."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from .._support import checks
from .._support.cached import cached_property
from .._support.ranks import Ranks
from .._support.rows_here import RowsHere
from .._support.types import Floats, Indices, PerClass
from ..pool.pool import Pool
from ..pool.row_matrix import row_matrix
from ..sketch.base import Sketch
from .constraints import Constraints, constraints_of
from .labels import Labels, labels_on_ranks
from .relaxation import Relaxation

# (name, rows with the columns of X, how many there must be or None) -> what makes their pool, with
# X's sketch. The rows are checked at once, and sketched when the pool is made.
LikePool = Callable[[str, Any, int | None], Callable[[], Pool]]


@dataclass(frozen=True)
class Problem:
    """Choose rows of a pool, within constraints. Everything in it is checked: methods check no more
    than options of their own.

    The pool is made when it is first asked for, so that a method that lacks an input says so before
    anything is sketched.
    """

    make_pool: Callable[[], Pool]
    constraints: Constraints
    y: Any  # labels as they were given
    labels: Labels | None
    per_class: PerClass | None
    seed: int
    n_threads: int
    progress: bool
    scratch_dir: str | os.PathLike[str] | None
    like_pool: LikePool  # what `select` has; other functions take no rows beside Z
    pilot: Any  # None, "linear", or a function (indices) -> (N, r') gradients
    # (name, *matrices of one width, whatever it is) -> the pools of their rows, sketched alike
    pools_of: Callable[..., list[Pool]]
    make_sketch: Callable[[int], Sketch | None]  # in_dim -> Γ; None where rows are narrow enough
    make_targets: tuple[Callable[[], Pool], ...]  # one for each task, empty without a target
    target_labels: tuple[Labels, ...]  # of the rows of each task, where the pilot is "linear"

    @classmethod
    def of(
        cls,
        make_pool: Callable[[], Pool],
        n_rows: int,
        n: int,
        *,
        y: Any,
        per_class: Any,
        include: Any,
        exclude: Any,
        seed: int,
        n_threads: int | None,
        progress: bool,
        scratch_dir: str | os.PathLike[str] | None = None,
        like_pool: LikePool | None = None,
        targets: Sequence[Callable[[], Pool]] = (),
        target_labels: Sequence[tuple[str, Any, int]] = (),  # (name, labels, number of rows)
        pilot: Any = None,
        pools_of: Callable[..., list[Pool]] | None = None,
        make_sketch: Callable[[int], Sketch | None] = lambda in_dim: None,
        ranks: Ranks | None = None,
    ) -> Problem:
        """The arguments of a public function, checked once.

        Raises TypeError or ValueError naming the argument, what was expected and what came.
        """
        labels = None if y is None else labels_on_ranks(y, RowsHere(n_rows, ranks))
        threads = checks.threads(n_threads)

        def as_given(name: str, *matrices: Any) -> list[Pool]:
            return [Pool.of(rows, name=name, n_threads=threads) for rows in matrices]

        return cls(
            make_pool=make_pool,
            constraints=constraints_of(n_rows, n, labels, per_class, include, exclude, ranks),
            y=y,
            labels=labels,
            per_class=per_class,
            seed=checks.seed(seed),
            n_threads=threads,
            progress=checks.boolean("progress", progress),
            scratch_dir=scratch_dir,
            like_pool=like_pool or _no_other_rows,
            make_targets=tuple(targets),
            pilot=pilot,
            pools_of=pools_of or as_given,
            make_sketch=make_sketch,
            target_labels=tuple(
                labels.of_others(*given) for given in target_labels if labels is not None
            ),
        )

    @classmethod
    def of_matrix(cls, Z: Any, n: int | float, **arguments: Any) -> Problem:
        """Choose from the rows of Z itself; the other arguments are those of `of`."""
        rows = row_matrix("Z", Z)

        def pool() -> Pool:
            return Pool.of_rows(rows, "Z", problem.n_threads)

        problem = cls.of(pool, len(rows), checks.count(n, len(rows)), **arguments)
        return problem

    @cached_property
    def pool(self) -> Pool:
        return self.make_pool()

    @cached_property
    def targets(self) -> tuple[Pool, ...]:
        """The rows of each task to select for, with the columns of the pool; empty without a
        target."""
        return tuple(make() for make in self.make_targets)

    @property
    def n_rows(self) -> int:
        """N."""
        return self.constraints.n_rows

    @property
    def n(self) -> int:
        """Rows of a selection."""
        return self.constraints.n

    def at(self, pool: Pool, targets: Sequence[Pool]) -> Problem:
        """This problem with other rows of its samples, and of those of its target."""
        makers = tuple(partial(_itself, task) for task in targets)
        return replace(self, make_pool=partial(_itself, pool), make_targets=makers)

    def balanced(self) -> Problem:
        """This problem with equally many rows of each class; small classes give all they have."""
        c = self.constraints
        never, N = c.never(), c.n_rows
        counted = constraints_of(N, c.n, self.labels, "balanced", c.include, never)
        return replace(self, constraints=counted)

    def with_class_counts(self, power: float) -> Problem:
        """This problem with counts in proportion to the classes' sizes to this power, at least one
        where these are at most half of n. The problem itself where its labels are no classes, or
        counts are given.
        """
        if self.labels is None or self.per_class is not None or not self.labels.are_classes:
            return self
        self.labels.warn_of_numbers()
        return replace(self, constraints=self.constraints.in_classes(self.labels, power))


def _itself(pool: Pool) -> Pool:
    return pool


def _no_other_rows(name: str, rows: Any, n_rows: int | None) -> Callable[[], Pool]:
    raise NotImplementedError(f"{name}: rows beside Z")


@dataclass(frozen=True)
class Chosen:
    """The result of a method."""

    rows: Indices  # (n,), ascending
    facts: dict[str, Any] = field(default_factory=dict)  # what the method says of its work
    relaxation: Relaxation | None = None  # the problem's, where the method solved it
    weights: Floats | None = None  # (n,) >= 0, of mean 1: how much a training should count each row
    judged: Problem | None = None  # at the pilot, by whose rows it is judged; None: as it was given
