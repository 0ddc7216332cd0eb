"""Memory for large intermediate arrays, in RAM or in a file on disk."""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import Any

import numpy as np

from .types import Array


def room(shape: tuple[int, int], dtype: Any, folder: str | os.PathLike[str] | None) -> Array:
    """An uninitialised array, in memory or, if a folder is given, in a file without a name there.

    The file vanishes with the array, or with the process, however that ends.

    Raises OSError where the folder cannot hold it.
    """
    if folder is None or 0 in shape:
        return np.empty(shape, dtype)
    size = shape[0] * shape[1] * np.dtype(dtype).itemsize
    with tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):  # a full disk is then an error here, not a signal later
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
        return np.frombuffer(mmap.mmap(file.fileno(), size), dtype).reshape(shape)
