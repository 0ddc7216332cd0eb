"""Children of all three kinds (fork, spawn, forkserver) get the results of their parent, whose own
team of threads was at work before. One kind more: a fork while another thread is inside a call.

    python tests/soak/children.py --rounds 20
"""

import argparse
import hashlib
import multiprocessing
import os
import threading
import time

import numpy as np
from calls import machine, selections, sketches

TIMEOUT = 300.0  # seconds for a round; a child that hangs is a fault


def digests(names: list[str]) -> dict[str, str]:
    """Name -> a digest of what the call gives, with two threads."""
    calls = {**sketches(64, 2), **selections(200, 2)}
    return {name: hashlib.sha256(np.ascontiguousarray(calls[name]())).hexdigest() for name in names}


def forked_during_a_call(names: list[str], expected: dict[str, str]) -> None:
    """Fork while another thread is inside a threaded call, and call again in the child."""
    ended = threading.Event()
    large = selections(20_000, 2)["v-optimal"]

    def work() -> None:
        while not ended.is_set():
            large()

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.05)
    child = os.fork()
    if child == 0:
        os._exit(0 if digests(names) == expected else 1)
    ended.set()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    thread.join()
    assert code == 0, f"a child that was forked during a call ended with {code}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--calls", nargs="*", help="names of calls; all without it")
    options = parser.parse_args()

    names = options.calls or [*sketches(8, 1), *selections(40, 1)]
    expected = digests(names)
    began = time.monotonic()
    for _ in range(options.rounds):
        for kind in ("fork", "spawn", "forkserver"):
            with multiprocessing.get_context(kind).Pool(2) as pool:
                for found in pool.map_async(digests, [names] * 2).get(TIMEOUT):
                    assert found == expected, f"{kind}: other results than in the parent"
        forked_during_a_call(names, expected)
    print(
        f"{options.rounds} rounds of 7 children and {len(names)} calls on {machine()}, "
        f"{time.monotonic() - began:.0f} s: equal results"
    )


if __name__ == "__main__":
    main()
