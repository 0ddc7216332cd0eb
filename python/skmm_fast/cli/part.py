"""Which part of a job this process makes: as the command line says, or what started it, torchrun or
SLURM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Part(NamedTuple):
    """Part `number` of `of`, and what says so."""

    number: int
    of: int
    by: str


RANK = ("RANK", "WORLD_SIZE")
TASK = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT")
PROCESS = ("SLURM_PROCID", "SLURM_NTASKS")
FLAGS = ("--shard-id", "--num-shards")


def part_of(num_shards: int | None, shard_id: int | None, environ: Mapping[str, str]) -> Part:
    """The part of this process.

    It is that of the flags, else of the task of a SLURM array; and of this, that of the process
    among those that torchrun or srun started for the task.

    Raises ValueError for half a pair, and for pairs that contradict each other.
    """
    flags = zip(FLAGS, (shard_id, num_shards), strict=True)
    given = {name: str(x) for name, x in flags if x is not None}
    outer = _pair(given, FLAGS) or _array_task(environ)
    inner, process = _pair(environ, RANK), _process(environ)
    if inner is None:
        inner = process
    elif process is not None:
        # torchrun, started by srun on each node, counts the processes of all nodes.
        local = environ.get("LOCAL_WORLD_SIZE")
        each = _integer("LOCAL_WORLD_SIZE", local) if local else max(1, inner.of // process.of)
        if process.of > 1 and inner.of != each * process.of:
            raise ValueError(
                f"WORLD_SIZE: expected {each} for each of {process.of} tasks (SLURM_NTASKS), got "
                f"{inner.of}: each task would make the same parts; start one torchrun for all "
                "(--nnodes, --rdzv-endpoint)"
            )
    if outer is None or inner is None:
        return outer or inner or Part(0, 1, "")
    by = " and ".join(part.by for part in (outer, inner) if part.of > 1)
    return Part(outer.number * inner.of + inner.number, outer.of * inner.of, by)


def _pair(
    values: Mapping[str, str], names: tuple[str, str], first: int = 0, step: int = 1
) -> Part | None:
    """The part that a pair of values says, where numbers begin with `first` and go in such steps;
    None where there is neither."""
    there = [name for name in names if values.get(name)]
    if not there:
        return None
    if len(there) == 1:
        (missing,) = set(names) - set(there)
        said = f"{there[0]}={values[there[0]]}"
        raise ValueError(f"{missing}: expected a number beside {said}, got none")
    number, of = (_integer(name, values[name]) for name in names)
    number = (number - first) // step
    if not 0 <= number < of:
        raise ValueError(f"{names[0]}: expected a number in [0, {of - 1}], got {number}")
    return Part(number, of, names[0])


def process_of(environ: Mapping[str, str]) -> Part | None:
    """This process among those that torchrun or srun started; None where neither did."""
    return _pair(environ, RANK) or _process(environ)


def _process(environ: Mapping[str, str]) -> Part | None:
    """The part of a process that srun started. A batch script and the shell of salloc have a job
    without a step, and perhaps one of the pair; they are one process, however many tasks the job
    may start."""
    if environ.get("SLURM_JOB_ID") and not environ.get("SLURM_STEP_ID"):
        return None
    return _pair(environ, PROCESS)


def _array_task(environ: Mapping[str, str]) -> Part | None:
    first, last, step = (
        _integer(name, environ.get(name) or default)
        for name, default in (
            ("SLURM_ARRAY_TASK_MIN", "0"),
            ("SLURM_ARRAY_TASK_MAX", "-1"),
            ("SLURM_ARRAY_TASK_STEP", "1"),
        )
    )
    count = environ.get(TASK[1])
    if count and last >= 0 and (last - first) // max(step, 1) + 1 != _integer(TASK[1], count):
        raise ValueError(
            f"SLURM_ARRAY_TASK_COUNT: expected the tasks of an array without gaps, got {count} "
            f"from {first} to {last}; give --num-shards, and --shard-id $SLURM_ARRAY_TASK_ID"
        )
    return _pair(environ, TASK, first, max(step, 1))


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name}: expected an integer, got {text!r}") from None


def runs(numbers: list[int]) -> str:
    """Ascending numbers as SLURM writes them: 3,7-9."""
    found: list[list[int]] = []
    for k in numbers:
        if found and k == found[-1][1] + 1:
            found[-1][1] = k
        else:
            found.append([k, k])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in found)
