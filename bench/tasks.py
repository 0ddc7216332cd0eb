"""Pools for the benches of stage 2: sketched gradients of one synthetic and two real tasks.

Nothing is downloaded. Pools are the same in each run, those of real data to the bit only where
BLAS and torch have as many threads. The text is that of the Python that runs it.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

import mixture
import skmm_fast as skmm
from skmm_fast.cli import demo
from skmm_fast.gradients import GradientSketcher

# Of text.
LINES, CLASSES, MOST, FEATURES = 4, 40, 2500, 256
SKIPPED = {
    *("site-packages", "test", "tests", "idle_test", "lib2to3"),
    *("encodings", "pydoc_data", "entities.py"),  # tables
}


class Task(NamedTuple):
    name: str
    Z: np.ndarray  # (N, m) float32, C-contiguous
    y: np.ndarray | None  # (N,) int64 classes


def gmm(m: int = 40, seed: int = 0) -> Task:
    """Sketched gradients of the paper's synthetic data, with more noise."""
    G = mixture.gmm(seed, std_max=0.1).G
    Z = skmm.SparseSign(G.shape[1], m, seed=seed).apply(G.astype(np.float32))
    return Task(f"GMM, m = {m}", Z, None)


def digits(m: int = 64) -> Task:
    """The demo's network, of five classes and with a new head, on all rows of its data."""
    data, target = load_digits(return_X_y=True)
    X, y = (data / 16).astype(np.float32), target.astype(np.int64)
    known, _, _ = demo.split(y, seed=0)
    base = demo.pretrained(X[known], y[known], seed=0)
    sketcher = GradientSketcher(base, params="last-2", targets="label", sketch_dim=m)
    return Task(f"digits, m = {m}", sketcher((torch.from_numpy(X), torch.from_numpy(y))).numpy(), y)


def text(m: int = 128) -> Task:
    """Which module of Python's standard library have these lines been taken from?

    Features x and a new linear head: the gradients of the cross-entropy are (p - e_y) ⊗ [x, 1].
    """
    windows, y = excerpts()
    X = np.column_stack([semantics(windows), np.ones(len(y), np.float32)])
    n_classes, width = int(y.max()) + 1, X.shape[1]
    head = np.random.default_rng(0).standard_normal((width, n_classes)) / np.sqrt(width)
    P = torch.from_numpy(X @ head.astype(np.float32)).softmax(1).numpy()
    P[np.arange(len(y)), y] -= 1.0
    sketch = skmm.SparseSign(n_classes * width, m)
    return Task(f"text, m = {m}", sketch.apply_outer(P, X), y)


def excerpts() -> tuple[list[str], np.ndarray]:
    """Windows of LINES lines, at most MOST of a module, and their classes: the CLASSES modules
    with most windows, largest first.
    """
    found: dict[str, list[str]] = {}
    for module, window in all_windows():
        found.setdefault(module, []).append(window)
    largest = sorted(found, key=lambda module: (-len(found[module]), module))[:CLASSES]
    rng = np.random.default_rng(0)
    windows, y = [], []
    for k, module in enumerate(largest):
        several = found[module]
        kept = np.sort(rng.permutation(len(several))[:MOST])
        windows += [several[i] for i in kept]
        y += [k] * len(kept)
    return windows, np.array(y, np.int64)


def semantics(windows: list[str]) -> np.ndarray:
    """Latent semantic features: (N, FEATURES) float32, rows of unit norm."""
    pipeline = make_pipeline(
        HashingVectorizer(
            token_pattern=r"\w+|[^\w\s]",
            ngram_range=(1, 2),
            n_features=2**16,
            alternate_sign=False,
            dtype=np.float32,
        ),
        TfidfTransformer(sublinear_tf=True),
        TruncatedSVD(FEATURES, random_state=0),
        Normalizer(),
    )
    return np.asarray(pipeline.fit_transform(windows), np.float32)


def all_windows() -> Iterator[tuple[str, str]]:
    """(top-level module, LINES consecutive lines that are not blank), without overlap."""
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(stdlib.rglob("*.py")):
        parts = path.relative_to(stdlib).parts
        module = parts[0].removesuffix(".py")
        if SKIPPED & set(parts) or module.startswith("_sysconfigdata"):
            continue
        lines = [x for x in path.read_text("utf-8", errors="replace").splitlines() if x.strip()]
        for i in range(0, len(lines) - LINES + 1, LINES):
            yield module, "\n".join(lines[i : i + LINES])
