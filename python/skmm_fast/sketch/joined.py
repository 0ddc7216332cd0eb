"""Several memory maps as one array: pages of their files side by side, only borders copied.

The system can put pages of files anywhere in the memory of a process. Where the rows of a file
begin at the same place in a page as they do in the array, its whole pages become pages of the
array. Pages that two files share, and files that begin elsewhere, are copied to memory.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._support.files import open_regular
from .._support.types import Array

Mapped = np.memmap[Any, np.dtype[Any]]
PAGE = mmap.PAGESIZE
MAP_FIXED = 0x10  # at this very address; the same on Linux and macOS

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long
]  # fmt: skip
FAILED = ctypes.c_void_p(-1).value


def joined(shards: Sequence[Mapped]) -> Mapped:
    """The rows of read-only memory maps of equal width and type, one after the other, read-only.

    Raises OSError where the system has no room for so many maps.
    """
    lead = shards[0].offset % PAGE
    starts = lead + np.cumsum([0, *(shard.nbytes for shard in shards)])
    total = int(starts[-1])
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    space = mmap.mmap(-1, total, flags=flags, prot=mmap.PROT_READ)
    address = np.frombuffer(space, np.uint8).ctypes.data
    filled = 0  # bytes at the front of the space that are pages of files, or copies
    for shard, start in zip(shards, starts.tolist(), strict=False):
        first, last = _whole_pages(shard, start)
        if first < last:
            _copied(address, filled, first, shards, starts)
            _pages_of(shard, address + first, last - first, shard.offset + first - start)
            filled = last
    _copied(address, filled, total, shards, starts)
    shape = (sum(len(shard) for shard in shards), shards[0].shape[1])
    array = np.ndarray.__new__(np.memmap, shape, shards[0].dtype, buffer=space, offset=lead)
    array.mode = "r"  # so that passes over rows read ahead, and give pages back (`memmap`)
    return array


def _whole_pages(shard: Mapped, start: int) -> tuple[int, int]:
    """The first byte, and that behind the last, of the pages of the space that are pages of this
    file, whose rows begin at byte `start`; an empty range where there are none."""
    if (shard.offset - start) % PAGE:
        return 0, 0
    return -(-start // PAGE) * PAGE, (start + shard.nbytes) // PAGE * PAGE


def _pages_of(shard: Mapped, address: int, length: int, offset: int) -> None:
    with open_regular(str(shard.filename)) as file:
        _map(address, length, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), offset)


def _copied(address: int, first: int, last: int, shards: Sequence[Mapped], starts: Array) -> None:
    """Copy bytes [first, last) of the space from the shards; `first` is the start of a page.

    The memory is shared (with nobody), not private: that of a private page is lost where a pass
    over rows gives it back to the system.
    """
    if first >= last:
        return
    prot = mmap.PROT_READ | mmap.PROT_WRITE
    _map(address + first, last - first, prot, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS, -1, 0)
    out = np.ctypeslib.as_array((ctypes.c_uint8 * (last - first)).from_address(address + first))
    k = max(int(np.searchsorted(starts, first, side="right")) - 1, 0)
    while k < len(shards) and starts[k] < last:
        begin, end = max(first, int(starts[k])), min(last, int(starts[k + 1]))
        data = shards[k].reshape(-1).view(np.uint8)
        out[begin - first : end - first] = data[begin - int(starts[k]) : end - int(starts[k])]
        k += 1


def _map(address: int, length: int, prot: int, flags: int, file: int, offset: int) -> None:
    if _libc.mmap(address, length, prot, flags | MAP_FIXED, file, offset) == FAILED:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
