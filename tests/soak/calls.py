"""The calls that the soak tests repeat: every kind of sketch, and a selection by every method."""

from collections.abc import Callable
from functools import partial

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

import skmm_fast as skmm
from skmm_fast import _core

Call = Callable[[], NDArray]


def sketches(rows: int, n_threads: int) -> dict[str, Call]:
    """Name -> a sketch of `rows` rows, dense in three types, CSR, or outer products."""
    G = np.random.default_rng(0).standard_normal((rows, 3000)).astype(np.float32)
    sparse = sp.csr_array(G * (G > 1))
    calls: dict[str, Call] = {}
    for kind in (skmm.SparseSign, skmm.GroupedSign, skmm.Gaussian):
        S = kind(G.shape[1], 48, seed=3)
        for name, X in {"float32": G, "float16": G.astype(np.float16), "CSR": sparse}.items():
            calls[f"{kind.__name__} of {name}"] = partial(S.apply, X, n_threads=n_threads)
        calls[f"{kind.__name__} of outer products"] = partial(
            S.apply_outer, G[:, :50], G[:, 50:110], n_threads=n_threads
        )
    return calls


def selections(rows: int, n_threads: int, dtype: type = np.float64) -> dict[str, Call]:
    """Name -> the rows chosen of `rows` rows of 12 columns: by each method, and from CSR rows."""
    Z = np.random.default_rng(0).standard_t(3, size=(rows, 12)).astype(dtype)
    y = np.arange(rows) % 4
    probs = np.abs(Z[:, :4]) + 0.1
    probs /= probs.sum(axis=1, keepdims=True)
    predicted, towards = {"probs": probs}, {"target": Z[: rows // 20]}
    needs = {
        "auto": {"y": y, "pilot": "linear"},
        "class-balanced": {"y": y},
        **dict.fromkeys(("glister", "less", "rds"), towards),
        **dict.fromkeys(("entropy", "margin", "least-confidence"), predicted),
        "contextual-diversity": predicted,
        "el2n": {"probs": probs, "y": y},
        "deepfool": {"logits": Z[:, :4].copy(), "head": np.eye(4, dtype=dtype)},
        "forgetting": {"record": Z.T > 0},
    }
    for_target = partial(chosen, Z, rows // 10, method="v-optimal", n_threads=n_threads, **towards)
    wide = sp.csr_array(np.tile(Z, (1, 3)) > 1, dtype=dtype)
    return {
        **{
            method: partial(
                chosen, Z, rows // 10, method=method, n_threads=n_threads, **needs.get(method, {})
            )
            for method in skmm.METHODS
        },
        "v-optimal for a target": for_target,
        "CSR rows": partial(chosen, wide, rows // 10, sketch_dim=8, n_threads=n_threads),
    }


def chosen(X: object, n: int, **options: object) -> NDArray:
    return skmm.select(X, n, **options).indices


def machine() -> str:
    """The processor and the instruction set, for a report."""
    with open("/proc/cpuinfo") as file:
        lines = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{lines[0] if lines else 'unknown'} ({len(lines)} cores, {_core.isa})"
