"""Runs a function on several processes that form a gloo group.

As a script it is one of these processes: FILE FUNCTION RANK SIZE FOLDER TIMEOUT. The function is
called as function(folder, rank, size); what it returns, or the error that it raises, is pickled.
"""

import datetime
import importlib.util
import os
import pickle
import subprocess
import sys
from pathlib import Path


def started(function, size, folder, timeout=60):
    """The processes that run a function of a test file."""
    source = function.__code__.co_filename
    paths = os.pathsep.join(str(Path(p).resolve()) for p in sys.path if p)
    return [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, source, function.__name__, str(rank),
             str(size), str(folder), str(timeout)],
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE, text=True,
        )
        for rank in range(size)
    ]  # fmt: skip


def results(processes, folder):
    """What the processes returned, or the errors that they raised; None of one that was killed."""
    found = []
    for rank, process in enumerate(processes):
        _, said = process.communicate(timeout=600)
        file = Path(folder) / f"rank-{rank}"
        assert file.exists() or process.returncode < 0, said
        found.append(pickle.loads(file.read_bytes()) if file.exists() else None)
    return found


def on_ranks(function, size, folder, timeout=60):
    folder.mkdir()
    return results(started(function, size, folder, timeout), folder)


def main(source, function, rank, size, folder, timeout):
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size,
        timeout=datetime.timedelta(seconds=timeout),
    )  # fmt: skip
    spec = importlib.util.spec_from_file_location("of_test", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        result = getattr(module, function)(Path(folder), rank, size)
    except Exception as error:
        result = f"{type(error).__name__}: {error}"
    (Path(folder) / f"rank-{rank}").write_bytes(pickle.dumps(result))


if __name__ == "__main__":
    source, function, rank, size, folder, timeout = sys.argv[1:]
    main(source, function, int(rank), int(size), folder, float(timeout))
