"""The compiled module under attack: odd arguments, and a thread that writes into the arrays."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.raw_calls import Guarded, valid_calls

from skmm_fast import _core

CALLS = Path(__file__).parents[1] / "support/raw_calls.py"
RESULTS = {"Design", "FreeRows", "MomentFit", "Sampler"}  # classes without functions to call
OTHERS = {"default_threads", "isa", "run_serially"}  # they take no arguments


def attack(mode, seed, seconds, log):
    """Returns how many calls were made and how many of them were taken."""
    paths = [str(Path(p).resolve()) for p in sys.path if p]
    run = subprocess.run(
        [sys.executable, str(CALLS), mode, str(seed), str(seconds), str(log)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONFAULTHANDLER": "1"},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    last = log.read_text().strip() if log.exists() else ""
    assert run.returncode == 0, f"exit {run.returncode} in call {last}\n{run.stderr[-3000:]}"
    return [int(x) for x in run.stdout.split()]


def test_every_function_is_attacked():
    names = set(valid_calls(np.random.default_rng(0), Guarded()))
    public = {name for name in dir(_core) if not name.startswith("_")}
    assert public - RESULTS - OTHERS == {name for name in names if "." not in name} - {"free_rows"}
    for kind in ("SparseSign", "GroupedSign", "Gaussian"):
        members = {f"{kind}.{name}" for name in dir(getattr(_core, kind)) if name[0] != "_"}
        assert members <= names


def test_what_the_attack_begins_with_is_valid():
    for seed in range(4):
        for function, args in valid_calls(np.random.default_rng(seed), Guarded()).values():
            function(*args)


@pytest.mark.parametrize("seed", [0, 1])
def test_odd_arguments_do_no_harm(seed, tmp_path):
    calls, taken = attack("odd", seed, 4, tmp_path / "log")
    assert calls >= 1500
    assert taken > calls / 10


def test_a_thread_that_writes_into_indices_does_no_harm(tmp_path):
    calls, _ = attack("scribble", 0, 4, tmp_path / "log")
    assert calls > 20
