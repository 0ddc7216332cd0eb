"""Which settings of `select` are safe to have by default? Writes results/default.json.

V-optimal selection on the tasks of real.py: what it sees, rows as they are or of unit norm, the
width and the kind of the sketch, with and without counts per class. Under ten minutes on two cores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from threadpoolctl import threadpool_limits

import quality
from common import RESULTS, write
from compare import METHODS, Method, Task, compare
from real_tasks import TASKS

UNIT = ", unit rows"
BOTH = ("labels", "features")
LABELLED = ("labels", "labels" + UNIT, "features")


def wide(share: float) -> Method:
    """A sketch of share n dimensions."""
    return Method("v-optimal", lambda n: {"sketch_dim": round(share * n)}, sees=BOTH)


VARIANTS = {
    "uniform": METHODS["uniform"],
    "class-balanced": METHODS["class-balanced"],
    "v-optimal": Method(
        "v-optimal", sees=("labels", "random", "features", "labels" + UNIT, "features" + UNIT)
    ),
    "m = n": wide(1),
    "m = 3n/4": wide(3 / 4),
    "m = n/4": wide(1 / 4),
    "m = n/8": wide(1 / 8),
    "gaussian": Method("v-optimal", {"sketch": "gaussian"}, sees=("labels",)),
    "grouped-sign": Method("v-optimal", {"sketch": "grouped-sign"}, sees=("labels",)),
    "proportional": Method("v-optimal", {"per_class": "proportional"}, ("y",), LABELLED),
    "balanced": Method("v-optimal", {"per_class": "balanced"}, ("y",), LABELLED),
}


def unit_rows(X: Any) -> Any:
    if sp.issparse(X):
        norms = np.sqrt(X.multiply(X).sum(1))
        return sp.csr_array(
            (X.data / np.repeat(np.maximum(norms, 1e-30), np.diff(X.indptr)), X.indices, X.indptr),
            shape=X.shape,
        ).astype(X.dtype)
    norms = np.linalg.norm(X, axis=1, keepdims=True)
    return X / np.maximum(norms, np.float32(1e-30))


def with_unit_rows(make: Callable[[int], Task]) -> Callable[[int], Task]:
    def made(seed: int) -> Task:
        task = make(seed)
        more = {name + UNIT: unit_rows(X) for name, X in task.pool.items() if name in BOTH}
        return replace(task, pool={**task.pool, **more})

    return made


def main() -> None:
    torch.set_num_threads(1)
    threadpool_limits(1, "blas")
    rows: list[dict[str, Any]] = []
    for name, setting in TASKS.items():
        try:
            rows += compare(
                with_unit_rows(setting.make),
                VARIANTS,
                setting.counts[:2],
                range(setting.seeds),
                n_threads=1,
                progress=True,
            )
        except ModuleNotFoundError as error:
            print(f"{name}: skipped, {error}")
    print("\n\n".join(quality.tables(rows)))
    write(RESULTS / "default.json", rows)


if __name__ == "__main__":
    main()
