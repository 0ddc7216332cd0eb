"""Several files as one array: the same rows, whatever their sizes, and pages of the files."""

import io
from pathlib import Path

import numpy as np
import pytest

from skmm_fast.sketch import memmap
from skmm_fast.sketch.joined import PAGE, joined
from skmm_fast.sketch.shard_file import is_as_written, mapped, write_shard

SHAPES = [  # rows of a shard, columns, type, shards
    (10, 4, np.float32, 6),  # many shards in a page
    (1024, 4, np.float32, 3),  # whole pages
    (1000, 7, np.float64, 5),
    (4096, 3, np.float32, 4),
    (333, 129, np.float32, 7),
    (1, 1, np.float32, 3),
]


def written(folder, rows, m, dtype, shards, aligned=True):
    """An array and the memory maps of its shards; the last has fewer rows."""
    A = np.random.default_rng(0).standard_normal((max(rows * shards - 3, shards), m)).astype(dtype)
    rows = min(rows, len(A))
    parts = [A[i : i + rows] for i in range(0, len(A), rows)]
    maps = []
    for k, part in enumerate(parts):
        path, first_byte = folder / f"{k}.npy", k * rows * m * part.itemsize
        with path.open("wb") as file:
            write_shard(file, part, first_byte if aligned else 0, str(k))
        assert np.array_equal(np.load(path), part)
        maps.append(mapped(path, part.shape, part.dtype, footer=True))
    return A, maps


def mapped_bytes(folder):
    """Bytes of this process that are pages of files in the folder."""
    if not Path("/proc/self/maps").exists():
        pytest.skip("no list of maps here")
    total = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        if str(folder) in line:
            first, last = line.split()[0].split("-")
            total += int(last, 16) - int(first, 16)
    return total


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_rows_of_all(tmp_path, monkeypatch, shape, aligned):
    A, maps = written(tmp_path, *shape, aligned=aligned)
    whole = joined(maps)
    assert isinstance(whole, np.memmap)
    assert whole.mode == "r"
    assert not whole.flags.writeable
    assert whole.flags.c_contiguous
    assert whole.flags.aligned
    assert whole.dtype == A.dtype
    assert np.array_equal(whole, A)
    # Passes over the rows give their pages back to the system, and find them again.
    monkeypatch.setattr(memmap, "BATCH_BYTES", 1 << 14)
    assert memmap.is_mapped(whole)
    for _ in range(2):
        for part in memmap.batches(whole):
            assert np.array_equal(whole[part], A[part])
    some = whole[2:9]
    del whole, maps
    assert np.array_equal(some, A[2:9])


def test_pages_are_those_of_the_files(tmp_path):
    A, maps = written(tmp_path, 4096, 16, np.float32, 3)
    before = mapped_bytes(tmp_path)
    whole = joined(maps)
    pages = mapped_bytes(tmp_path) - before
    assert A.nbytes - 4 * PAGE <= pages <= A.nbytes
    del whole
    assert mapped_bytes(tmp_path) == before


def test_a_change_of_a_file_is_seen(tmp_path):
    """The array is the files, not what they held when it was made."""
    A, maps = written(tmp_path, 4096, 16, np.float32, 2)
    whole = joined(maps)
    with (tmp_path / "1.npy").open("r+b") as file:
        file.seek(maps[1].offset + 2 * PAGE)
        file.write(np.float32(7).tobytes())
    assert whole[4096 + 2 * PAGE // 64, 0] == 7
    assert np.array_equal(whole[:4096], A[:4096])


def test_a_file_is_a_npy_and_a_checksum():
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    for first_byte in (0, 48, 4096, 3 * 4096 + 40):
        file = io.BytesIO()
        write_shard(file, rows, first_byte, "a")
        file.seek(0)
        assert np.array_equal(np.load(file), rows)
        assert file.tell() - rows.nbytes == 128 + first_byte % 4096
        assert file.read().startswith(b"crc32 ")
    plain, saved = io.BytesIO(), io.BytesIO()
    write_shard(plain, rows, 0, None)
    np.save(saved, rows)
    assert plain.getvalue() == saved.getvalue()


@pytest.mark.parametrize("byte", [0, 50, -1])
@pytest.mark.parametrize("bit", [0, 7])
def test_every_flipped_bit_is_found(tmp_path, byte, bit):
    _, maps = written(tmp_path, 10, 4, np.float32, 2)
    assert is_as_written(maps[0], "0")
    assert not is_as_written(maps[0], "1")  # a file in the place of another
    with (tmp_path / "0.npy").open("r+b") as file:
        at = maps[0].offset + byte % maps[0].nbytes
        file.seek(at)
        old = file.read(1)[0]
        file.seek(at)
        file.write(bytes([old ^ (1 << bit)]))
    assert not is_as_written(maps[0], "0")
