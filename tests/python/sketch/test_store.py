"""The sketch store: the same bytes whatever stopped it, and nothing taken for what it is not."""

import errno
import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

import skmm_fast as skmm
from skmm_fast.gradients import sketch_dataset

N, M = 53, 4
torch.manual_seed(0)
X, Y = torch.randn(N, 6), torch.arange(N) % 3
DATA = TensorDataset(X, Y)
SIZES = {"batch_size": 4, "shard_rows": 10, "progress": False}


class Linear:
    """Sketches inputs (B, 6) and row numbers: the last column holds these."""

    def __init__(self, seed=0, dtype=torch.float32):
        self.sketch = SimpleNamespace(out_dim=M)
        self.seed, self.seen, self.device = seed, [], "cpu"
        generator = torch.Generator().manual_seed(seed)
        self.weights = torch.randn(6, M - 1, generator=generator, dtype=dtype)

    def __call__(self, batch, sample_ids=None):
        x = (batch["x"] if isinstance(batch, dict) else batch[0]).to(self.weights.dtype)
        ids = torch.as_tensor(sample_ids).to(x.dtype)
        self.seen.append(sample_ids.tolist())
        return torch.cat([x @ self.weights, ids[:, None]], dim=1)

    def forget(self):
        pass

    def fingerprint(self):
        return {
            "seed": self.seed,
            "weights": [self.weights.tolist(), None],
            "advisory_device": self.device,
        }


def stored(folder):
    """Name -> bytes of every file but the lock."""
    return {f.name: f.read_bytes() for f in folder.iterdir()}


@pytest.fixture
def store(tmp_path):
    return sketch_dataset(Linear(), DATA, tmp_path / "s", **SIZES)


class Altered:
    """A sketcher with another way to sketch."""

    def __init__(self, sketcher, call):
        self.sketch, self.fingerprint, self._call = sketcher.sketch, sketcher.fingerprint, call
        self.forget = sketcher.forget

    def __call__(self, batch, sample_ids=None):
        return self._call(batch, sample_ids)


def stop_after(calls):
    sketcher = Linear()

    def sketch(batch, sample_ids=None):
        if len(sketcher.seen) == calls:
            raise KeyboardInterrupt
        return sketcher(batch, sample_ids)

    return Altered(sketcher, sketch)


def test_what_is_written(store, tmp_path):
    assert store.complete
    assert store.missing == []
    assert (store.n_samples, store.sketch_dim, len(store)) == (N, M, N)
    assert repr(store) == f"SketchStore({str(tmp_path / 's')!r}: 53 x 4 float32, 6 of 6 shards)"
    assert store.fingerprint["seed"] == 0
    whole = store.array()
    assert isinstance(whole, np.memmap)
    assert whole.mode == "r"
    assert whole.dtype == np.float32
    np.testing.assert_allclose(whole[:, :-1], X @ Linear().weights, rtol=1e-4, atol=1e-6)
    assert np.array_equal(whole[:, -1], np.arange(N))
    assert [len(np.load(tmp_path / "s" / f"shard-{k:05}.npy")) for k in range(6)] == [10] * 5 + [3]
    assert sorted(stored(tmp_path / "s")) == [
        "manifest.json",
        *(f"shard-{k:05}.npy" for k in range(6)),
    ]
    again = skmm.SketchStore(str(tmp_path / "s"))
    assert np.array_equal(again.array(), whole)
    assert again.fingerprint == store.fingerprint


def test_batches_do_not_straddle_shards(tmp_path):
    sketcher = Linear()
    sketch_dataset(sketcher, DATA, tmp_path, **SIZES)
    first, *rest = sketcher.seen  # the first batch once more, for its type
    assert first == rest[0] == [0, 1, 2, 3]
    assert [len(ids) for ids in rest] == [4, 4, 2] * 5 + [3]
    assert [i for ids in rest for i in ids] == list(range(N))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_shard_is_mapped_as_it_is(tmp_path, dtype):
    store = sketch_dataset(Linear(dtype=dtype), DATA, tmp_path, batch_size=100, progress=False)
    assert store.array().dtype == str(dtype).removeprefix("torch.")
    assert len(store.array()) == N
    assert sorted(stored(tmp_path)) == ["manifest.json", "shard-00000.npy"]


