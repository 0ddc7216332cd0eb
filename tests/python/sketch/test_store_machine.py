"""A store under random stops, damage and repairs: its rows are those of one unbroken run, or it is
refused."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from support.damage import at_most
from support.dying import Killed, dying, killed_while, raising
from support.examples import examples
from torch.utils.data import DataLoader, TensorDataset

import skmm_fast as skmm
from skmm_fast._support import claims
from skmm_fast._support.claims import Claims
from skmm_fast.gradients import sketch_dataset
from skmm_fast.sketch.manifest import MANIFEST

N, M = 22, 4
NEVER = 10**6  # a number of file operations that no run makes


class Rows:
    """Sketches samples (B, 6) of integers by a Γ whose entries are ±1/2: without any rounding."""

    def __init__(self, seed=0, out_dim=M, dtype=np.float32, n_threads=1):
        self.sketch = skmm.SparseSign(6, out_dim, nnz_per_row=4, seed=seed)
        self.dtype, self.n_threads = dtype, n_threads

    def __call__(self, batch, sample_ids=None):
        x = batch[0].numpy().astype(self.dtype)
        return torch.from_numpy(self.sketch.apply(x, n_threads=self.n_threads))

    def forget(self):
        pass

    def fingerprint(self):
        return {"seed": self.sketch.seed}


def samples(shift=0):
    return torch.from_numpy(np.random.default_rng(0).integers(-9, 9, (N, 6)) + shift)


DATA = TensorDataset(samples())
# Z = GΓ in one product
REFERENCE = (samples().numpy() @ skmm.SparseSign(6, M, nnz_per_row=4).toarray()).astype(np.float32)

REFUSED = {
    "seed": {"sketcher": Rows(seed=1)},
    "sketch_dim": {"sketcher": Rows(out_dim=5)},
    "dtype": {"sketcher": Rows(dtype=np.float64)},
    "batch_size": {"batch_size": 3},
    "shard_rows": {"shard_rows": 7},
    "n_samples": {"dataset": TensorDataset(samples()[:-1])},
    "dataset_content": {"dataset": TensorDataset(samples(1))},
    "resume=False": {"resume": False},
}


class Store(RuleBasedStateMachine):
    """A folder, and what the test knows of it: the files of an unbroken run, and which of those in
    the folder were damaged."""

    @initialize(
        shard_rows=st.sampled_from([4, 5, 8, 22, 30]),
        batch_size=st.integers(1, 6),
        done=st.booleans(),
    )
    def begin(self, shard_rows, batch_size, done):
        # A claim that its living writer could not end keeps others waiting for so long.
        self.waits, (claims.STALE, claims.BEAT) = (claims.STALE, claims.BEAT), (4.0, 0.5)
        self.root = Path(tempfile.mkdtemp())
        self.path = self.root / "store"
        self.sizes = {"batch_size": batch_size, "shard_rows": shard_rows}
        with dying(NEVER, raising):
            unbroken = self.sketch(path=self.root / "unbroken")
        self.files = {f.name: f.read_bytes() for f in unbroken.path.iterdir()}
        self.shards = sorted(self.files.keys() - {MANIFEST})
        self.damaged = {}  # name -> whether rows, type or shape cannot be those that were written
        if done:
            self.finish()

    def teardown(self):
        claims.STALE, claims.BEAT = getattr(self, "waits", (claims.STALE, claims.BEAT))
        shutil.rmtree(getattr(self, "root", "nothing"), ignore_errors=True)

    def sketch(self, **other):
        given = {"sketcher": Rows(), "dataset": DATA, "path": self.path, **self.sizes, **other}
        return sketch_dataset(progress=False, **given)

    def there(self):
        """Names of the files that exist, but for what a killed writer left."""
        return {f.name for f in self.path.glob("*") if f.name in self.files}

    def whole(self):
        return self.there() == self.files.keys() and not self.damaged

    def attempt(self, act):
        """Do this; of a damaged store it may be refused, by name."""
        try:
            act()
        except ValueError as error:
            self.require_named(error)
            assert self.damaged
        else:
            assert MANIFEST not in self.damaged

    def require_named(self, error):
        """The error says which file, what was expected, and what to do."""
        said = str(error)
        assert str(self.path) in said
        assert "expected" in said
        assert "; " in said

    @rule(
        at=st.integers(0, 60),
        real=st.sampled_from([False, False, False, True]),
        n_threads=st.sampled_from([1, 2, 3]),
        loader=st.booleans(),
    )
    def run(self, at, real, n_threads, loader):
        """Sketch, up to a file operation where the writer dies; with other threads, by a loader."""
        other = {"sketcher": Rows(n_threads=n_threads)}
        if loader:
            other["dataset"] = DataLoader(DATA, batch_size=self.sizes["batch_size"])

        def act():
            self.sketch(**other)

        if real:
            killed_while(act, at)
            return
        with dying(at, raising):
            try:
                self.attempt(act)
            except Killed:
                return

    @rule()
    def finish(self):
        with dying(NEVER, raising):
            self.attempt(self.sketch)
        assert self.damaged or self.whole()
        assert not [f for f in self.path.glob("*.tmp") if not self.damaged]

    @rule(name=st.sampled_from(sorted(REFUSED)))
    def run_of_another(self, name):
        """It is refused by the name of what differs, and nothing is changed."""
        if MANIFEST not in self.there() or self.damaged:
            return
        if name == "shard_rows" and self.sizes["shard_rows"] == 7:
            return
        before = {f: (self.path / f).read_bytes() for f in self.there()}
        if name == "batch_size" and self.sizes["batch_size"] == 3:
            return
        with pytest.raises(ValueError, match=name), dying(NEVER, raising):
            self.sketch(**REFUSED[name])
        assert {f: (self.path / f).read_bytes() for f in self.there()} == before

    @precondition(lambda self: MANIFEST in self.there() and not self.damaged)
    @rule(of=st.integers(1, 4), data=st.data())
    def one_of_many_writers(self, of, data):
        """It makes its part, whatever is there of others."""
        number = data.draw(st.integers(0, of - 1))
        with dying(NEVER, raising):
            store = self.sketch(num_shards=of, shard_id=number)
        assert not set(store._part(number, of)) & set(store.missing)
        assert not list(self.path.glob("*.claim"))

    @precondition(lambda self: self.path.exists())
    @rule(shard=st.integers(0, 5))
    def a_claim_of_a_process_that_is_gone(self, shard):
        if MANIFEST in self.there():
            claims = Claims(self.path)
            if claims.take(f"shard-{shard:05}.npy"):
                file = self.path / f"shard-{shard:05}.npy.claim"
                file.write_text(file.read_text().replace(f"\n{os.getpid()}", "\n999999999"))

    @precondition(lambda self: self.path.exists())
    @rule(name=st.sampled_from([MANIFEST, "shard-00000.npy", "shard-00001.npy"]), data=st.binary())
    def leftovers(self, name, data):
        if MANIFEST in self.there():
            (self.path / f"{name}.0a.tmp").write_bytes(data)

    @precondition(lambda self: self.there() & set(self.shards))
    @rule(data=st.data(), kind=st.sampled_from(["flip", "cut", "add", "empty", "fifo", "swap"]))
    def damage_a_shard(self, data, kind):
        name = data.draw(st.sampled_from(sorted(self.there() & set(self.shards))))
        if name in self.damaged:
            return
        file, content = self.path / name, self.files[name]
        begin = content.index(b"\n") + 1  # of the rows
        if kind == "flip":
            of_header = data.draw(st.booleans())
            first, last = (0, begin) if of_header else (begin, len(content))
            place = data.draw(st.integers(first, last - 1))
            bit = 1 << data.draw(st.integers(0, 7))
            content = content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]
        elif kind == "cut":
            content = content[: data.draw(st.integers(0, len(content) - 1))]
        elif kind == "add":
            content += data.draw(st.binary(min_size=1, max_size=20))
        elif kind == "empty":
            content = b""
        elif kind == "swap":
            other = data.draw(st.sampled_from(self.shards))
            if other == name:
                return
            content = self.files[other]
        file.unlink()
        if kind == "fifo":
            os.mkfifo(file)
        else:
            file.write_bytes(content)
        self.damaged[name] = kind != "flip" or place >= begin

    @precondition(lambda self: MANIFEST in self.there() and not self.damaged)
    @rule(data=st.data())
    def damage_the_manifest(self, data):
        content = self.files[MANIFEST]
        place = data.draw(st.integers(0, len(content) - 1))
        cut = data.draw(st.booleans())
        (self.path / MANIFEST).write_bytes(content[:place] + (b"" if cut else b"\x00"))
        self.damaged[MANIFEST] = True

    @rule(data=st.data())
    def lose_a_shard(self, data):
        name = data.draw(st.sampled_from(self.shards))
        (self.path / name).unlink(missing_ok=True)
        self.damaged.pop(name, None)

    @precondition(lambda self: self.damaged)
    @rule()
    def repair(self):
        """As the errors say: delete a shard; bring back the manifest."""
        for name in self.damaged:
            (self.path / name).unlink()
        if MANIFEST in self.damaged:
            (self.path / MANIFEST).write_bytes(self.files[MANIFEST])
        self.damaged.clear()

    @precondition(lambda self: self.whole())
    @rule(n=st.integers(1, N), n_threads=st.sampled_from([1, 2]))
    def select(self, n, n_threads):
        by_store = skmm.select(skmm.SketchStore(self.path), n, n_threads=n_threads)
        assert np.array_equal(by_store.indices, skmm.select(REFERENCE, n, n_threads=1).indices)

    @invariant()
    def files_are_those_of_an_unbroken_run(self):
        for name in self.there() - self.damaged.keys():
            assert (self.path / name).read_bytes() == self.files[name], name

    @invariant()
    def rows_are_the_reference_or_refused(self):
        if MANIFEST not in self.there():
            with pytest.raises(FileNotFoundError):
                skmm.SketchStore(self.path)
            return
        for read in (lambda s: s.array(), lambda s: s.verify()):
            try:
                with at_most(30):
                    rows = read(skmm.SketchStore(self.path))
            except ValueError as error:
                self.require_named(error)
                assert self.damaged or not self.whole()
            else:
                assert not any(self.damaged.values())
                assert rows is None or rows.tobytes() == REFERENCE.tobytes()
        if self.whole():
            assert np.array_equal(skmm.SketchStore(self.path).array(), REFERENCE)


TestStore = Store.TestCase
TestStore.settings = examples(20, 12)
