"""Which settings of V-optimal selection are safe? Writes results/default.json.

V-optimal selection on the tasks of real.py: what it sees, rows as they are or of unit norm, the
width and the kind of the sketch, with and without counts per class.
"""

from __future__ import annotations

from typing import Any

import torch
from threadpoolctl import threadpool_limits

import quality
from common import result_path, write
from compare import METHODS, Method, compare
from real_tasks import TASKS

BOTH = ("labels", "features")


def wide(share: float) -> Method:
    """A sketch of share n dimensions."""
    return Method("v-optimal", lambda n: {"sketch_dim": round(share * n)}, sees=BOTH)


VARIANTS = {
    "uniform": METHODS["uniform"],
    "class-balanced": METHODS["class-balanced"],
    "v-optimal": Method("v-optimal"),
    "unit rows": Method("v-optimal", {"unit_rows": True}),
    "m = n": wide(1),
    "m = 3n/4": wide(3 / 4),
    "m = n/4": wide(1 / 4),
    "m = n/8": wide(1 / 8),
    "gaussian": Method("v-optimal", {"sketch": "gaussian"}, sees=("labels",)),
    "grouped-sign": Method("v-optimal", {"sketch": "grouped-sign"}, sees=("labels",)),
    "proportional": Method("v-optimal", {"per_class": "proportional"}, ("y",), BOTH),
    "balanced": Method("v-optimal", {"per_class": "balanced"}, ("y",), BOTH),
}


def main() -> None:
    torch.set_num_threads(1)
    threadpool_limits(1, "blas")
    rows: list[dict[str, Any]] = []
    for name, setting in TASKS.items():
        try:
            rows += compare(
                setting.make,
                VARIANTS,
                setting.counts[:2],
                range(setting.seeds),
                n_threads=1,
                progress=True,
            )
        except ModuleNotFoundError as error:
            print(f"{name}: skipped, {error}")
    print("\n\n".join(quality.tables(rows)))
    write(result_path("default"), rows)


if __name__ == "__main__":
    main()