def test_select_takes_a_store(store):
    Z = np.array(store.array())
    for n in (8, 0.2):
        ours, plain = skmm.select(store, n), skmm.select(Z, n)
        assert np.array_equal(ours.indices, plain.indices)
        assert str(ours.diagnosis) == str(plain.diagnosis)


@pytest.mark.parametrize("calls", [0, 1, 3, 4, 15])
def test_ctrl_c_leaves_whole_shards(tmp_path, store, calls):
    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        sketch_dataset(stop_after(calls), DATA, folder, **SIZES)
    left = stored(folder)
    assert left.items() <= stored(store.path).items()
    if calls > 0:
        stopped = skmm.SketchStore(folder)
        assert stopped.missing == list(range((calls - 1) // 3, 6))
        with pytest.raises(ValueError, match=rf"where {N - 10 * ((calls - 1) // 3)} of 53 rows"):
            stopped.array()
    sketch_dataset(Linear(), DATA, folder, **SIZES)
    assert stored(folder) == stored(store.path)


def test_only_what_is_missing_is_made(store):
    (store.path / "shard-00002.npy").unlink()
    sketcher = Linear()
    sketch_dataset(sketcher, DATA, store.path, **SIZES)
    first, *rest = sketcher.seen  # the first batch settles the methods
    assert first[0] == 0
    assert [i for ids in rest for i in ids] == list(range(20, 30))
    sketch_dataset(sketcher, DATA, store.path, **SIZES)
    assert len(sketcher.seen) == 5


def test_the_bar_starts_at_what_is_done(store, capsys):
    pytest.importorskip("tqdm")
    (store.path / "shard-00005.npy").unlink()
    sketch_dataset(Linear(), DATA, store.path, **{**SIZES, "progress": True})
    shown = capsys.readouterr().err
    assert "50.0/53.0" in shown
    assert "0.00/53.0" not in shown
    assert "100%" in shown
    assert "samples/s" in shown


KILLS = """
import os, random, signal, sys, time
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[1])
from test_store import Linear
from skmm_fast.gradients import sketch_dataset
from skmm_fast.sketch.store import SketchStore

torch.set_num_threads(1)
data = [(x,) for x in torch.randn(600, 6, generator=torch.Generator().manual_seed(1))]
folder = Path(sys.argv[2])

class Slow(Linear):
    def __call__(self, batch, sample_ids=None):
        time.sleep(0.001)
        return super().__call__(batch, sample_ids)

def sketch(name):
    store = sketch_dataset(Slow(), data, folder / name, batch_size=8, shard_rows=32, progress=False)
    return {f.name: f.read_bytes() for f in store.path.iterdir()}

began = time.perf_counter()
unbroken = sketch("unbroken")
longest = (time.perf_counter() - began) / 4
random.seed(int(sys.argv[3]))
kills, leftovers, turn = 0, 0, 0
while kills < 20:
    child = os.fork()
    if child == 0:
        sketch(f"killed-{turn}")
        os._exit(0)
    time.sleep(random.uniform(0, longest))
    os.kill(child, signal.SIGKILL)
    killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    kills += killed
    files = list((folder / f"killed-{turn}").glob("*"))
    leftovers += any(f.suffix == ".tmp" for f in files)
    for f in files:
        assert f.suffix in (".tmp", ".claim") or f.read_bytes() == unbroken[f.name], f
    if not killed:
        turn += 1
sketch(f"killed-{turn}")
for i in range(turn + 1):
    assert sketch(f"killed-{i}") == unbroken, i
print(kills, leftovers, turn)
"""


def run(code, *arguments, prefix=()):
    here = str(Path(__file__).parent)
    return subprocess.run(
        [*prefix, sys.executable, "-c", code, here, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=1800,
    )


def test_the_same_bytes_after_twenty_kills(tmp_path):
    done = run(KILLS, tmp_path, 7)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("20 ")


def test_leftovers_of_a_killed_run_are_removed(store):
    before = stored(store.path)
    for name in ("shard-00001.npy.0a.tmp", "manifest.json.0b.tmp", "array.npy.0c.tmp"):
        (store.path / name).write_bytes(b"half")
    assert skmm.SketchStore(store.path).complete
    sketch_dataset(Linear(), DATA, store.path, **SIZES)
    assert stored(store.path) == before


def test_a_run_killed_before_its_manifest(tmp_path, store):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "manifest.json.0b.tmp").write_bytes(b"{")
    sketch_dataset(Linear(), DATA, tmp_path / "new", **SIZES)
    assert stored(tmp_path / "new") == stored(store.path)


@pytest.mark.parametrize(("limit", "left"), [(300, set()), (4000, {"manifest.json"})])
def test_no_room_for_a_file(tmp_path, limit, left):
    """A file may grow to `limit` bytes: too little for the manifest, or for a shard."""
    data = TensorDataset(X.repeat(10, 1), Y.repeat(10))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match=r"manifest.json'$|shard-00000.npy'$") as raised:
            sketch_dataset(Linear(), data, tmp_path, progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert raised.value.errno == errno.EFBIG
    assert set(stored(tmp_path)) == left
    assert sketch_dataset(Linear(), data, tmp_path, progress=False).complete


FULL = """
import errno, sys
from pathlib import Path
import numpy as np
from skmm_fast._support.claims import Claims
from skmm_fast.sketch.manifest import Manifest
from skmm_fast.sketch.store import SketchStore, made
folder = Path(sys.argv[2])
store = made(folder, Manifest(10_000, 16, "float32", 8, 100, {}), Claims(folder))
try:
    for k in range(100):
        store._write(k, np.full((100, 16), k, np.float32))
except OSError as error:
    print(error.errno == errno.ENOSPC, error.filename == str(folder / f"shard-{k:05}.npy"))
assert 0 < k and SketchStore(folder).missing == list(range(k, 100))
print(len(list(folder.iterdir())) == k + 1)
"""


def test_a_full_disk(tmp_path):
    """A file system of 64 kB, in a mount namespace of its own."""
    mount = f'mount -t tmpfs -o size=64k none {tmp_path} && exec "$@"'
    prefix = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    if not shutil.which("unshare") or subprocess.run([*prefix, "true"], check=False).returncode:
        pytest.skip("no file system of our own here")
    done = run(FULL, tmp_path, prefix=prefix)
    assert done.stdout.split() == ["True"] * 3, done.stdout + done.stderr


def changed(what):
    x = X.clone()
    x[{"first": 0, "last": N - 1}[what], 2] += 1e-6
    return TensorDataset(x, Y)


HEAVIER = Linear()
HEAVIER.weights = HEAVIER.weights * 2

OTHERS = [
    ({"sketcher": Linear(seed=1)}, r"differs in seed \(stored 0, now 1\), weights"),
    ({"sketcher": HEAVIER}, r"differs in weights \(stored \S*.*…, now …?.*…\)$"),
    (
        {"dataset": Subset(DATA, range(50))},
        r"n_samples \(stored 53, now 50\), dataset_last_sample \(stored '.*…, now '.*…\)$",
    ),
    ({"dataset": changed("first")}, "differs in dataset_first_sample"),
    ({"dataset": changed("last")}, "differs in dataset_last_sample"),
    ({"batch_size": 5}, r"differs in batch_size \(stored 4, now 5\)$"),
    ({"shard_rows": 11}, r"differs in shard_rows \(stored 10, now 11\)$"),
    ({"resume": False}, "path: expected no store with resume=False, got"),
]


@pytest.mark.parametrize(("other", "message"), OTHERS)
def test_another_run_is_not_mixed_in(store, other, message):
    before = stored(store.path)
    given = {"sketcher": Linear(), "dataset": DATA, "path": store.path, **SIZES, **other}
    with pytest.raises(ValueError, match=message):
        sketch_dataset(**given)
    assert stored(store.path) == before


def test_advisory_fields_may_differ(store):
    sketcher = Linear()
    sketcher.device = "cuda:3"
    assert sketch_dataset(sketcher, DATA, store.path, **SIZES).complete


def test_another_dtype_stops(store):
    (store.path / "shard-00003.npy").unlink()
    sketcher = Linear()
    widened = Altered(sketcher, lambda b, ids: sketcher(b, ids).double())
    with pytest.raises(ValueError, match=r"differs in dtype \(stored 'float32', now 'float64'\)"):
        sketch_dataset(widened, DATA, store.path, **SIZES)


@pytest.mark.parametrize("text", ["", "{", '{"format": 1', "[]", "3", "null", "{}", "\xff"])
def test_a_torn_manifest(store, text):
    file = store.path / "manifest.json"
    file.write_bytes(text.encode("latin-1"))
    for use in (
        lambda: skmm.SketchStore(store.path),
        lambda: sketch_dataset(Linear(), DATA, store.path, **SIZES),
    ):
        with pytest.raises(ValueError, match=r"/manifest.json: expected the manifest of a sketch"):
            use()
    assert file.read_bytes() == text.encode("latin-1")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", 2),
        ("n_samples", -1),
        ("n_samples", "53"),
        ("sketch_dim", 4.0),
        ("dtype", "bfloat16"),
        ("shard_rows", 0),
        ("fingerprint", None),
    ],
)
def test_a_foreign_manifest(store, field, value):
    file = store.path / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), field: value}))
    with pytest.raises(ValueError, match=rf"manifest.json: expected .*{field}"):
        skmm.SketchStore(store.path)


