"""Passes over the entries of an array, also of one on disk that is larger than memory."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise

import numpy as np

from .._support.types import Array

BATCH_BYTES = 1 << 28  # of a memory map, held at a time
BATCH_ROWS = 64  # in a batch at least, before it takes less than whole rows: they share tables
BATCH_COLS = 1 << 15  # where batches part, offset + column divides by this: sums keep their order


def batches(x: Array, offset: int = 0) -> Iterator[tuple[slice, slice]]:
    """(rows, columns) of x (2-d) in order, rows outside; all at once where x lies in memory.

    A shared memory map (`np.memmap`, modes "r" and "r+") comes in batches of about BATCH_BYTES: the
    next one is read ahead, and the pages of one that is done with leave this process.
    """
    n, cols = x.shape
    mapped = _mapped(x)
    if mapped is None:
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
            _advise(mapped, x[following], mmap.MADV_WILLNEED)
        yield part
        _advise(mapped, x[part], mmap.MADV_DONTNEED)


def is_mapped(x: object) -> bool:
    """Whether x is a view of a shared memory map."""
    return _mapped(x) is not None


def _mapped(x: object) -> mmap.mmap | None:
    """The shared file mapping that x is a view of."""
    shared = False
    while isinstance(x, np.ndarray):
        shared = shared or (isinstance(x, np.memmap) and x.mode in ("r", "r+", "w+"))
        x = x.base
    return x if shared and isinstance(x, mmap.mmap) and hasattr(x, "madvise") else None


def _advise(mapped: mmap.mmap, x: Array, advice: int) -> None:
    """About the pages of x, row by row. Advice only: locked pages, for one, refuse to leave."""
    begin = np.frombuffer(mapped, np.uint8).ctypes.data
    length = x.shape[1] * x.itemsize
    for i in range(len(x)):
        first = x.ctypes.data + i * x.strides[0] - begin
        start = first // mmap.PAGESIZE * mmap.PAGESIZE
        with suppress(OSError):
            mapped.madvise(advice, start, first + length - start)
