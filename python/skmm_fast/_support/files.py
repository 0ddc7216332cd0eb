"""Files that exist whole or not at all, and folders that have one writer."""

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
    """Write under a temporary name in the same folder, sync, rename, sync the folder.

    An OSError comes out as it is, with a path; what was written is removed.
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
def only_writer(lock: Path, wait: bool = False) -> Iterator[None]:
    """Holds a lock on the file `lock`, which stays; it ends with the process, however that ends.

    Raises BlockingIOError where it is held elsewhere, unless told to wait.
    """
    held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    _locks.add(held)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise BlockingIOError(
                error.errno, "another process or thread is writing here", str(lock.parent)
            ) from None
        yield
    finally:
        if held in _locks:
            _locks.remove(held)
            os.close(held)


def _let_go() -> None:
    while _locks:
        os.close(_locks.pop())


os.register_at_fork(after_in_child=_let_go)  # workers may outlive a process that was killed