def shard(rows=10, m=M, dtype=np.float32, order="C"):
    return np.ones((rows, m), dtype, order)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda f: f.write_bytes(f.read_bytes()[:-1]),
            r"got 782 bytes \(its checksum is missing",
        ),
        (
            lambda f: f.write_bytes(f.read_bytes()[:-16]),
            "in a whole .npy file, got 767 bytes",
        ),
        (lambda f: np.save(f, shard()), r"got 288 bytes \(its checksum is missing\)"),
        (lambda f: f.write_bytes(f.read_bytes()[:40]), "got 40 bytes"),
        (lambda f: f.write_bytes(b""), "got 0 bytes"),
        (lambda f: f.write_bytes(b"not an array"), "got 12 bytes"),
        (lambda f: f.write_bytes(f.read_bytes() + b"x"), "got 1 bytes beyond its end"),
        (lambda f: np.save(f, shard(rows=9)), r"got float32 of shape \(9, 4\)"),
        (lambda f: np.save(f, shard(m=5)), r"got float32 of shape \(10, 5\)"),
        (lambda f: np.save(f, shard(dtype=np.float64)), "got float64 of shape"),
        (lambda f: np.save(f, shard(order="F")), "got float32 of shape"),
    ],
)
def test_a_shard_that_is_none(store, change, message):
    file = store.path / "shard-00003.npy"
    change(file)
    broken = file.read_bytes()
    said = rf"shard-00003.npy: expected float32 of shape \(10, 4\).*{message}"
    for use in (
        store.array,
        lambda: skmm.SketchStore(store.path),
        lambda: sketch_dataset(Linear(), DATA, store.path, **SIZES),
    ):
        with pytest.raises(ValueError, match=said):
            use()
    assert file.read_bytes() == broken


