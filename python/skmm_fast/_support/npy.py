"""Arrays in .npy files, read without trust in what the files say of themselves.

A header may ask for more numbers than the file holds, for Python objects, or be no header at all:
each function raises ValueError for that, before anything of such a size is made. The message says
what was found; the caller names the file. Structured arrays and pickled objects are refused.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from .types import Array

MOST_HEADER = 12 + 10_000  # bytes of a header; NumPy reads none whose text is longer than 10 000
MOST_DIMENSIONS = 32  # of an array in all versions of NumPy
MOST_BYTES = 2**63 - 1  # of an array
_PARSERS: dict[tuple[int, int], Callable[[BinaryIO], tuple[Any, bool, np.dtype[Any]]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True)
class Header:
    """What a .npy says of its array, which the file has room for."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool
    offset: int  # of the first entry in the file, in bytes
    nbytes: int  # of all entries

    @property
    def order(self) -> Any:
        return "F" if self.fortran_order else "C"


def header_of(file: BinaryIO, size: int) -> Header:
    """The header at the beginning of a file of `size` bytes."""
    start = io.BytesIO(file.read(MOST_HEADER))
    try:
        version = np.lib.format.read_magic(start)
        shape, fortran_order, dtype = _PARSERS[version](start)
    except Exception as error:  # NumPy reads a header as Python's, which fails in many ways
        said = f"{size} bytes without the header of a .npy ({type(error).__name__})"
        raise ValueError(said) from None
    if dtype.kind in "OV" or dtype.hasobject or not dtype.itemsize:
        raise ValueError(f"entries of type {dtype}")
    if not all(type(k) is int and k >= 0 for k in shape) or len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"shape {shape}")
    if math.prod(max(k, 1) for k in shape) * dtype.itemsize > MOST_BYTES:
        raise ValueError(f"shape {shape}")
    header = Header(shape, dtype, fortran_order, start.tell(), math.prod(shape) * dtype.itemsize)
    if header.offset + header.nbytes > size:
        raise ValueError(f"{size} bytes where {dtype} of shape {shape} takes more")
    return header


def read(content: bytes) -> Array:
    """The array in the content of a .npy. Bytes behind it are not read."""
    header = header_of(io.BytesIO(content), len(content))
    entries = (math.prod(header.shape),)
    flat = np.ndarray(entries, header.dtype, content, header.offset).copy()
    _require_values(flat)
    return flat.reshape(header.shape, order=header.order)


def mapped(file: BinaryIO, header: Header) -> np.memmap[Any, np.dtype[Any]]:
    """The array of a file on disk as a read-only memory map."""
    if not header.nbytes:
        raise ValueError("an array without entries")
    x: np.memmap[Any, np.dtype[Any]]
    x = np.memmap(file, header.dtype, "r", header.offset, header.shape, header.order)
    _require_values(x.reshape(-1, order=header.order))
    return x


def _require_values(x: Array) -> None:
    """Raises ValueError for bytes that stand for no value: of bools other than 0 and 1, of strings
    beyond the last character of Unicode."""
    if x.dtype.kind == "b" and (x.view(np.uint8) > 1).any():
        raise ValueError("bools other than 0 and 1")
    characters = x.view(f"{x.dtype.byteorder}u4") if x.dtype.kind == "U" else np.empty(0)
    if (characters > sys.maxunicode).any():
        raise ValueError("strings of no characters")
