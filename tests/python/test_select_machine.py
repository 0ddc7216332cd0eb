"""`select` under random constraints: what every selection holds, and the same answer for the same
rows, whatever their type and the number of threads."""

import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from support.examples import examples
from support.problems import check, problems

import skmm_fast as skmm
from skmm_fast._support.claims import Claims
from skmm_fast.methods.registry import REGISTRY
from skmm_fast.sketch.manifest import Manifest
from skmm_fast.sketch.store import made, prepared

torch = pytest.importorskip("torch")

METHODS = [name for name, method in REGISTRY.items() if not method.needs]
TYPES = {
    32: ["float16", "float32", "strided32", "tensor16", "tensor32", "memmap32", "store32", "csr32"],
    64: ["float64", "strided64", "tensor64", "memmap64", "store64", "csr64"],
}
KINDS = (None, "proportional", "balanced", "sqrt", 0.3, "counts")


def strided(x):
    """The same rows, with room behind each."""
    return np.pad(x, ((0, 0), (0, 3)))[:, : x.shape[1]]


class Select(RuleBasedStateMachine):
    """A problem, and the answers that were given to it."""

    @initialize(problem=problems(KINDS))
    def begin(self, problem):
        self.root = Path(tempfile.mkdtemp())
        self.made = 0
        self.pose(problem)

    def teardown(self):
        shutil.rmtree(getattr(self, "root", "nothing"), ignore_errors=True)

    @rule(problem=problems(KINDS))
    def another_problem(self, problem):
        self.pose(problem)

    def pose(self, problem):
        # Quarters of small integers are the same numbers in 8 bits of a significand and in 53.
        Z = np.clip(np.round(problem[0] * 4), -200, 200) / 4
        assume(Z.any())
        self.Z, self.problem = Z, (Z, *problem[1:])
        self.answers, self.last = {}, None

    def rows(self, kind):
        """The rows as this type, and what types give the same answer."""
        Z, single = self.Z, self.Z.astype(np.float32)
        self.made += 1
        file = self.root / f"{self.made}"
        if kind.startswith("memmap"):
            x = single if kind == "memmap32" else Z
            np.save(file.with_suffix(".npy"), x)
            return np.load(file.with_suffix(".npy"), mmap_mode="r")
        if kind.startswith("store"):
            x = single if kind == "store32" else Z
            shard_rows = max(1, len(x) // 3)
            prepared(file)
            manifest = Manifest(*x.shape, str(x.dtype), 2, shard_rows, {})
            store = made(file, manifest, Claims(file))
            for k in store.missing:
                store._write(k, np.ascontiguousarray(x[list(store._rows(k))]))
            return store
        return {
            "float16": lambda: Z.astype(np.float16),
            "float32": lambda: single,
            "float64": lambda: Z,
            "strided32": lambda: strided(single),
            "strided64": lambda: strided(Z),
            "tensor16": lambda: torch.from_numpy(single).bfloat16(),
            "tensor32": lambda: torch.from_numpy(single),
            "tensor64": lambda: torch.from_numpy(Z),
            "csr32": lambda: sp.csr_array(single),
            "csr64": lambda: sp.csr_array(Z),
        }[kind]()

    @rule(
        width=st.sampled_from(sorted(TYPES)),
        data=st.data(),
        method=st.sampled_from(METHODS),
        seed=st.sampled_from([0, 2**64 - 1]),
        narrow=st.booleans(),
    )
    def choose(self, width, data, method, seed, narrow):
        """The same choice from two types of rows, or with two numbers of threads."""
        kinds = st.sampled_from([(kind, k) for kind in TYPES[width] for k in (1, 2, 3)])
        for kind, n_threads in data.draw(st.lists(kinds, min_size=2, max_size=2)):
            labels = data.draw(st.sampled_from([list, np.array]))
            self.choose_from(kind, n_threads, labels, width, method, seed, narrow)

    def choose_from(self, kind, n_threads, labels, width, method, seed, narrow):
        Z, y, n, per_class, include, exclude, _ = self.problem
        sketch_dim = max(1, Z.shape[1] - 1) if narrow else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            selection = skmm.select(
                self.rows(kind), n, method=method, y=labels(y), per_class=per_class,
                include=include, exclude=exclude, seed=seed, n_threads=n_threads,
                sketch_dim=sketch_dim,
            )  # fmt: skip
        check(selection.indices, self.problem)
        diagnosis = selection.diagnosis
        assert diagnosis.n == n == len(selection.weights)
        assert abs(selection.weights.mean() - 1) < 1e-9
        assert (selection.weights >= 0).all()
        if np.isfinite(diagnosis.v_optimality):
            assert diagnosis.lower_bound <= diagnosis.v_optimality * (1 + 1e-9)
        self.last = selection
        if not kind.startswith("csr"):  # whose sums have another order
            first = self.answers.setdefault((width, method, seed, narrow), selection)
            assert np.array_equal(selection.indices, first.indices)
            assert np.array_equal(selection.weights, first.weights)
            assert diagnosis.plain() == first.diagnosis.plain()

    @precondition(lambda self: getattr(self, "last", None) is not None)
    @rule(suffix=st.sampled_from([".npz", ".json", ""]))
    def save_and_load(self, suffix):
        back = skmm.Selection.load(self.last.save(self.root / f"chosen{suffix}"))
        assert np.array_equal(back.indices, self.last.indices)
        assert np.array_equal(back.weights, self.last.weights)
        assert back.settings == self.last.settings
        assert back.diagnosis.plain() == self.last.diagnosis.plain()
        assert back.picture.keys() == self.last.picture.keys()
        if suffix != ".json":  # which keeps no picture
            assert all(np.array_equal(back.picture[k], x) for k, x in self.last.picture.items())
        samples = list(range(len(self.Z)))
        assert back.subset(samples) == self.last.indices.tolist()


TestSelect = Select.TestCase
TestSelect.settings = examples(20, 12)
