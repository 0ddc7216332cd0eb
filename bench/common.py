"""Timing, the machine's own limits, and results on disk."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from skmm_fast import __version__, _core
from skmm_fast._support.files import write_whole

RESULTS = Path(__file__).parent / "results"


def seconds(
    call: Callable[[], Any], repeats: int = 7, warm_up: float = 0.5, at_least: float = 0.0
) -> float:
    """Median wall time of `repeats` calls, after calls for `warm_up` seconds: cores wake slowly."""
    return in_turns({"": call}, repeats, warm_up, at_least)[""]


def in_turns(
    calls: dict[str, Callable[[], Any]],
    repeats: int = 7,
    warm_up: float = 0.3,
    at_least: float = 2.0,
) -> dict[str, float]:
    """Median wall times of calls that are made in turn: `repeats` rounds of them, or as many as
    take `at_least` seconds, so that short calls meet more than one mood of the machine.
    """
    for call in calls.values():
        began = time.perf_counter()
        while True:
            call()
            if time.perf_counter() - began > warm_up:
                break
    times: dict[str, list[float]] = {who: [] for who in calls}
    started, rounds = time.perf_counter(), 0
    while rounds < repeats or time.perf_counter() - started < at_least:
        for who, call in calls.items():
            began = time.perf_counter()
            call()
            times[who].append(time.perf_counter() - began)
        rounds += 1
    return {who: statistics.median(t) for who, t in times.items()}


def peak_rss() -> int:
    """Bytes, of this process so far (ru_maxrss would remember the process that started it)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def machine() -> dict[str, Any]:
    cpu = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), cpu)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "isa": _core.isa,
        "numpy": np.__version__,
        "skmm_fast": __version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def write(path: Path, rows: list[dict[str, Any]], **more: Any) -> None:
    """A JSON of the machine, `more` and these rows, a line each, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = json.dumps({"machine": machine(), **more}, indent=1).removesuffix("\n}")
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    text = f'{head},\n "rows": [\n{lines}\n ]\n}}\n'
    write_whole(path, lambda f: f.write(text.encode()))


def save(name: str, rows: list[dict[str, Any]]) -> None:
    write(RESULTS / f"{name}.json", rows)
    for row in rows:
        print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{v}" for k, v in row.items()))
