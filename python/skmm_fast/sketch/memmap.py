"""Passes over the entries of an array, including a memory map that is larger than memory."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise

import numpy as np

from .._support.float16_rows import Float16Rows
from .._support.side_by_side import SideBySide
from .._support.types import Array

BATCH_BYTES = 1 << 28  # bytes of a memory map in a batch, about
# Long rows are cut before a batch has fewer rows than this: the rows of a batch share tables of Γ.
BATCH_ROWS = 64
# Rows are cut where offset + column is a multiple of this, so that sums keep their order.
BATCH_COLS = 1 << 15


def batches(x: Array, offset: int = 0) -> Iterator[tuple[slice, slice]]:
    """Slices (rows, columns) that cover the matrix x: all columns of some rows, then the next rows.

    An array in memory is one batch. A shared memory map (`np.memmap` of mode "r", "r+" or "w+") is
    cut into batches of about BATCH_BYTES: while one is in use the next is read ahead, and after its
    use its pages leave the process. `offset` is the row of Γ that belongs to the first column of x.
    """
    n, cols = x.shape
    mapping = _shared_mapping(x)
    if mapping is None:
        yield slice(0, n), slice(0, cols)
        return
    rows = min(n, max(BATCH_BYTES // (cols * x.itemsize), BATCH_ROWS))
    step = max(BATCH_BYTES // (rows * x.itemsize) // BATCH_COLS, 1) * BATCH_COLS
    edges = [0, *range(step - offset % BATCH_COLS, cols, step), cols]
    parts = [
        (slice(i, min(i + rows, n)), slice(*between))
        for i in range(0, n, rows)
        for between in pairwise(edges)
    ]
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        if following is not None:
            _advise(mapping, x[following], mmap.MADV_WILLNEED)
        yield part
        _advise(mapping, x[part], mmap.MADV_DONTNEED)


def is_mapped(x: object) -> bool:
    """Whether x is a view of a shared memory map, or `Float16Rows` or `SideBySide` of one."""
    if isinstance(x, SideBySide):
        return any(is_mapped(part) for part in x.parts)
    return _shared_mapping(x.halves if isinstance(x, Float16Rows) else x) is not None


def _shared_mapping(x: object) -> mmap.mmap | None:
    """The shared file mapping that x is a view of; None where x is none.

    A private map (mode "c") does not count: it would lose its changes with its pages.
    """
    shared = False
    while isinstance(x, np.ndarray):
        shared = shared or (isinstance(x, np.memmap) and x.mode in ("r", "r+", "w+"))
        x = x.base
    return x if shared and isinstance(x, mmap.mmap) and hasattr(x, "madvise") else None


def _advise(mapping: mmap.mmap, x: Array, advice: int) -> None:
    """Give the system advice about the pages of x, row by row.

    An error is ignored, since the advice need not be followed: locked pages, for example, cannot
    leave the process.
    """
    begin = np.frombuffer(mapping, np.uint8).ctypes.data
    length = x.shape[1] * x.itemsize
    for i in range(len(x)):
        first = x.ctypes.data + i * x.strides[0] - begin
        start = first // mmap.PAGESIZE * mmap.PAGESIZE
        with suppress(OSError):
            mapping.madvise(advice, start, first + length - start)
