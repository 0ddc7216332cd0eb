"""Files that are either complete or absent, and reading of regular files alone."""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

NOT_FILES = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to read its bytes.

    Anything but a regular file is a ValueError and is not opened: reading a FIFO waits for a
    writer, and a device may never end. A file that cannot be opened is an OSError that names it.
    """
    _require_regular(path, os.stat(path))
    return open(path, "rb", opener=_regular_descriptor)


def _regular_descriptor(path: str, flags: int) -> int:
    """Open without waiting, and look again: a FIFO may have taken the place of the file."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    try:
        _require_regular(path, os.fstat(descriptor))
    except ValueError:
        os.close(descriptor)
        raise
    return descriptor


def _require_regular(path: str | os.PathLike[str], found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        what = NOT_FILES.get(stat.S_IFMT(found.st_mode), "something else")
        raise ValueError(f"{path}: expected a regular file, got {what}; put or name a file on disk")


def write_whole(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file so that it is complete as soon as it exists at `path`.

    It is written under a temporary name in the same folder, synced and renamed; then the folder is
    synced. After an error the temporary file is removed; an OSError of this file names it.
    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        # A full disk has no name, a folder that is not there has the temporary one.
        unnamed = isinstance(error, OSError) and str(error.filename) in ("None", str(temporary))
        if isinstance(error, OSError) and error.errno and unnamed:
            error.filename = str(path)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
