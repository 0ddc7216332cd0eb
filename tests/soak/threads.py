"""Python threads sketch and select at once, each in an order of its own, and get equal results.

python tests/soak/threads.py --threads 8 --seconds 60
"""

import argparse
import random
import sys
import threading
import time

import numpy as np
from calls import machine, selections, sketches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    sys.setswitchinterval(1e-4)  # seconds; Python's own is 5e-3

    calls = {**sketches(64, 2), **selections(200, 2)}
    calls["v-optimal of 5000 rows"] = selections(5000, 2)["v-optimal"]
    expected = {name: call() for name, call in calls.items()}
    counts = [0] * options.threads
    faults: list[str] = []
    end = time.monotonic() + options.seconds

    def work(thread: int) -> None:
        names = list(calls)
        random.Random(thread).shuffle(names)
        while time.monotonic() < end and not faults:
            name = names[counts[thread] % len(names)]
            try:
                same = np.array_equal(calls[name](), expected[name])
            except Exception as error:
                faults.append(f"{name}: {error!r}")
                return
            if not same:
                faults.append(f"{name}: other results than alone")
            counts[thread] += 1

    team = [threading.Thread(target=work, args=(t,)) for t in range(options.threads)]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()
    print(
        f"{options.threads} threads for {options.seconds:.0f} s on {machine()}: {sum(counts)} "
        f"calls, {min(counts)} to {max(counts)} a thread, {len(faults)} faults"
    )
    assert not faults, faults


if __name__ == "__main__":
    main()
