"""Which part of a job a process makes: by flags, torchrun or SLURM; and what is left to submit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skmm_fast.cli.part import Part, part_of, runs

RANK = {"RANK": "2", "WORLD_SIZE": "3"}
TASK = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "64"}
PROCESS = {"SLURM_PROCID": "1", "SLURM_NTASKS": "4"}
BATCH = {"SLURM_JOB_ID": "5"}
NODES = {"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "LOCAL_WORLD_SIZE": "8"}  # srun, then torchrun
ALONE = {"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}  # what sbatch sets for one task
BOUNDS = ("SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX", "SLURM_ARRAY_TASK_STEP")


def array(task, count, *bounds):
    said = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_COUNT": count}
    return {k: str(v) for k, v in {**said, **dict(zip(BOUNDS, bounds, strict=False))}.items()}


@pytest.mark.parametrize(
    ("flags", "environ", "number", "of", "by"),
    [
        ((None, None), {}, 0, 1, ""),
        ((8, 3), {}, 3, 8, "--shard-id"),
        ((None, None), RANK, 2, 3, "RANK"),
        ((None, None), TASK, 7, 64, "SLURM_ARRAY_TASK_ID"),
        ((None, None), PROCESS, 1, 4, "SLURM_PROCID"),
        ((None, None), TASK | ALONE, 7, 64, "SLURM_ARRAY_TASK_ID"),
        ((None, None), TASK | PROCESS, 29, 256, "SLURM_ARRAY_TASK_ID and SLURM_PROCID"),
        ((None, None), TASK | RANK, 23, 192, "SLURM_ARRAY_TASK_ID and RANK"),
        ((8, 3), RANK, 11, 24, "--shard-id and RANK"),
        ((64, 9), TASK | ALONE, 9, 64, "--shard-id"),  # a task of an array that is submitted again
        # torchrun on each of 4 nodes, with 2 processes each.
        ((None, None), PROCESS | {"RANK": "5", "WORLD_SIZE": "8"}, 5, 8, "RANK"),
        ((None, None), array(5, 3, 1, 9, 4), 1, 3, "SLURM_ARRAY_TASK_ID"),
        ((None, None), array(3, 4, 0, 3, 1), 3, 4, "SLURM_ARRAY_TASK_ID"),
        ((None, None), {"RANK": "", "WORLD_SIZE": ""}, 0, 1, ""),
        # A batch script is one process: it has no step, and the number of tasks if that was asked.
        ((None, None), BATCH | TASK | {"SLURM_PROCID": "0"}, 7, 64, "SLURM_ARRAY_TASK_ID"),
        ((64, 9), BATCH | TASK | {"SLURM_PROCID": "0"}, 9, 64, "--shard-id"),
        ((None, None), BATCH | {"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, 0, 1, ""),
        ((None, None), BATCH | {"SLURM_NTASKS": "8"}, 0, 1, ""),  # the shell of salloc
        ((None, None), BATCH | PROCESS | {"SLURM_STEP_ID": "0"}, 1, 4, "SLURM_PROCID"),
        ((None, None), NODES | {"RANK": "3", "WORLD_SIZE": "16"}, 3, 16, "RANK"),
    ],
)
def test_parts(flags, environ, number, of, by):
    assert part_of(*flags, environ) == Part(number, of, by)


@pytest.mark.parametrize(
    ("flags", "environ", "said"),
    [
        ((8, None), {}, "--shard-id: expected a number beside --num-shards=8, got none"),
        ((None, 3), {}, "--num-shards: expected a number beside --shard-id=3, got none"),
        ((None, 3), RANK, "--num-shards: expected a number beside"),
        ((8, 8), {}, r"--shard-id: expected a number in \[0, 7\], got 8"),
        ((8, -1), {}, r"--shard-id: expected a number in \[0, 7\], got -1"),
        ((None, None), {"RANK": "1"}, "WORLD_SIZE: expected a number beside RANK=1"),
        ((None, None), {"WORLD_SIZE": "4"}, "RANK: expected a number beside WORLD_SIZE=4"),
        (
            (None, None),
            {"RANK": "1", "WORLD_SIZE": "x"},
            "WORLD_SIZE: expected an integer, got 'x'",
        ),
        ((None, None), {"SLURM_PROCID": "1"}, "SLURM_NTASKS: expected a number beside"),
        (
            (None, None),
            NODES | {"RANK": "3", "WORLD_SIZE": "8"},
            "WORLD_SIZE: expected 8 for each of 2 tasks",
        ),
        ((None, None), {"SLURM_ARRAY_TASK_ID": "1"}, "SLURM_ARRAY_TASK_COUNT: expected a number"),
        ((None, None), array(7, 2, 3, 7, 1), "SLURM_ARRAY_TASK_COUNT: expected the tasks of an"),
        # A torchrun of its own in each task of srun: all would make the same.
        (
            (None, None),
            PROCESS | {"RANK": "0", "WORLD_SIZE": "1"},
            "WORLD_SIZE: expected 1 for each of 4 tasks",
        ),
    ],
)
def test_errors(flags, environ, said):
    with pytest.raises(ValueError, match=f"^{said}"):
        part_of(*flags, environ)


def test_runs():
    assert runs([3, 7, 8, 9, 11, 12]) == "3,7-9,11-12"
    assert runs([]) == ""
    assert runs([5]) == "5"


PROJECT = """
import torch

