"""Claims: which writer makes which file of a folder that several write.

A claim of the file `name` is a file `name.claim` beside it. It is made exclusively and whole, says
who made it, and is touched every few seconds as long as its writer lives. A claim is stale if its
writer was a process of this machine and is gone, or if nobody touched it for some minutes; then the
next writer takes it over. Nothing is locked, so that any file system will do.

A writer that slept for minutes may lose a claim and not know it. So a claim saves work twice done,
and is not what keeps files whole: files are made under other names and renamed, and two writers of
one file write the same bytes.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from .files import open_regular

SUFFIX = ".claim"
BEAT = 15.0  # seconds between two touches
STALE = 240.0  # seconds without a touch after which a claim is stale
MOST_BYTES = 1000  # of a claim

# The host, its boot, the namespace of its process ids, the start and the id of a process.
Said = tuple[str, str, str, str, str]

_held_here: set[Path] = set()  # the claims that writers of this process hold


class Claims:
    """The claims of one writer in a folder. As a context it keeps them fresh, and ends them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held: set[str] = set()
        self._ended = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Claims:
        self._beating.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._beating.join()
        _held_here.difference_update(map(self._path, self._held))
        for name in list(self._held):
            self.release(name)

    def take(self, name: str) -> bool:
        """Whether the file is now this writer's to make."""
        if not self._made(name):
            said = self._read(self._path(name))
            if said is None or not self._is_stale(name, said) or not self._taken_over(name, said):
                return False
        self._held.add(name)
        _held_here.add(self._path(name))
        return True

    def release(self, name: str) -> None:
        """End a claim."""
        self._held.discard(name)
        _held_here.discard(self._path(name))
        self._path(name).unlink(missing_ok=True)

    def clean(self, is_made: Callable[[str], bool]) -> None:
        """Remove what stopped writers left of files that nobody makes any more: unfinished files,
        and claims."""
        for file in self.folder.iterdir():
            if is_made(name_of_leftover(file.name)) and file.is_file():
                file.unlink(missing_ok=True)

    def writer(self, name: str) -> str | None:
        """Who has claimed this file, as "process 17 on node"; None if nobody has."""
        said = self._read(self._path(name))
        return None if said is None else f"process {said[-1]} on {said[0]}"

    def is_stale(self, name: str) -> bool:
        """Whether the writer that claimed this file is gone; not where nobody has claimed it."""
        said = self._read(self._path(name))
        return said is not None and self._is_stale(name, said)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"

    def _is_stale(self, name: str, said: Said) -> bool:
        """Whether the writer is gone that said this in its claim."""
        host, machine, pids, started, pid = said
        if started and (host, machine, pids) == _here():
            if pid == str(os.getpid()) and self._path(name) not in _held_here:
                return True
            if started != _start_of(pid):
                return True
        try:
            touched = self._path(name).stat().st_mtime
        except FileNotFoundError:
            return False
        return self._now(name) - touched > STALE

    def _made(self, name: str) -> bool:
        """Whether the claim was made, because there was none."""
        claim, away = self._path(name), self.folder / f"{name}.{uuid.uuid4().hex}.tmp"
        if claim.exists():
            return False
        pid = str(os.getpid())
        said = "\n".join([*_here(), _start_of(pid), pid])
        try:
            with open(away, "x") as file:
                file.write(said)
            try:
                os.link(away, claim)  # whole, or not at all
            except FileExistsError:
                return False
            except OSError:  # a file system without links: it says nothing for a moment
                with open(claim, "x") as file:
                    file.write(said)
        except FileExistsError:
            return False
        except OSError as error:  # a full disk, say
            raise OSError(error.errno, error.strerror, str(claim)) from None
        finally:
            away.unlink(missing_ok=True)
        return True

    def _taken_over(self, name: str, said: Said) -> bool:
        """Whether the stale claim that says this is gone, and one of this writer is in its place.
        Of several that try one renames it; who renames that one's new claim puts it back."""
        away = self.folder / f"{name}.{uuid.uuid4().hex}.tmp"
        try:
            self._path(name).rename(away)
            if self._read(away) != said:
                with suppress(OSError):  # a third has claimed it meanwhile, or there are no links
                    os.link(away, self._path(name))
                return False
        except FileNotFoundError:
            return False
        finally:
            away.unlink(missing_ok=True)
        return self._made(name)

    def _read(self, claim: Path) -> Said | None:
        """What a claim says. Of one that is being written, or is something else, all but the last
        are empty."""
        try:
            with open_regular(claim) as file:
                said = file.read(MOST_BYTES).decode(errors="replace").split("\n")
        except FileNotFoundError:
            return None
        if len(said) != 5:
            return "", "", "", "", "?"
        return said[0], said[1], said[2], said[3], said[4]

    def _now(self, name: str) -> float:
        """The time on the clock that touches the claims: that of the file system, or this machine's
        where nothing can be written."""
        probe = self.folder / f"{name}.{uuid.uuid4().hex}.tmp"
        try:
            with probe.open("xb") as file:
                now = os.fstat(file.fileno()).st_mtime
            probe.unlink(missing_ok=True)
        except OSError:
            return time.time()
        return now

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            for name in list(self._held):
                with suppress(OSError):  # one that was taken over, or a file system that is away
                    os.utime(self._path(name))


def name_of_leftover(name: str) -> str:
    """The name of the file that an unfinished file, or a claim, is of; "" for other files."""
    if name.endswith(".tmp"):
        return name.rsplit(".", 2)[0]
    return name.removesuffix(SUFFIX) if name.endswith(SUFFIX) else ""


def _here() -> tuple[str, str, str]:
    """The name of this host, the id of its last boot, and of the namespace of its processes' ids:
    where all are those of a claim, its process can be looked for."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    namespace = ""
    with suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")
    return socket.gethostname(), boot.read_text().strip() if boot.exists() else "", namespace


def _start_of(pid: str) -> str:
    """When a process began, in units of the kernel's; "" if there is none. Another process may have
    the id of one that is gone, but not its start too."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
