"""Memory stays flat: thousands of sketches and selections, and what the process holds before and
after. Heaps of threads and caches fill at first, so there is a warm-up: each call once, and a tenth
of the calls.

    python tests/soak/memory.py --calls 10000 --threads 2
"""

import argparse
import os
import time
from pathlib import Path

from calls import machine, selections, sketches

BOUND = 8 << 20  # bytes that may come after the warm-up; a leak of 1 kB a call is more in 10⁴ calls


def resident() -> int:
    """Bytes of memory that the process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    small = {**sketches(64, options.threads), **selections(200, options.threads)}
    # Threads share the work where rows come in more than one block of 4096.
    wide = selections(5000, options.threads)
    large = {f"{name}, large": wide[name] for name in ("v-optimal", "herding", "auto")}
    calls = [*small.values()] * 20 + [*large.values()]
    for call in {**small, **large}.values():
        call()
    began = time.monotonic()
    for i in range(options.calls):
        if i == options.calls // 10:
            before = resident()
        calls[i % len(calls)]()
    grown = resident() - before
    print(
        f"{options.calls} calls with {options.threads} thread(s) on {machine()}, "
        f"{time.monotonic() - began:.0f} s: {before / 2**20:.1f} MiB after the warm-up, "
        f"{grown / 2**20:+.2f} MiB at the end"
    )
    assert grown <= BOUND, f"memory grew by {grown} bytes, expected at most {BOUND}"


if __name__ == "__main__":
    main()