def build():
    torch.manual_seed(0)
    return torch.nn.Linear(6, 3).eval(), torch.utils.data.TensorDataset(
        torch.randn(50, 6), torch.arange(50) % 3
    )
"""
SKETCH = [
    "project:build",
    "--out",
    "s",
    "--params",
    "all",
    "--sketch-dim",
    "4",
    "--shard-rows",
    "5",
]


@pytest.fixture
def command(tmp_path):
    """The command, in a folder with a project, in this environment."""
    pytest.importorskip("torch")
    pytest.importorskip("tqdm")
    (tmp_path / "project.py").write_text(PROJECT)

    def run(*argv, prefix=(), **environ):
        return subprocess.run(
            [sys.executable, *prefix, "-m", "skmm_fast", *argv],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environ},
            capture_output=True,
            text=True,
            timeout=1800,
        )

    return run


def test_an_array_and_its_status(command):
    for task in (0, 3):
        environ = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": "4"}
        done = command("sketch", *SKETCH, **environ)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"part {task} of 4 (by SLURM_ARRAY_TASK_ID) done: ")
    said = command("status", "s", "--num-shards", "4").stdout
    assert "5 of 10 shards" in said
    assert "missing: shards 2-6" in said
    assert "missing: parts --array=1-2 of --num-shards 4" in said
    assert command("sketch", *SKETCH).returncode == 0
    assert command("status", "s").stdout.endswith("complete\n")


def test_status_of_a_claim(command, tmp_path):
    command("sketch", *SKETCH, "--num-shards", "2", "--shard-id", "0")
    (tmp_path / "s" / "shard-00007.npy.claim").write_text("node3\nboot\npid:[1]\n5\n17")
    said = command("status", "s").stdout
    assert "shard 7: being made by process 17 on node3\n" in said
    os.utime(tmp_path / "s" / "shard-00007.npy.claim", (1, 1))
    assert "process 17 on node3, which is gone\n" in command("status", "s").stdout


def test_torchrun(command, tmp_path):
    """The parts of its processes are all of the store."""
    prefix = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = command("sketch", *SKETCH, prefix=prefix)
    assert done.returncode == 0, done.stderr
    assert sorted(line.split(" done")[0] for line in done.stdout.splitlines()) == [
        "part 0 of 2 (by RANK)",
        "part 1 of 2 (by RANK)",
    ]
    expected = {f.name: f.read_bytes() for f in Path(tmp_path / "s").iterdir()}
    (tmp_path / "s").rename(tmp_path / "by torchrun")
    command("sketch", *SKETCH)
    assert {f.name: f.read_bytes() for f in (tmp_path / "s").iterdir()} == expected


def test_half_a_pair_is_one_line(command):
    done = command("sketch", *SKETCH, RANK="1")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "WORLD_SIZE: expected a number beside RANK=1" in done.stderr


@pytest.mark.parametrize("device", [None, "cpu"])
def test_the_gpu_of_a_rank(tmp_path, monkeypatch, device):
    """It is set before the model is made, and the model goes there; but not where one is named."""
    torch = pytest.importorskip("torch")
    from skmm_fast import cli

    seen = []
    (tmp_path / "ranked.py").write_text(PROJECT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda where: seen.append(("set", where)))
    monkeypatch.setattr(
        torch.nn.Module, "to", lambda self, where: seen.append(("to", where)) or self
    )
    argv = ["sketch", *SKETCH, *(["--device", device] if device else [])]
    argv[1] = "ranked:build"
    assert cli.main(argv) == 0
    assert seen == ([] if device else [("set", "cuda:3"), ("to", "cuda:3")])