def test_a_folder_of_something_else(tmp_path, store):
    (store.path / "manifest.json").unlink()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.tmp").touch()
    (tmp_path / "other" / "manifest.json.0a.tmp").touch()
    for folder, name in ((store.path, "shard-00000.npy"), (tmp_path / "other", "mine.tmp")):
        before = stored(folder)
        with pytest.raises(ValueError, match=f"path: expected a sketch store .* with {name}"):
            sketch_dataset(Linear(), DATA, folder, **SIZES)
        assert stored(folder) == before
    with pytest.raises(FileNotFoundError, match=r"nowhere/manifest.json"):
        skmm.SketchStore(tmp_path / "nowhere")


def doubled(samples):
    x, y = zip(*samples, strict=True)
    return torch.stack(x) * 2, torch.stack(y)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader(tmp_path, workers):
    loader = DataLoader(DATA, batch_size=4, num_workers=workers, collate_fn=doubled)
    state = torch.get_rng_state()
    ours = sketch_dataset(Linear(), loader, tmp_path / "loader", shard_rows=10, progress=False)
    assert torch.equal(torch.get_rng_state(), state)
    plain = sketch_dataset(Linear(), TensorDataset(X * 2, Y), tmp_path / "plain", **SIZES)
    assert np.array_equal(ours.array(), plain.array())
    # The samples that are read are equal, what the data sets hold before collate_fn is not.
    a, b = ours.fingerprint, plain.fingerprint
    assert {name for name in a.keys() | b.keys() if a[name] != b[name]} == {"dataset_content"}


def test_samples_of_many_kinds(tmp_path):
    whole = sketch_dataset(Linear(), DATA, tmp_path / "s", **SIZES).array()
    for name, samples in {
        "tuples": list(zip(X, Y, strict=True)),
        "dicts": [{"x": x, "text": str(i), "n": i} for i, x in enumerate(X)],
        "arrays": [(x.numpy(), i) for i, x in enumerate(X)],
    }.items():
        found = sketch_dataset(Linear(), samples, tmp_path / name, **SIZES)
        assert np.array_equal(found.array(), whole), name


