"""Passes over the rows of an array, also of one on disk that is larger than memory."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import numpy as np

from ._validate import Array

BATCH_BYTES = 1 << 28  # of a memory map, held at a time


def row_batches(x: Array) -> Iterator[slice]:
    """Slices of the rows of x (2-d) in order: all at once where x lies in memory.

    A shared memory map (`np.memmap`, modes "r" and "r+") comes in batches of about BATCH_BYTES: the
    next one is read ahead, and the pages of one that is done with leave this process.
    """
    mapped = _mapped(x)
    if mapped is None:
        yield slice(0, len(x))
        return
    rows = max(1, BATCH_BYTES // max(1, abs(x.strides[0])))
    batches = [slice(i, min(i + rows, len(x))) for i in range(0, len(x), rows)]
    for batch, following in zip(batches, [*batches[1:], None], strict=True):
        if following is not None:
            _advise(mapped, x[following], mmap.MADV_WILLNEED)
        yield batch
        _advise(mapped, x[batch], mmap.MADV_DONTNEED)


def _mapped(x: object) -> mmap.mmap | None:
    """The shared file mapping that x is a view of."""
    shared = False
    while isinstance(x, np.ndarray):
        shared = shared or (isinstance(x, np.memmap) and x.mode in ("r", "r+", "w+"))
        x = x.base
    return x if shared and isinstance(x, mmap.mmap) and hasattr(x, "madvise") else None


def _advise(mapped: mmap.mmap, x: Array, advice: int) -> None:
    """About the pages of the rows of x."""
    begin = np.frombuffer(mapped, np.uint8).ctypes.data
    first, last = sorted((x[0].ctypes.data - begin, x[-1].ctypes.data - begin))
    start = first // mmap.PAGESIZE * mmap.PAGESIZE
    mapped.madvise(advice, start, last + x.shape[1] * x.itemsize - start)
