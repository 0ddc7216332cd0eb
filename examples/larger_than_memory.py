"""Choose from a pool on disk that is never read whole: sketches to a store, stopped and continued,
and a choice from the store, beside uniform draws:
python examples/larger_than_memory.py --rows 20000     (needs torch and scikit-learn)
"""

import argparse
import contextlib
import copy
import tempfile
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import skmm_fast as skmm
from skmm_fast.gradients import GradientSketcher, sketch_dataset

parser = argparse.ArgumentParser()
parser.add_argument("--rows", type=int, default=20_000, help="N")
N = parser.parse_args().rows
folder = Path(tempfile.mkdtemp())
images, digits = (load_digits().images / 16).astype(np.float32), load_digits().target
rng = np.random.default_rng(0)
pool = np.lib.format.open_memmap(folder / "images.npy", "w+", np.float32, (N, 8, 8))
y = np.empty(N, np.int64)
for i in range(N):  # digits, shifted by up to a pixel each way, with noise
    k = rng.integers(1200)
    shifted = np.roll(images[k], rng.integers(-1, 2, 2), (0, 1))
    pool[i], y[i] = shifted + 0.2 * rng.standard_normal((8, 8)), digits[k]


class Images(torch.utils.data.Dataset):
    """Rows are read one by one from the file; Ctrl-C comes once, in the middle."""

    stop = N // 2

    def __len__(self):
        return N

    def __getitem__(self, i):
        if i == self.stop:
            self.stop = None
            raise KeyboardInterrupt
        return torch.from_numpy(pool[i].flatten()), y[i]
