"""What checks of arguments and labels take of a selection with counts per class, N = 10⁷."""

from __future__ import annotations

from typing import Any

import numpy as np

import skmm_fast as skmm
from common import save, seconds
from skmm_fast._support import arrays
from skmm_fast.methods.constraints import constraints_of
from skmm_fast.methods.labels import labels_of

N, M, CHOSEN, CLASSES = 10**7, 8, 10_000, 50


def measure(Z: np.ndarray, y: np.ndarray, method: str) -> dict[str, Any]:
    def once(call: Any) -> float:
        return seconds(call, repeats=3, warm_up=0.0)

    def constrained() -> Any:
        return constraints_of(N, CHOSEN, labels, "proportional", None, None)

    labels, limits = labels_of(y, N), None
    limits = constrained()
    parts = {
        "matrix": once(lambda: arrays.matrix("X", Z)),
        "labels as numbers": once(lambda: labels_of(y, N)),
        "constraints": once(lambda: constrained().core),
        "free rows": once(lambda: limits.core.free_rows().rows),
    }
    options = {"y": y, "per_class": "proportional", "n_threads": 2}
    whole = once(lambda: skmm.select(Z, CHOSEN, method=method, **options))
    case = f"N = 10⁷, m = {M}, n = 10⁴, {CLASSES} classes of {y.dtype.kind}, {method}"
    return {"case": case, **parts, "select": whole, "share": sum(parts.values()) / whole}


def main() -> None:
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((N, M), dtype=np.float32)
    y = rng.integers(0, CLASSES, N)
    names = np.char.add("c", np.arange(CLASSES).astype(str))[y]
    rows = [measure(Z, y, "uniform"), measure(Z, y, "v-optimal"), measure(Z, names, "v-optimal")]
    save("checks", rows)


if __name__ == "__main__":
    main()
