"""Claims: of several writers one makes a file, until it is done or gone."""

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from skmm_fast._support import claims
from skmm_fast._support.claims import Claims

NAME = "shard-00007.npy"
HOLD = """
import sys, time
from pathlib import Path
from skmm_fast._support.claims import Claims
with Claims(Path(sys.argv[1])) as mine:
    print(mine.take(sys.argv[2]), flush=True)
    time.sleep(600)
"""


def holder(folder):
    """Another process, which has claimed the file."""
    code = [sys.executable, "-c", HOLD, str(folder), NAME]
    other = subprocess.Popen(code, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "True\n"
    return other


def of_elsewhere(folder, age):
    """A claim of a process on another machine, that was last touched so long ago."""
    file = folder / f"{NAME}.claim"
    file.write_text("elsewhere\nan-id-of-a-boot\npid:[1]\n5\n17")
    then = time.time() - age
    os.utime(file, (then, then))
    return file


def test_one_writer_at_a_time(tmp_path):
    with Claims(tmp_path) as mine, Claims(tmp_path) as others:
        assert mine.take(NAME)
        assert not others.take(NAME)
        assert not mine.take(NAME)
        assert others.take("another")
        mine.release(NAME)
        assert others.take(NAME)
    assert not list(tmp_path.iterdir())


def test_a_process_that_is_gone(tmp_path):
    other = holder(tmp_path)
    mine = Claims(tmp_path)
    try:
        assert not mine.take(NAME)
        assert mine.writer(NAME) == f"process {other.pid} on {os.uname().nodename}"
        assert not mine.is_stale(NAME)
    finally:
        other.kill()
        other.communicate()
    assert mine.is_stale(NAME)
    assert mine.take(NAME)
    assert [f.name for f in tmp_path.iterdir()] == [f"{NAME}.claim"]
    mine.release(NAME)
    assert mine.writer(NAME) is None


def test_a_process_with_the_id_of_one_that_is_gone(tmp_path):
    mine = Claims(tmp_path)
    assert mine.take(NAME)
    file = tmp_path / f"{NAME}.claim"
    host, boot, namespace, _, _ = file.read_text().split("\n")
    file.write_text("\n".join([host, boot, namespace, "12", "1"]))
    assert mine.is_stale(NAME)


def test_a_writer_of_this_process_that_did_not_end(tmp_path):
    """Its claim is nobody's, though the process lives."""
    with Claims(tmp_path) as mine:
        assert mine.take(NAME)
        content = (tmp_path / f"{NAME}.claim").read_text()
    (tmp_path / f"{NAME}.claim").write_text(content)
    assert Claims(tmp_path).take(NAME)


@pytest.mark.parametrize(("age", "stale"), [(0, False), (200, False), (300, True)])
def test_writers_elsewhere_are_gone_once_they_do_not_touch_their_claims(tmp_path, age, stale):
    of_elsewhere(tmp_path, age)
    mine = Claims(tmp_path)
    assert mine.writer(NAME) == "process 17 on elsewhere"
    assert mine.is_stale(NAME) is stale
    assert mine.take(NAME) is stale


@pytest.mark.parametrize(("age", "stale"), [(0, False), (200, False), (300, True)])
def test_a_writer_here_that_lives_and_does_not_touch_its_claim(tmp_path, age, stale):
    """It hangs, or could not end its claim: nobody waits for it without end."""
    other = holder(tmp_path)
    try:
        then = time.time() - age
        os.utime(tmp_path / f"{NAME}.claim", (then, then))
        assert Claims(tmp_path).take(NAME) is stale
    finally:
        other.kill()
        other.communicate()


def test_on_a_disk_that_cannot_be_written(tmp_path, monkeypatch):
    of_elsewhere(tmp_path, 300)

    opened = Path.open

    def refused(path, mode="r", *args, **options):
        if mode == "xb":
            raise OSError(errno.EROFS, "read-only")
        return opened(path, mode, *args, **options)

    monkeypatch.setattr(Path, "open", refused)
    assert Claims(tmp_path).is_stale(NAME)


def test_who_renames_a_fresh_claim_puts_it_back(tmp_path):
    """It was stale when it was looked at, and another writer has taken it over since."""
    other = Claims(tmp_path)
    assert other.take(NAME)
    content = (tmp_path / f"{NAME}.claim").read_text()
    assert not Claims(tmp_path)._taken_over(NAME, ("elsewhere", "", "", "5", "17"))
    assert [f.name for f in tmp_path.iterdir()] == [f"{NAME}.claim"]
    assert (tmp_path / f"{NAME}.claim").read_text() == content
    other.release(NAME)


@pytest.mark.parametrize("content", ["", "half of a cl", "\n" * 9, "\0" * 5000])
def test_claims_that_say_nothing(tmp_path, content):
    file = of_elsewhere(tmp_path, 0)
    file.write_text(content)
    assert not Claims(tmp_path).take(NAME)
    os.utime(file, (1, 1))
    assert Claims(tmp_path).take(NAME)


def test_claims_are_touched(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "BEAT", 0.02)
    file = tmp_path / f"{NAME}.claim"
    with Claims(tmp_path) as mine:
        assert mine.take(NAME)
        os.utime(file, (1, 1))
        while file.stat().st_mtime < 2:
            time.sleep(0.01)
        file.unlink()  # taken over by another: no error
        time.sleep(0.1)
    assert not mine._beating.is_alive()


def test_one_of_many_takes_over(tmp_path):
    """All find the claim stale at the same time."""
    for _ in range(20):
        of_elsewhere(tmp_path, 1000)
        together, took = threading.Barrier(8), []

        def attempt(together=together, took=took):
            mine = Claims(tmp_path)
            together.wait()
            took.append(mine.take(NAME))

        threads = [threading.Thread(target=attempt) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert took.count(True) >= 1
        claims._held_here.clear()
        (tmp_path / f"{NAME}.claim").unlink()
    assert not list(tmp_path.iterdir())


def test_a_file_system_without_links(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(os, "link", refused)
    with Claims(tmp_path) as mine:
        assert mine.take(NAME)
        assert mine.writer(NAME) == f"process {os.getpid()} on {os.uname().nodename}"
        assert not Claims(tmp_path).take(NAME)
        assert [f.name for f in tmp_path.iterdir()] == [f"{NAME}.claim"]
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
def test_no_room_for_a_claim(tmp_path, monkeypatch):
    """It is no claim, and the error names it."""
    monkeypatch.setattr(
        "builtins.open", lambda *_: os.fdopen(os.open("/dev/full", os.O_WRONLY), "w")
    )
    with pytest.raises(OSError, match=f"{NAME}.claim") as raised:
        Claims(tmp_path).take(NAME)
    assert raised.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())
