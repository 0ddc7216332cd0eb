"""Writers that die at a file operation, as a process does that is killed there."""

import os
import signal
import warnings
from contextlib import contextmanager
from pathlib import Path
from unittest import mock


class Killed(BaseException):
    """The writer is dead."""


class _Half:
    """A file of which the last write, where the writer dies, wrote only the first half."""

    def __init__(self, file, step):
        self._file, self._step = file, step

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def __getattr__(self, name):
        return getattr(self._file, name)

    def write(self, data):
        data = bytes(data)
        try:
            self._step()
        except Killed:
            self._file.write(data[: len(data) // 2])
            raise
        return self._file.write(data)


@contextmanager
def dying(at, die):
    """A context in which the file operation number `at` of a writer, from 0 on, and each later one
    call `die`, which raises Killed or ends the process. Nothing is synced, which takes long."""
    count = 0

    def step():
        nonlocal count
        count += 1
        if count > at:
            die()

    def counted(real):
        def operation(*args, **options):
            step()
            return real(*args, **options)

        return operation

    opened = Path.open

    def halves(path, mode="r", *args, **options):
        if mode != "xb":
            return opened(path, mode, *args, **options)
        step()
        return _Half(opened(path, mode, *args, **options), step)

    with (
        mock.patch.object(os, "fsync", counted(lambda _: None)),
        mock.patch.object(Path, "open", halves),
        mock.patch.object(Path, "replace", counted(Path.replace)),
        mock.patch.object(Path, "unlink", counted(Path.unlink)),
        mock.patch.object(Path, "mkdir", counted(Path.mkdir)),
    ):
        yield


def raising():
    raise Killed


def killed_while(act, at):
    """Do this in a child process that SIGKILL ends at the file operation number `at`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this process has threads
        child = os.fork()
    if child == 0:
        try:
            with dying(at, lambda: os.kill(os.getpid(), signal.SIGKILL)):
                act()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
