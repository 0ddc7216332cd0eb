"""Rows that `exclude` names and that cannot be read: no part of the pool.

A row is such if it is excluded and its gradient, its predictions or its label are not there: NaN or
Inf, or a missing label. The selection is that of the pool without these rows.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._selection import Selection
from ._support import arrays, tensors
from ._support.float16_rows import Float16Rows
from ._support.scratch import room
from ._support.side_by_side import SideBySide
from ._support.types import Array, Indices
from .methods import labels
from .sketch.memmap import is_mapped
from .sketch.store import SketchStore

PER_ROW = ("probs", "logits")  # options of methods that have a row for each sample


@dataclass(frozen=True)
class Usable:
    """The rows of a pool that can be read."""

    rows: Indices  # ascending
    n_rows: int  # N, with the others

    @classmethod
    def of(
        cls, A: Any, y: Any, include: Any, exclude: Any, options: Mapping[str, Any]
    ) -> Usable | None:
        """None where all rows of `exclude` can be read, or where one of them must be chosen.

        Raises ValueError for other rows that cannot be read.
        """
        N = A.shape[0]
        excluded = arrays.rows("exclude", exclude, N)
        if not len(excluded) or np.isin(arrays.rows("include", include, N), excluded).any():
            return None
        lost = np.zeros(N, np.bool_)
        per_row = {"X": A, **{name: options.get(name) for name in PER_ROW}}
        per_row = {
            k: x for k, x in per_row.items() if getattr(x, "ndim", 0) == 2 and x.shape[0] == N
        }
        for x in per_row.values():
            lost[excluded[~_finite(x, excluded)]] = True
        values = np.empty(0) if y is None else labels.vector(y)
        missing = labels.without_label(y, values) if len(values) == N else np.empty(0, np.int64)
        lost[np.intersect1d(missing, excluded)] = True
        if not lost.any():
            return None
        # These are the numbers of rows that the user knows; the selection has fewer rows.
        rows = np.flatnonzero(~lost)
        labels.require_labels(values, np.setdiff1d(missing, excluded))
        for name in per_row.keys() - {"logits"}:  # logits may be -∞
            finite = np.ones(N, np.bool_)
            finite[rows] = _finite(per_row[name], rows)
            arrays.raise_not_finite(name, finite)
        return cls(rows, N)

    def of_matrix(self, X: Any, scratch_dir: str | os.PathLike[str] | None = None) -> Any:
        """These rows of a matrix or store with a row for each sample, copied; anything else as it
        is. The copy of a memory map goes to a file."""
        if isinstance(X, SketchStore):
            X = X.array()
        if not _has_rows(X, self.n_rows):
            return X
        if isinstance(X, SideBySide):
            return X.with_parts(lambda part: self.of_matrix(part, scratch_dir))
        if isinstance(X, Float16Rows):
            return Float16Rows(self.of_matrix(X.halves, scratch_dir), X.scaled)
        if not isinstance(X, np.ndarray):
            return X[self.rows]
        if scratch_dir is None and is_mapped(X):
            scratch_dir = tempfile.gettempdir()
        out = room((len(self.rows), X.shape[1]), X.dtype, scratch_dir)
        for part in arrays.row_blocks(out):
            out[part] = X[self.rows[part]]
        return out

    def numbers(self, rows: Any, name: str) -> Indices:
        """Row numbers of the pool as numbers among these rows; others are left out."""
        given = arrays.rows(name, rows, self.n_rows)
        return np.searchsorted(self.rows, np.intersect1d(given, self.rows))

    def of_labels(self, y: Any) -> Array | None:
        """The labels of these rows."""
        if y is None:
            return None
        values = labels.vector(y)
        return values[self.rows] if len(values) == self.n_rows else values

    def of_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Options of a method, for these rows."""
        of = dict(options)
        for name in PER_ROW:
            if name in of:
                of[name] = self.of_matrix(of[name])
        if isinstance(of.get("checkpoints"), (list, tuple)):
            of["checkpoints"] = [self.of_matrix(X) for X in of["checkpoints"]]
        record: Any = of.get("record")
        record = record.array() if hasattr(record, "array") else record
        if getattr(record, "ndim", 0) == 2 and record.shape[1] == self.n_rows:
            of["record"] = record[:, self.rows]
        return of

    def of_pilot(self, pilot: Any) -> Any:
        """The pilot as a function of numbers among these rows."""
        if not callable(pilot):
            return pilot
        return self._piloted(pilot)

    def _piloted(self, pilot: Callable[[Indices], Any]) -> Callable[[Indices], Any]:
        def of_usable(rows: Indices) -> Any:
            return self.of_matrix(pilot(self.rows[rows]))

        return of_usable

    def selection(self, among: Selection, settings: Mapping[str, Any]) -> Selection:
        """A selection among these rows as one of the pool, with these settings of the call."""
        said = {**among.settings, "n_samples": self.n_rows, **settings}
        return Selection(
            self.rows[among.indices], among.diagnosis, said, among.picture, among.weights
        )


def _has_rows(X: Any, n_rows: int) -> bool:
    """Whether X is a matrix of so many rows."""
    return getattr(X, "ndim", 0) == 2 and X.shape[0] == n_rows


def _finite(X: Any, rows: Indices) -> Any:
    """(rows,) Whether all entries of each of these rows are finite."""
    if tensors.is_torch(X):
        return X[rows].isfinite().flatten(1).all(1).cpu().numpy()
    if not isinstance(X, (np.ndarray, Float16Rows, SideBySide)):  # CSR
        return arrays.finite_rows(X[rows])
    return np.concatenate([arrays.finite_rows(X[rows[part]]) for part in _parts(X, rows)])


def _parts(X: Any, rows: Indices) -> list[slice]:
    step = max(1, arrays.BLOCK_BYTES // max(1, X.shape[1] * X.dtype.itemsize))
    return [slice(i, i + step) for i in range(0, len(rows), step)]
