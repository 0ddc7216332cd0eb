"""How many rows of each class a pool has, and how many of them were chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._support import checks
from .._support.json_text import require_names
from .._support.rows_here import RowsHere
from .._support.types import Array, Floats, Indices
from .labels import Labels

MOST_ROWS = 2**63 - 1


@dataclass(frozen=True, eq=False, repr=False)
class ClassCounts:
    """Rows of each of K classes, in the pool and among the rows chosen.

    Attributes
    ----------
    labels : (K,) array
        The classes, ascending.
    pool, chosen : (K,) arrays of int64
        The number of rows of each class in the pool, those of `exclude` among them, and among the
        rows chosen.
    """

    labels: Array
    pool: Indices
    chosen: Indices

    @classmethod
    def of(
        cls, labels: Labels | None, S: Indices, here: RowsHere | None = None
    ) -> ClassCounts | None:
        """The counts for rows S of a pool, with labels of the rows here; None where there are no
        labels, or they are no classes."""
        if labels is None or not labels.are_classes:
            return None
        here = here or RowsHere(len(labels.number))
        of_pool, of_chosen = (
            here.summed(np.bincount(x, minlength=len(labels.values)).astype(np.float64))
            for x in (labels.number, labels.number[here.of(S)])
        )
        return cls(labels.values, of_pool.astype(np.int64), of_chosen.astype(np.int64))

    @property
    def ratios(self) -> Floats:
        """(K,) The share of each class among the rows chosen, divided by its share of the pool."""
        ratios: Floats = (self.chosen / self.chosen.sum()) / (self.pool / self.pool.sum())
        return ratios

    def plain(self) -> dict[str, Any]:
        """The counts as lists, for JSON."""
        return {name: getattr(self, name).tolist() for name in ("labels", "pool", "chosen")}

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> ClassCounts:
        """The counts that `plain` gave. Raises ValueError or TypeError for other values."""
        names = ("labels", "pool", "chosen")
        require_names(values, names)
        for name in names:
            if not isinstance(values[name], list) or len(values[name]) != len(values["labels"]):
                raise TypeError(f"class_counts: expected lists of one length, got {values}")
        if any(isinstance(label, (list, dict)) for label in values["labels"]):
            raise TypeError(f"class_counts: expected labels, got {values['labels']}")
        for of_pool, of_chosen in zip(values["pool"], values["chosen"], strict=True):
            checks.integer("class_counts", of_pool, 1, MOST_ROWS)
            checks.integer("class_counts", of_chosen, 0, of_pool)
        return cls(**{name: np.array(values[name]) for name in names})

    def __str__(self) -> str:
        """One line, however many classes there are."""
        met = self.ratios[self.chosen > 0]
        line = (
            f"{len(self.labels)}, with {met.min():.3g} to {met.max():.3g} x their share of the pool"
        )
        missed = len(self.labels) - len(met)
        return f"{line}; {missed} without a row" if missed else line

    def __repr__(self) -> str:
        return f"ClassCounts({self})"
