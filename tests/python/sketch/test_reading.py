"""Reading a store: what is served is what was written, from wherever, and nothing is written."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import TensorDataset

import skmm_fast as skmm
from skmm_fast import cli
from skmm_fast.gradients import GradientSketcher, sketch_dataset
from skmm_fast.sketch import store as store_module

N = 60
torch.manual_seed(0)
DATA = TensorDataset(torch.randn(N, 5), torch.arange(N) % 3)
NET = torch.nn.Linear(5, 3).eval()
SIZES = {"shard_rows": 16, "batch_size": 8, "progress": False}


def sketched(path, data=DATA, **options):
    sketcher = GradientSketcher(NET, params="all", sketch_dim=6)
    return sketch_dataset(sketcher, data, path, **{**SIZES, **options})


@pytest.fixture
def store(tmp_path):
    return sketched(tmp_path / "s")


def flip(store, shard, byte=5):
    """Flip a bit of the rows of a shard; its size and its date stay."""
    file = store._file(shard)
    times = file.stat()
    content = bytearray(file.read_bytes())
    content[store._shard(shard).offset + byte] ^= 4
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_shard_that_was_made_again_is_served(store):
    """What was read before does not count."""
    before = np.array(store.array())
    other = torch.nn.Linear(5, 3).eval()
    sketcher = GradientSketcher(other, params="all", sketch_dim=6)
    shutil.rmtree(store.path)
    again = sketch_dataset(sketcher, DATA, store.path, **SIZES)
    assert not np.array_equal(again.array(), before)
    assert np.array_equal(store.array(), again.array())


def test_nothing_is_kept_twice(store):
    store.array()
    skmm.select(store, 12)
    files = sorted(f.name for f in store.path.iterdir())
    assert files == ["manifest.json", *(f"shard-{k:05}.npy" for k in range(4))]


def test_an_old_copy_of_all_rows_is_not_served(store):
    rows = np.array(store.array())
    np.save(store.path / "array.npy", rows + 1)
    assert np.array_equal(skmm.SketchStore(store.path).array(), rows)


def test_a_flipped_bit_is_found_when_the_rows_are_read(store):
    flip(store, 2)
    opened = skmm.SketchStore(store.path)
    for use in (opened.array, opened.verify, lambda: skmm.select(opened, 12)):
        with pytest.raises(ValueError, match=r"others in 1 of 4 shards, shard-00002.npy; delete"):
            use()


def test_a_flipped_bit_is_found_when_sketching_goes_on(store):
    expected = np.array(store.array())
    store._file(3).unlink()
    flip(store, 0)
    with pytest.raises(ValueError, match=r"in 1 of 4 shards, shard-00000.npy; delete these files"):
        sketched(store.path)
    store._file(0).unlink()
    assert np.array_equal(sketched(store.path).array(), expected)


def test_shards_in_the_place_of_others_are_found(store, tmp_path):
    store._file(0).rename(tmp_path / "kept")
    store._file(1).rename(store._file(0))
    (tmp_path / "kept").rename(store._file(1))
    with pytest.raises(ValueError, match=r"others in 2 of 4 shards, shard-00000.npy, shard-00001"):
        skmm.SketchStore(store.path).verify()


def test_a_large_store_is_verified_on_request_alone(store, monkeypatch):
    flip(store, 1)
    monkeypatch.setattr(store_module, "VERIFIED", N * 6 * 4 - 1)
    opened = skmm.SketchStore(store.path)
    assert len(opened.array()) == N
    with pytest.raises(ValueError, match=r"shard-00001.npy"):
        opened.verify()


def test_each_shard_is_verified_once(store, monkeypatch):
    opened = skmm.SketchStore(store.path)
    opened.array()
    monkeypatch.setattr(store_module, "is_as_written", lambda rows, identity: False)
    opened.array()
    with pytest.raises(ValueError, match="in 4 of 4 shards"):
        opened.verify()


def test_the_command(store, capsys):
    assert cli.main(["verify", str(store.path)]) == 0
    assert "as written: SketchStore(" in capsys.readouterr().out
    flip(store, 3)
    assert cli.main(["verify", str(store.path)]) == 1
    assert "shard-00003.npy; delete these files" in capsys.readouterr().err


@pytest.fixture
def old(store):
    """A store as the first versions wrote it, with the copy that they made of all rows."""
    rows = np.array(store.array())
    for k in range(4):
        np.save(store._file(k), rows[16 * k : 16 * k + 16])
    manifest = store.path / "manifest.json"
    values = json.loads(manifest.read_text())
    del values["checksum"]
    manifest.write_text(json.dumps(values, indent=1))
    np.save(store.path / "array.npy", rows)
    return rows


def test_stores_of_earlier_versions(store, old):
    opened = skmm.SketchStore(store.path)
    assert np.array_equal(opened.array(), old)
    with pytest.raises(ValueError, match="with checksums, got one of an earlier version"):
        opened.verify()
    store._file(2).unlink()
    assert np.array_equal(sketched(store.path).array(), old)


@pytest.mark.parametrize("shard_rows", [16, 100])
def test_reading_writes_nothing(tmp_path, monkeypatch, shard_rows):
    """As in a folder of another user, or on a disk that is mounted to be read."""
    path = sketched(tmp_path / "s", shard_rows=shard_rows).path
    before = {f: f.stat().st_mtime_ns for f in [path, *path.iterdir()]}
    opened = os.open

    def read_only(name, flags, *mode, **where):
        assert not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT), name
        return opened(name, flags, *mode, **where)

    monkeypatch.setattr(os, "open", read_only)
    for name in ("mkdir", "rename", "replace", "unlink"):
        monkeypatch.setattr(os, name, lambda *_, **__: pytest.fail("the store was written to"))
    store = skmm.SketchStore(path)
    assert store.complete
    assert len(store.array()) == N
    store.verify()
    skmm.select(store, 12)
    monkeypatch.undo()
    assert {f: f.stat().st_mtime_ns for f in [path, *path.iterdir()]} == before


def test_another_user_reads(tmp_path):
    """One who may not write there; only root can become one."""
    if os.geteuid():
        pytest.skip("needs to become another user")
    store = sketched(tmp_path / "s")
    for place in [store.path, *store.path.parents][: len(tmp_path.parts) - 1]:
        place.chmod(place.stat().st_mode | 0o055)
    for file in store.path.iterdir():
        file.chmod(0o444)
    store.path.chmod(0o555)
    child = os.fork()
    if child == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            rows = skmm.SketchStore(store.path).array()
            os._exit(0 if len(rows) == N and not os.access(store.path, os.W_OK) else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_relative_paths_outlive_a_change_of_directory(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    made = sketched("sketches")
    opened = skmm.SketchStore("sketches")
    monkeypatch.chdir(tmp_path / "elsewhere")
    for store in (made, opened):
        assert store.path == tmp_path / "sketches"
        assert store.complete
        assert len(store.array()) == N
        assert len(skmm.select(store, 12).indices) == 12
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("at", [0, 39, N - 1])
def test_a_dataset_that_changes_the_directory(tmp_path, monkeypatch, at):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)

    class Moves:
        def __len__(self):
            return N

        def __getitem__(self, row):
            if row == at:
                os.chdir(tmp_path / "elsewhere")
            return DATA[row]

    store = sketched("other", Moves())
    assert Path.cwd() == tmp_path / "elsewhere"
    assert store.path == tmp_path / "other"
    assert np.array_equal(store.array(), sketched(tmp_path / "plain").array())
