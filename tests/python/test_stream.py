"""Arrays on disk: batches, what stays in memory, and what is left alone."""

import subprocess
import sys

import numpy as np
import pytest

import skmm_fast as skmm
from skmm_fast import _stream


@pytest.fixture
def stored(tmp_path):
    G = np.random.default_rng(0).standard_normal((301, 900)).astype(np.float32)
    np.save(tmp_path / "g.npy", G)
    return G, tmp_path / "g.npy"


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
@pytest.mark.parametrize("batch_bytes", [1, 50_000, 1 << 28])
def test_a_memory_map_gives_the_same_bits(stored, monkeypatch, mode, batch_bytes):
    G, path = stored
    monkeypatch.setattr(_stream, "BATCH_BYTES", batch_bytes)
    S = skmm.SparseSign(900, 16)
    mapped = np.load(path, mmap_mode=mode)
    assert np.array_equal(S.apply(mapped), S.apply(G))
    assert np.array_equal(S.apply(mapped[7::2]), S.apply(G[7::2]))
    assert np.array_equal(S.apply(np.asarray(mapped)[::-1]), S.apply(G[::-1]))


def test_batches_cover_the_rows_in_order(stored, monkeypatch):
    G, path = stored
    monkeypatch.setattr(_stream, "BATCH_BYTES", 50_000)
    batches = list(_stream.row_batches(np.load(path, mmap_mode="r")))
    assert len(batches) > 20
    assert np.array_equal(np.concatenate([np.arange(301)[b] for b in batches]), np.arange(301))
    assert list(_stream.row_batches(G)) == [slice(0, 301)]
    assert len(list(_stream.row_batches(np.load(path, mmap_mode="c")))) == 1


@pytest.mark.parametrize("mode", ["r+", "c"])
def test_changes_to_a_memory_map_are_kept(stored, monkeypatch, mode):
    _, path = stored
    monkeypatch.setattr(_stream, "BATCH_BYTES", 50_000)
    mapped = np.load(path, mmap_mode=mode)
    mapped[:, 3] = 5.0
    skmm.SparseSign(900, 16).apply(mapped)
    assert (mapped[:, 3] == 5.0).all()
    assert ((np.load(path)[:, 3] == 5.0).all()) == (mode == "r+")


def test_memory_stays_bounded(tmp_path):
    """A map of 2 GB (a hole on disk), of which 64 MB at a time may stay."""
    code = f"""
import resource, numpy, skmm_fast
from skmm_fast import _stream
_stream.BATCH_BYTES = 1 << 26
G = numpy.memmap({str(tmp_path / "hole")!r}, numpy.float32, "w+", shape=(512, 1 << 20))
G = numpy.memmap({str(tmp_path / "hole")!r}, numpy.float32, "r", shape=(512, 1 << 20))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
S = skmm_fast.GroupedSign(1 << 20, 128)
S.apply(G[:16], n_threads=2)
before = peak()
assert not S.apply(G, n_threads=2).any()
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 160
