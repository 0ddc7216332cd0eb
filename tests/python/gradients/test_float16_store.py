"""Stores of 16-bit floats: half the disk, the same bytes whatever stopped a run, and the selections
of float32."""

import json
import os
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import TensorDataset

import skmm_fast as skmm
from skmm_fast._support.float16_rows import Float16Rows, scaled_halves
from skmm_fast.gradients import GradientSketcher, sketch_dataset

N, M = 400, 24
torch.manual_seed(0)
X, Y = torch.randn(N, 12) * torch.logspace(-3, 3, N)[:, None], torch.arange(N) % 3
DATA = TensorDataset(X, Y)
NET = torch.nn.Linear(12, 3).eval()
FLOAT16 = {"dtype": "float16", "progress": False, "batch_size": 16, "shard_rows": 96}


def sketched(path, **options):
    sketcher = GradientSketcher(NET, params="all", sketch_dim=M)
    return sketch_dataset(sketcher, DATA, path, **{**FLOAT16, **options})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return sketched(tmp_path_factory.mktemp("store"))


def stored(path):
    """Name -> bytes of every file but the lock."""
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_rows_are_those_of_float32_rounded(store, tmp_path):
    wide = sketched(tmp_path, dtype=None).array()
    narrow = skmm.SketchStore(store.path).array()
    assert isinstance(narrow, Float16Rows)
    assert narrow.shape == (N, M)
    assert np.array_equal(narrow.halves, scaled_halves(wide)[0])
    assert np.all(np.abs(narrow[:] - wide) <= 2.0**-11 * np.abs(wide).max(axis=1, keepdims=True))
    assert (store.dtype, store.sketch_dim, len(store)) == (np.float16, M, N)
    assert "400 x 24 float16, 5 of 5 shards" in repr(store)
    size = {path: sum(len(b) for name, b in stored(path).items() if name.endswith("npy"))
            for path in (store.path, tmp_path)}  # fmt: skip
    files = 5 * 5000  # headers, up to a page each
    assert abs(size[store.path] - (M + 1) / (2 * M) * size[tmp_path]) < files
    shard = np.load(store.path / "shard-00001.npy")  # any reader of .npy
    assert np.array_equal(
        np.ldexp(np.float32(shard[:, :M]), shard[:, M:].astype(int)), narrow[96:192]
    )


def test_one_shard(tmp_path):
    one = sketched(tmp_path, shard_rows=4096).array()
    assert np.array_equal(one[::7], np.asarray(one)[::7])


def test_a_resumed_run_gives_the_bytes_of_an_unbroken_one(store, tmp_path):
    sketched(tmp_path)
    for shard in (0, 3):
        (tmp_path / f"shard-0000{shard}.npy").unlink()
    assert not skmm.SketchStore(tmp_path).complete
    sketched(tmp_path)
    assert stored(tmp_path) == stored(store.path)


def test_another_type_is_refused(store, tmp_path):
    with pytest.raises(ValueError, match=r"differs in dtype \(stored 'float16', now 'float32'\)"):
        sketched(store.path, dtype=None)
    sketched(tmp_path, dtype=None)
    with pytest.raises(ValueError, match=r"differs in dtype \(stored 'float32', now 'float16'\)"):
        sketched(tmp_path)


@pytest.mark.parametrize("dtype", ["bfloat16", "float64", np.float16, 16])
def test_other_names_of_types(tmp_path, dtype):
    with pytest.raises((TypeError, ValueError), match=r"dtype: expected .*'float16'"):
        sketched(tmp_path / "s", dtype=dtype)
    assert not (tmp_path / "s").exists()


def test_a_manifest_of_another_type(tmp_path):
    sketched(tmp_path)
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "dtype": "bfloat16"}))
    with pytest.raises(ValueError, match=r"manifest.json: expected .*dtype.*'float16'.*'bfloat16'"):
        skmm.SketchStore(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.write_bytes(f.read_bytes()[:-1]), "its checksum is missing"),
        (lambda f: np.save(f, np.ones((96, M), np.float16)), r"got float16 of shape \(96, 24\)"),
        (lambda f: np.save(f, np.ones((96, M + 1), np.float32)), "got float32 of shape"),
        (lambda f: f.write_bytes(b""), "got 0 bytes"),
    ],
)
def test_damaged_files(tmp_path, change, message):
    sketched(tmp_path)
    change(tmp_path / "shard-00002.npy")
    with pytest.raises(ValueError, match=rf"/shard-00002.npy: expected float16 of .*{message}"):
        skmm.select(skmm.SketchStore(tmp_path), 40)


def test_changed_rows(tmp_path):
    store = sketched(tmp_path)
    with (tmp_path / "shard-00002.npy").open("r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(b"\x7f\x7e")
    with pytest.raises(
        ValueError, match=r"expected the rows that were written, .* shard-00002.npy"
    ):
        skmm.select(skmm.SketchStore(store.path), 40)


class Rows:
    """A sketcher that gives these rows."""

    sketch = SimpleNamespace(out_dim=2)

    def __init__(self, rows):
        self.rows = torch.as_tensor(rows)

    def __call__(self, batch, sample_ids=None):
        return self.rows[torch.as_tensor(sample_ids)]

    def narrow(self):
        return Rows(self.rows.float())

    def forget(self):
        pass

    def fingerprint(self):
        return {}


def test_rows_of_any_size_or_an_error(tmp_path):
    Z = np.array([[3e38, 1], [1e-38, 1e-40], [0, 0], [70000, 1e-9]])
    data = list(torch.zeros(4, 1))
    found = sketch_dataset(Rows(Z), data, tmp_path / "a", dtype="float16", progress=False).array()
    assert np.allclose(found[:].max(axis=1), Z.max(axis=1), rtol=2.0**-11)
    Z[2, 1] = -1e50
    with pytest.raises(
        ValueError, match=r"dtype: expected .* got a largest entry of 1e\+50 in row 2"
    ):
        sketch_dataset(Rows(Z), data, tmp_path / "b", dtype="float16", progress=False)


def test_sketches_of_64_bits_in_32(tmp_path):
    Z = np.random.default_rng(0).standard_normal((9, 2))
    data = list(torch.zeros(9, 1))
    wide = sketch_dataset(Rows(Z), data, tmp_path / "a", progress=False)
    narrow = sketch_dataset(Rows(Z), data, tmp_path / "b", dtype="float32", progress=False)
    assert (wide.dtype, narrow.dtype) == (np.float64, np.float32)
    assert np.array_equal(narrow.array(), Z.astype(np.float32))
    same = sketch_dataset(Rows(Z).narrow(), data, tmp_path / "c", dtype="float32", progress=False)
    assert np.array_equal(same.array(), narrow.array())
    Z[4, 1] = 1e50
    with pytest.raises(ValueError, match=r"with 'float32', got a largest entry of 1e\+50 in row 4"):
        sketch_dataset(Rows(Z), data, tmp_path / "d", dtype="float32", progress=False)


def test_excluded_rows_that_are_not_finite(tmp_path):
    Z = np.random.default_rng(0).standard_normal((60, 2)).astype(np.float32)
    Z[7, 0] = np.nan
    data = list(torch.zeros(60, 1))
    store = sketch_dataset(Rows(Z), data, tmp_path, dtype="float16", progress=False)
    with pytest.raises(ValueError, match="X: expected finite values, got NaN or Inf in 1 of 60"):
        skmm.select(store, 9)
    found = skmm.select(store, 9, exclude=[7]).indices
    assert np.array_equal(found, skmm.select(store.array()[:], 9, exclude=[7]).indices)
