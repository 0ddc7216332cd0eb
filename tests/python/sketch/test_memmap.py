"""Arrays on disk: batches, what stays in memory, and what is left alone."""

import subprocess
import sys

import numpy as np
import pytest

import skmm_fast as skmm
from skmm_fast.sketch import memmap
from skmm_fast.sketch.operators import KINDS


@pytest.fixture
def stored(tmp_path):
    G = np.random.default_rng(0).standard_normal((301, 900)).astype(np.float32)
    np.save(tmp_path / "g.npy", G)
    return G, tmp_path / "g.npy"


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
@pytest.mark.parametrize("batch_bytes", [1, 50_000, 1 << 28])
def test_a_memory_map_gives_the_same_bits(stored, monkeypatch, mode, batch_bytes):
    G, path = stored
    monkeypatch.setattr(memmap, "BATCH_BYTES", batch_bytes)
    monkeypatch.setattr(memmap, "BATCH_ROWS", 16)
    S = skmm.SparseSign(900, 16)
    mapped = np.load(path, mmap_mode=mode)
    assert np.array_equal(S.apply(mapped), S.apply(G))
    assert np.array_equal(S.apply(mapped[7::2]), S.apply(G[7::2]))
    assert np.array_equal(S.apply(np.asarray(mapped)[::-1]), S.apply(G[::-1]))


@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_columns_give_the_same_bits(tmp_path, monkeypatch, kind):
    G = np.random.default_rng(0).standard_normal((9, 70_000)).astype(np.float16)
    np.save(tmp_path / "g.npy", G)
    monkeypatch.setattr(memmap, "BATCH_BYTES", 100_000)
    monkeypatch.setattr(memmap, "BATCH_ROWS", 4)
    mapped = np.load(tmp_path / "g.npy", mmap_mode="r")
    assert len(list(memmap.batches(mapped))) == 9
    S = KINDS[kind](80_000, 24)
    for start in (0, 5, 10_000):
        expected, out = np.ones((2, 9, 24), np.float32)
        S.apply(G, out=expected, col_offset=start, accumulate=True)
        S.apply(mapped, out=out, col_offset=start, accumulate=True)
        assert np.array_equal(out, expected)


def test_views_of_memory_maps(stored, monkeypatch):
    G, path = stored
    monkeypatch.setattr(memmap, "BATCH_BYTES", 50_000)
    S = skmm.GroupedSign(900, 16)
    mapped = np.load(path, mmap_mode="r")
    raw = np.memmap(path, np.float32, "r", offset=path.stat().st_size - G.nbytes, shape=G.shape)
    assert np.array_equal(S.apply(raw), S.apply(G))
    for view in (np.s_[:, 7:450], np.s_[:, 3:4], np.s_[5:6], np.s_[::-1, 10:], np.s_[::3]):
        part, of = mapped[view], np.ascontiguousarray(G[view])
        Z = S.apply(part, out=np.zeros((len(of), 16), np.float32), accumulate=True)
        assert np.array_equal(Z, S.apply(of, out=np.zeros_like(Z), accumulate=True))
    repeated = np.broadcast_to(mapped[4], (6, 900))
    assert np.array_equal(S.apply(repeated), S.apply(np.tile(G[4], (6, 1))))


def test_locked_pages_are_no_error(stored):
    ctypes = pytest.importorskip("ctypes")
    G, path = stored
    mapped = np.load(path, mmap_mode="r")
    libc = ctypes.CDLL(None)
    page = mapped.ctypes.data // 4096 * 4096
    if libc.mlock(ctypes.c_void_p(page), ctypes.c_size_t(8192)) != 0:
        pytest.skip("mlock is not allowed here")
    S = skmm.SparseSign(900, 16)
    assert np.array_equal(S.apply(mapped), S.apply(G))


def test_batches_cover_everything_in_order(stored, monkeypatch):
    G, path = stored
    monkeypatch.setattr(memmap, "BATCH_BYTES", 50_000)
    monkeypatch.setattr(memmap, "BATCH_ROWS", 16)
    batches = list(memmap.batches(np.load(path, mmap_mode="r")))
    assert len(batches) == 19
    assert np.array_equal(np.concatenate([np.arange(301)[b] for b, _ in batches]), np.arange(301))
    assert all(c == slice(0, 900) for _, c in batches)
    assert list(memmap.batches(G)) == [(slice(0, 301), slice(0, 900))]
    assert len(list(memmap.batches(np.load(path, mmap_mode="c")))) == 1


@pytest.mark.parametrize("mode", ["r+", "c"])
def test_changes_to_a_memory_map_are_kept(stored, monkeypatch, mode):
    _, path = stored
    monkeypatch.setattr(memmap, "BATCH_BYTES", 50_000)
    mapped = np.load(path, mmap_mode=mode)
    mapped[:, 3] = 5.0
    skmm.SparseSign(900, 16).apply(mapped)
    assert (mapped[:, 3] == 5.0).all()
    assert ((np.load(path)[:, 3] == 5.0).all()) == (mode == "r+")


def test_memory_stays_bounded(tmp_path):
    """A map of 2 GB (a hole on disk), of which 64 MB at a time may stay."""
    code = f"""
import resource, numpy, skmm_fast
from skmm_fast.sketch import memmap
from skmm_fast.sketch.operators import KINDS
memmap.BATCH_BYTES = 1 << 26
G = numpy.memmap({str(tmp_path / "hole")!r}, numpy.float32, "w+", shape=(512, 1 << 20))
G = numpy.memmap({str(tmp_path / "hole")!r}, numpy.float32, "r", shape=(512, 1 << 20))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
S = skmm_fast.GroupedSign(1 << 20, 128)
S.apply(G[:16], n_threads=2)
before = peak()
assert not S.apply(G, n_threads=2).any()
print(peak() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 160
