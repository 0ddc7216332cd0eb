"""Choose from a pool on disk: sketches to a store, stopped and continued, and a choice from the
store, beside uniform draws: python examples/larger_than_memory.py  (needs torch and scikit-learn)
"""

import argparse
import contextlib
import tempfile
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import skmm_fast as skmm
from skmm_fast.gradients import GradientSketcher, sketch_dataset

parser = argparse.ArgumentParser()
parser.add_argument("--rows", type=int, default=20_000, help="N")
N, folder = parser.parse_args().rows, Path(tempfile.mkdtemp())
digits, labels = (load_digits().images / 16).astype(np.float32), load_digits().target
rng = np.random.default_rng(0)
of = rng.integers(1200, size=N)
y, X_test, y_test = labels[of], digits[1200:].reshape(-1, 64), labels[1200:]
pool = np.lib.format.open_memmap(folder / "pool.npy", "w+", np.float32, (N, 64))
for i in range(N):  # digits, shifted by up to a pixel each way, with noise
    shifted = np.roll(digits[of[i]], rng.integers(-1, 2, 2), (0, 1))
    pool[i] = shifted.ravel() + rng.normal(0, 0.2, 64)


class Samples(torch.utils.data.Dataset):
    stop = N // 2  # where the first run ends, as by Ctrl-C

    def __len__(self):
        return N

    def __getitem__(self, i):
        if i == self.stop:
            self.stop = None
            raise KeyboardInterrupt
        return torch.from_numpy(pool[i].copy()), y[i]


torch.manual_seed(0)
model, samples = torch.nn.Linear(64, 10).eval(), Samples()
sketcher = GradientSketcher(model, params="all", sketch_dim=256)
options = {"dtype": "float16", "shard_rows": 2048, "batch_size": 256, "progress": False}
with contextlib.suppress(KeyboardInterrupt):
    sketch_dataset(sketcher, samples, folder / "sketches", **options)
print("missing shards:", skmm.SketchStore(folder / "sketches").missing)
store = sketch_dataset(sketcher, samples, folder / "sketches", **options)
store.verify()
stratified = {"method": "uniform", "per_class": "proportional"}
ways = {"uniform draws": {"method": "uniform"}, "stratified draws": stratified, "the default": {}}
for name, how in ways.items():
    for n in (100, 400):
        chosen = [skmm.select(store, n, y=y, seed=s, diagnose="none", **how) for s in range(5)]
        heads = [LogisticRegression(max_iter=300).fit(pool[c], y[c]) for c in chosen]
        accuracy = np.mean([head.score(X_test, y_test) for head in heads])
        print(f"{name:16} n = {n}: accuracy {accuracy:.3f}")
