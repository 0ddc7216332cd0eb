"""The file of a shard: a .npy that any reader of these can read, and behind it a checksum.

The checksum is the CRC-32 of the rows, begun with that of the shard's identity (the manifest of its
store, and its number), so that a file in the place of another is found too.
"""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .._support import npy
from .._support.files import open_regular
from .._support.types import Array

CHECKSUM = "crc32"  # what the manifest of a store says of its shards' checksums
FOOTER = len(b"crc32 00000000\n")
CHUNK = 1 << 24  # bytes that are read at a time
# Rows begin in the file where they begin in the pages of the joined array (`joined`), so that whole
# pages of the file can be pages of the array.
PAGE = 4096


def write_shard(file: BinaryIO, Z: Array, first_byte: int, identity: str | None) -> None:
    """Write C-contiguous rows. `first_byte` is the number of bytes of the rows before them in the
    store. Without an identity no checksum is written."""
    header = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(Z.dtype)
    np.lib.format.write_array_header_1_0(
        header, {"descr": descr, "fortran_order": False, "shape": Z.shape}
    )
    magic, text = header.getvalue()[:8], header.getvalue()[10:]
    text = text[:-1].ljust(len(text) - 1 + first_byte % PAGE) + b"\n"
    file.write(magic + len(text).to_bytes(2, "little") + text)
    file.write(Z.data)
    if identity is not None:
        file.write(_footer(Z, identity))


def mapped(
    path: Path, shape: tuple[int, int], dtype: np.dtype[Any], footer: bool
) -> np.memmap[Any, np.dtype[Any]]:
    """The rows in the file of a shard as a read-only memory map.

    Raises ValueError if the file does not have exactly this shape, type and size, or a footer where
    it should have none.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            header = npy.header_of(file, size)
            if (header.shape, header.dtype, header.fortran_order) != (shape, dtype, False):
                raise ValueError(f"{header.dtype} of shape {header.shape} in order {header.order}")
            surplus = size - header.offset - header.nbytes - footer * FOOTER
            if surplus > 0:
                raise ValueError(f"{surplus} bytes beyond its end")
            if surplus < 0:
                raise ValueError(f"{size} bytes (its checksum is missing)")
        except ValueError as error:
            raise ValueError(
                f"{path}: expected {dtype} of shape {shape} in a whole .npy file, got {error}; "
                "delete this file, and sketching again makes it anew"
            ) from None
        return npy.mapped(file, header)


def is_as_written(rows: np.memmap[Any, np.dtype[Any]], identity: str) -> bool:
    """Whether the rows of a `mapped` file with a footer are those that were written there."""
    with open_regular(str(rows.filename)) as file:
        file.seek(rows.offset + rows.nbytes)
        return file.read(FOOTER + 1) == _footer(rows, identity)


def _footer(Z: Array, identity: str) -> bytes:
    checksum, data = zlib.crc32(identity.encode()), Z.data.cast("B")
    for i in range(0, len(data), CHUNK):
        checksum = zlib.crc32(data[i : i + CHUNK], checksum)
    return b"crc32 %08x\n" % checksum
