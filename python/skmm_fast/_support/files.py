"""Files that are either complete or absent, folders that have one writer at a time, and reading of
regular files alone."""

from __future__ import annotations

import fcntl
import os
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

NOT_FILES = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

_locks: set[int] = set()  # descriptors of the locks that this process holds


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
    synced. After an error the temporary file is removed; an OSError without a path gets this one.
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
        if isinstance(error, OSError) and error.errno and not error.filename:  # a full disk, say
            error.filename = str(path)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def only_writer(lock: Path) -> Iterator[None]:
    """A context that holds a lock on the file `lock`, which is made and stays.

    The lock ends with the process, however that ends. If another process or thread holds it, this
    raises BlockingIOError. Something else than a regular file at `lock` is a ValueError.
    """
    with suppress(FileNotFoundError):
        _require_regular(lock, os.stat(lock))
    held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    _locks.add(held)
    try:
        _require_regular(lock, os.fstat(held))
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(
                error.errno, "another process or thread is writing here", str(lock.parent)
            ) from None
        yield
    finally:
        if held in _locks:
            _locks.remove(held)
            os.close(held)


def _release_locks() -> None:
    while _locks:
        os.close(_locks.pop())


# A forked worker may outlive its parent, and must not keep the parent's locks held.
os.register_at_fork(after_in_child=_release_locks)