def test_hugging_face(tmp_path, store):
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict({"x": X.numpy(), "y": Y.numpy()}).with_format("torch")
    found = sketch_dataset(Linear(), rows, tmp_path / "hf", **SIZES)
    assert np.array_equal(found.array(), store.array())
    assert sketch_dataset(Linear(), rows, tmp_path / "hf", **SIZES).complete
    with pytest.raises(ValueError, match="differs in dataset_fingerprint"):
        sketch_dataset(Linear(), rows.select(range(52, -1, -1)), tmp_path / "hf", **SIZES)
    for refused in (rows.to_iterable_dataset(), datasets.DatasetDict(train=rows)):
        with pytest.raises(TypeError, match=r"dataset: expected samples by row number"):
            sketch_dataset(Linear(), refused, tmp_path / "none", **SIZES)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(DATA)


class Augmented:
    def __len__(self):
        return N

    def __getitem__(self, row):
        return X[row] * torch.rand(()), Y[row]


@pytest.mark.parametrize(
    ("dataset", "error", "message"),
    [
        (DataLoader(DATA, 4, shuffle=True), ValueError, "got others when asked .* shuffle=False"),
        (DataLoader(DATA, 4, drop_last=True), ValueError, r"got \d+ rows of .* drop_last=False"),
        (DataLoader(DATA, None), ValueError, "of batches, got .* batch_size=None"),
        (DataLoader(DATA, 4, sampler=[0, 1]), ValueError, "hold each row once.* got 2 rows of"),
        (DataLoader(DATA, batch_sampler=[[0], [1]]), ValueError, "each row once.* got 2 rows"),
        (DataLoader(Stream(), 4), TypeError, "by row number .* got Stream"),
        (Stream(), TypeError, "by row number .* got Stream"),
        ((X, Y), TypeError, r"TensorDataset\(inputs, labels\) .* got tuple"),
        (iter(DATA), TypeError, "by row number"),
        ([], ValueError, "dataset: expected at least one sample"),
        (Augmented(), ValueError, "read the same each time, got another row 0 .*augmentation"),
        ([X[0] * torch.nan, X[1]], TypeError, "dataset: expected"),
    ],
)
def test_refused_datasets(tmp_path, dataset, error, message):
    if isinstance(dataset, list) and dataset:
        dataset = DataLoader(dataset, collate_fn=set)
    with pytest.raises(error, match=message):
        sketch_dataset(Linear(), dataset, tmp_path / "s", progress=False)
    assert not (tmp_path / "s").exists()


def test_bad_arguments(tmp_path):
    def call(sketcher=None, **options):
        return lambda: sketch_dataset(
            sketcher or Linear(), DATA, tmp_path, **{"progress": False, **options}
        )

    def sketches(change):
        sketcher = Linear()
        return Altered(sketcher, lambda b, ids: change(sketcher(b, ids)))

    def refuse(Z):
        raise ValueError("batch: NaN in sample 2")

    for use, error, message in (
        (call(batch_size=0), ValueError, "batch_size: .* got 0"),
        (call(shard_rows=0), ValueError, "shard_rows: .* got 0"),
        (call(resume=1), TypeError, "resume: expected True or False"),
        (call(progress=1), TypeError, "progress: expected True or False"),
        (call(sketches(lambda Z: Z[1:])), ValueError, r"expected shape \(53, 4\) .* got \(52, 4\)"),
        (call(sketches(torch.Tensor.half)), TypeError, "sketcher: expected float32 or float64"),
        (call(sketches(refuse)), ValueError, "dataset: in rows 0 to 52: batch: NaN in sample 2"),
    ):
        with pytest.raises(error, match=message):
            use()
    assert stored(tmp_path) == {}


def test_a_writer_that_was_taken_for_dead(store, monkeypatch):
    """Its unfinished file is removed; the shard is there, by the other."""
    from skmm_fast.sketch import store as module

    def gone(path, write):
        raise FileNotFoundError(path)

    monkeypatch.setattr(module, "write_whole", gone)
    rows = np.zeros((10, M), np.float32)
    store._write(2, rows, np.zeros(10, np.int64))
    store._file(2).unlink()
    with pytest.raises(FileNotFoundError):
        store._write(2, rows, np.zeros(10, np.int64))
