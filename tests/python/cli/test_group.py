"""Processes of torchrun or srun that choose together by one command."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch")

from skmm_fast._support.claims import Claims
from skmm_fast.cli import main
from skmm_fast.sketch.manifest import Manifest
from skmm_fast.sketch.store import made, prepared

N, M = 4000, 8
NAMES = {"torchrun": ("RANK", "WORLD_SIZE"), "srun": ("SLURM_PROCID", "SLURM_NTASKS")}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("stores") / "store"
    prepared(path)
    store = made(path, Manifest(N, M, "float32", 1000, 1000, {}), Claims(path))
    rng = np.random.default_rng(0)
    for k in store.missing:
        store._write(k, rng.standard_normal((1000, M)).astype(np.float32))
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


def run(arguments, by, size, missing=0, **environ):
    """(exit status, what it wrote) of each process, without the last ones that are missing."""
    meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), **environ}
    rank, of = NAMES[by]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
    paths = os.pathsep.join(p for p in sys.path if p)
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "skmm_fast", *map(str, arguments)],
            env={**clean, **meet, "PYTHONPATH": paths, rank: str(k), of: str(size),
                 "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for k in range(size - missing)
    ]  # fmt: skip
    said = [process.communicate(timeout=300)[0] for process in processes]
    return [(p.returncode, text) for p, text in zip(processes, said, strict=True)]


@pytest.mark.parametrize("by", NAMES)
def test_they_choose_what_one_process_chooses(store, tmp_path, by):
    arguments = ["select", store, "-n", 60, "--method", "moment-matching"]
    assert main([*map(str, arguments), "--out", str(tmp_path / "one.json")]) == 0
    first, second = run([*arguments, "--out", tmp_path / "two.json"], by, 2)
    assert first[0] == second[0] == 0, first[1] + second[1]
    assert "written: " in first[1]
    assert "written: " not in second[1]
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert one["indices"] == two["indices"]
    assert two["settings"]["n"] == 60


def test_an_error_is_one_line_of_each(store, tmp_path):
    arguments = ["select", store, "-n", N + 1, "--method", "v-optimal"]
    for status, said in run([*arguments, "--out", tmp_path / "x.json"], "torchrun", 2):
        assert status == 1
        assert "skmm-fast: n: expected" in said.splitlines()[-1], said


def test_processes_must_be_told_where_to_meet(store, tmp_path):
    arguments = ["select", store, "-n", 9, "--out", tmp_path / "x.json"]
    for status, said in run(arguments, "srun", 2, MASTER_PORT=""):
        assert status == 1
        assert "MASTER_PORT: expected where 2 processes meet" in said


def test_a_process_that_does_not_come(store, tmp_path):
    """Of three, one is missing: the others end with an error after their time."""
    arguments = ["select", store, "-n", 9, "--out", tmp_path / "x.json", "--timeout", 3]
    for status, said in run(arguments, "torchrun", 3, missing=1):
        assert status == 1, said
        assert "skmm-fast: process" in said.splitlines()[-1], said
        assert "did not all come to 127.0.0.1:" in said
