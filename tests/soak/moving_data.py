"""Data that change during a call. Another thread writes to the arrays that a call reads, or a file
is cut short behind its memory map.

    python tests/soak/moving_data.py --rounds 20

Arrays: the call gives a result, which is that of no one state of the array, or an error, and the
process goes on. Files: the system ends the process with SIGBUS, as it does where NumPy reads such a
map; or the call is over before it reads what is gone.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from calls import machine
from numpy.typing import NDArray

import skmm_fast as skmm

METHODS = "auto", "v-optimal", "moment-matching", "herding", "k-center"
KINDS = [
    *(f"dense rows, {method}" for method in METHODS),
    "a sketch of dense rows",
    "values of CSR rows",
    "indices of CSR rows",
    "labels",
]
TAME = [0, 1, 2, 3, 7]
WILD = {"f": [np.nan, np.inf, -1e300, 1e300], "i": [-(2**31), 2**31 - 1]}


def while_changing(array: NDArray, seconds: float, wild: bool, call: Callable[[], object]) -> str:
    """What a call gives while a thread changes the array that it reads, for a time: the
    exchanges of V-optimal selection go on as long as the rows change."""
    ended = time.monotonic() + seconds
    with np.errstate(over="ignore"):
        values = np.array(TAME + wild * WILD[array.dtype.kind]).astype(array.dtype)
    before = array.copy()

    def write() -> None:
        rng = np.random.default_rng(0)
        while time.monotonic() < ended:
            array.flat[rng.integers(array.size, size=100)] = rng.choice(values, 100)
            array[...] = before

    thread = threading.Thread(target=write)
    thread.start()
    try:
        call()
        return "result"
    except Exception as error:
        return type(error).__name__
    finally:
        thread.join()


def change(kind: str, seconds: float, wild: bool) -> str:
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((6000, 12))
    y = np.arange(len(Z)) % 5
    G = rng.standard_normal((500, 20_000)).astype(np.float32)
    A = sp.csr_array(G * (G > 1.5))
    S = skmm.SparseSign(G.shape[1], 64)
    array, call = {
        **{
            f"dense rows, {method}": (Z, partial(skmm.select, Z, 60, method=method, n_threads=2))
            for method in METHODS
        },
        "a sketch of dense rows": (G, lambda: S.apply(G, n_threads=2)),
        "values of CSR rows": (A.data, lambda: S.apply(A, n_threads=2)),
        "indices of CSR rows": (A.indices, lambda: S.apply(A, n_threads=2)),
        "labels": (y, lambda: skmm.select(Z, 60, y=y, n_threads=2)),
    }[kind]
    with np.errstate(all="ignore"):
        return while_changing(array, seconds, wild, call)


def truncate(path: str) -> None:
    """Sketch a memory map whose file another thread cuts short."""
    mapped = np.load(path, mmap_mode="r")
    S = skmm.Gaussian(mapped.shape[1], 256)
    cut = threading.Timer(0.02, os.truncate, (path, 4096))
    cut.start()
    S.apply(mapped, n_threads=2)


def truncated() -> str:
    """How a process ends whose memory map is cut short during a call."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        np.save(path, np.ones((4000, 5000), np.float32))
        command = [sys.executable, __file__, "--truncate", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode == 0:
        return "result"
    return signal.Signals(-done.returncode).name if done.returncode < 0 else done.stderr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.5, help="that an array changes")
    parser.add_argument("--truncate", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.truncate:
        truncate(options.truncate)
        return

    print(machine())
    for kind in KINDS:
        outcomes = [change(kind, options.seconds, i % 2 == 0) for i in range(options.rounds)]
        print(f"{kind}:", {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))})
    ends = [truncated() for _ in range(max(1, options.rounds // 5))]
    print("a memory map cut short:", {end: ends.count(end) for end in sorted(set(ends))})
    assert set(ends) <= {"result", "SIGBUS"}, ends


if __name__ == "__main__":
    main()
