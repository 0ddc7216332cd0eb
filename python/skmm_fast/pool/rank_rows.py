"""Passes over rows that lie on several ranks, each of which has its own in host memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import _core
from .._support.float16_rows import Float16Rows
from .._support.ranks import Ranks
from .._support.rows_here import RowsHere
from .._support.types import Array, Floats, Indices
from .host_rows import HostRowMatrix


@dataclass(frozen=True)
class RankRowMatrix(HostRowMatrix):
    """A `RowMatrix` (pool/row_matrix.py) of the rows of all ranks, `x` being those here.

    Results with an entry for each row are about the rows here; sums, small matrices and lists of
    rows are the same on every rank. `array` and `gram` take row numbers of the whole matrix; `own`,
    `take`, `times` and `mean` those counted from the first row here. `take` and `times` give a
    matrix of these rows here, `like` one of all ranks' rows.
    """

    here: RowsHere | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return self._rows.n_rows, self.x.shape[1]

    def __len__(self) -> int:
        return self._rows.n_rows

    @property
    def _rows(self) -> RowsHere:
        assert self.here is not None
        return self.here

    @property
    def ranks(self) -> Ranks | None:
        return self._rows.ranks

    def like(self, x: Array | Float16Rows, entry_error: float = 0.0) -> RankRowMatrix:
        return RankRowMatrix(x, entry_error, self.here)

    def array(self, rows: Indices | slice) -> Array:
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        return self._rows.listed(rows, self.x[self._rows.of(rows)])

    def second_moment(
        self, s: Floats | None, threads: int, strips: _core.Strips | None = None
    ) -> Floats:
        return super().second_moment(s, threads, strips or self._rows.strips)

    def column_squares(
        self, s: Floats | None, threads: int, strips: _core.Strips | None = None
    ) -> Floats:
        return super().column_squares(s, threads, strips or self._rows.strips)

    def gram(self, B: Floats, rows: Indices | None = None) -> Floats:
        mine = None if rows is None else self._rows.of(rows)
        return self._rows.summed(HostRowMatrix(self.x).gram(B, mine))

    def mean(self, rows: Indices | None = None) -> Floats:
        count = self._rows.count if rows is None else len(rows)
        total = np.zeros(self.x.shape[1] + 1)
        if count:
            total[:-1], total[-1] = HostRowMatrix(self.x).mean(rows) * count, count
        total = self._rows.summed(total)
        mean: Floats = total[:-1] / total[-1]
        return mean
