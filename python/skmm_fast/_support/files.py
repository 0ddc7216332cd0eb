"""Files that are either complete or absent, and folders that have one writer at a time."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

_locks: set[int] = set()  # descriptors of the locks that this process holds


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
    raises BlockingIOError.
    """
    held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    _locks.add(held)
    try:
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
