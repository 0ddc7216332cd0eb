"""Files that are none, and damage to files: what a reader may meet on a disk."""

import os
import signal
import socket
from contextlib import contextmanager
from pathlib import Path


def fifo(path):
    os.mkfifo(path)


def directory(path):
    path.mkdir()


def unix_socket(path):
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(path.parent)  # the path of a socket has at most 107 bytes
        try:
            listener.bind(path.name)
        finally:
            os.chdir(here)


def device(path):
    path.symlink_to("/dev/zero")


NOT_FILES = {"a FIFO": fifo, "a directory": directory, "a socket": unix_socket, "a device": device}


@contextmanager
def at_most(seconds):
    """A context that fails where it waits longer: for the writer of a FIFO, say."""

    def stop(*_):
        raise AssertionError(f"not done in {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
