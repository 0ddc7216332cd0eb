"""The scripts of tests/soak, each for a moment. `make soak` runs them at length."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.sanitizers import limits_addresses

SOAK = Path(__file__).parents[2] / "soak"


@pytest.mark.parametrize(
    "command",
    [
        "memory.py --calls 50 --threads 2",
        "threads.py --threads 4 --seconds 1",
        "children.py --rounds 1 --calls v-optimal",
        pytest.param(
            "address_space.py --rows 2000 --threads 1 --sizes 1 --calls v-optimal herding",
            marks=limits_addresses,
        ),
        "moving_data.py --rounds 1 --seconds 0.05",
    ],
    ids=lambda command: command.partition(".")[0],
)
def test_a_moment_of(command):
    script, *options = command.split()
    done = subprocess.run(
        [sys.executable, SOAK / script, *options],
        env={**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
