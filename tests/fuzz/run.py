"""Run a fuzzer of this folder: `python tests/fuzz/run.py NAME --seconds S`.

The inputs are those of libFuzzer (by atheris), which keeps what reaches new code of the readers.
The exit status is 0 where nothing was found. See README.md.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any, NoReturn

import atheris

sys.path.insert(0, str(Path(__file__).parent))
from choices import Choices

NAMES = ("manifest", "shard", "selection", "arrays")
READERS = ["skmm_fast", "zipfile", "json", "numpy.lib"]  # code whose branches guide the inputs
LENGTH = 400  # bytes of an input, at most
SLOW = 20  # seconds that one input may take


class Run:
    """Counts inputs, and ends the process after some seconds or at a finding."""

    def __init__(self, name: str, target: Any, seconds: float, out: Path) -> None:
        self.name, self.target, self.seconds, self.out = name, target, seconds, out
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=base))
        self.began, self.inputs, self.valid = time.monotonic(), 0, 0

    def one(self, data: bytes) -> None:
        """One input. The target says whether it was valid, and raises where it finds a fault."""
        if time.monotonic() - self.began > self.seconds:
            self.end(0)
        try:
            valid = self.target(Choices(data), self.folder)
        except BaseException:
            traceback.print_exc()
            path = self.out / f"finding-{self.name}-{time.time_ns()}"
            path.write_bytes(data)
            print(f"{self.name}: a finding, written to {path}", flush=True)
            self.end(1)
        self.inputs += 1
        self.valid += valid

    def end(self, status: int) -> NoReturn:
        took = time.monotonic() - self.began
        share = self.valid / max(1, self.inputs)
        print(
            f"{self.name}: {took:.0f} s, {self.inputs} inputs, {share:.1%} valid, "
            f"{status} findings",
            flush=True,
        )
        shutil.rmtree(self.folder, ignore_errors=True)
        os._exit(status or (2 if share < 0.6 and self.inputs > 1000 else 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(), help="folder for failing inputs")
    parser.add_argument("--input", type=Path, help="run this one input again")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # what NumPy says of a damaged header
    with atheris.instrument_imports(include=READERS):
        target = importlib.import_module(f"fuzz_{args.name}").target
    args.out.mkdir(parents=True, exist_ok=True)
    run = Run(args.name, target, args.seconds, args.out)
    if args.input is not None:
        run.one(args.input.read_bytes())
        run.end(0)
    corpus = run.folder / "corpus"
    corpus.mkdir()
    rng = random.Random(args.seed)
    for k in range(200):
        (corpus / str(k)).write_bytes(rng.randbytes(rng.randrange(1, LENGTH)))
    options = {
        "seed": args.seed, "max_len": LENGTH, "len_control": 0, "timeout": SLOW,
        "rss_limit_mb": 4096, "artifact_prefix": f"{args.out}/", "print_final_stats": 0,
        "verbosity": 0,
    }  # fmt: skip
    atheris.Setup([sys.argv[0], *(f"-{k}={v}" for k, v in options.items()), str(corpus)], run.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
