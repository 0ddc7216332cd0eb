"""Room for arrays that may be larger than memory."""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import Any

import numpy as np

from .types import Array


def room(shape: tuple[int, int], dtype: Any, folder: str | os.PathLike[str] | None) -> Array:
    """An uninitialised array in memory, or, where a folder is given, in a file there that has no
    name: it vanishes with the array, or with the process however that ends.

    Raises OSError where the folder cannot hold it.
    """
    if folder is None:
        return np.empty(shape, dtype)
    size = shape[0] * shape[1] * np.dtype(dtype).itemsize
    with tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):  # a full disk is an error now, not a signal later
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
        return np.frombuffer(mmap.mmap(file.fileno(), size), dtype).reshape(shape)
