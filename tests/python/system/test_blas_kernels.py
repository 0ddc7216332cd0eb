"""Bounds of pools that hardly span on the kernels that OpenBLAS has for other processors: each
rounds products its own way."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
KERNELS = ("Prescott", "Haswell", "Zen", "SkylakeX")
ATTACK = """
from support.singular_pools import faults
for seed in range(1000, 1025):
    found = faults(seed)
    assert not found, (seed, found)
"""


@pytest.mark.parametrize("kernel", KERNELS)
def test_bounds_on_each_kernel(kernel):
    paths = [str(TESTS), *filter(None, sys.path)]
    env = {**os.environ, "OPENBLAS_CORETYPE": kernel, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-c", ATTACK], env=env, capture_output=True, text=True)
    if done.returncode == -signal.SIGILL:
        pytest.skip(f"this processor lacks the instructions of {kernel}")
    assert done.returncode == 0, done.stderr
