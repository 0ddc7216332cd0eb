"""Ten limits of the address space, from 1 to 512 MiB above what the process has. Each call gives
its result or MemoryError, and the next call works.

    python tests/soak/address_space.py --threads 1 2 64

Each limit is set in a process of its own, which makes all the calls in turn. Where a call ends the
process, another one goes on behind it.

NumPy casts through a buffer, and where it cannot have one it raises MemoryError after it released
the GIL, which ends the process by signal 11 (docs/explanation/robustness.md). So the children set
its buffers to their smallest size: what is tried here are our own allocations.
"""

import argparse
import hashlib
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
from calls import Call, machine, selections, sketches

SIZES = [2**k for k in range(10)]  # MiB
ROWS = 20_000  # 2 MB of rows, so that the steps of a call meet the smaller limits one by one


def calls(rows: int, n_threads: int) -> dict[str, Call]:
    return {**sketches(rows // 40, n_threads), **selections(rows, n_threads)}


def digest(call: Call) -> str:
    return hashlib.sha256(np.ascontiguousarray(call())).hexdigest()


def work(size: int, rows: int, n_threads: int, names: list[str]) -> None:
    """What a child does: a line for each call, "begin" before it and its outcome after it."""
    np.setbufsize(16)  # numbers
    small = calls(400, 1)
    for name in names:
        small[name]()  # the libraries load their parts, and BLAS takes its buffers
    given = calls(rows, n_threads)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + (size << 20)
    if size:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for name in names:
        print("begin", name, sep="\t", flush=True)
        try:
            outcome = digest(given[name])
        except MemoryError:
            outcome = "MemoryError"
        print("ended", name, outcome, sep="\t", flush=True)


def outcomes(size: int, rows: int, n_threads: int, names: list[str]) -> dict[str, str]:
    """Name -> the digest of the result, "MemoryError", or how the process ended."""
    found: dict[str, str] = {}
    while left := names[len(found) :]:
        command = [sys.executable, __file__, "--child", str(size), "--rows", str(rows)]
        done = subprocess.run(
            [*command, "--threads", str(n_threads), "--calls", *left],
            capture_output=True,
            text=True,
            timeout=600,
        )
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        found.update({line[1]: line[2] for line in lines if line[0] == "ended"})
        if done.returncode:
            if not lines or lines[-1][0] == "ended":
                raise RuntimeError(f"between calls: {done.returncode}\n{done.stderr}")
            found[lines[-1][1]] = f"ended with {done.returncode}: {done.stderr.strip()[-400:]}"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="MiB")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2, 64])
    parser.add_argument("--calls", nargs="*", help="names of calls; all without it")
    parser.add_argument("--child", type=int)
    options = parser.parse_args()
    names = options.calls or list(calls(400, 1))
    if options.child is not None:
        work(options.child, options.rows, options.threads[0], names)
        return

    print(machine())
    expected = outcomes(0, options.rows, 1, names)
    faults = []
    for n_threads in options.threads:
        for size in options.sizes:
            found = outcomes(size, options.rows, n_threads, names)
            results = sum(found[name] == expected[name] for name in names)
            errors = sum(outcome == "MemoryError" for outcome in found.values())
            print(
                f"{n_threads:2} thread(s), {size:3} MiB: {results} results, {errors} MemoryError, "
                f"{len(names) - results - errors} other",
                flush=True,
            )
            faults += [
                f"{name} with {n_threads} thread(s) and {size} MiB: {outcome}"
                for name, outcome in found.items()
                if outcome not in ("MemoryError", expected[name])
            ]
    assert not faults, "\n".join(faults)


if __name__ == "__main__":
    main()
