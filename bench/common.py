"""Timing, the machine's own limits, and results on disk."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from skmm_fast import __version__, _core
from skmm_fast._support.files import write_whole

RESULTS = Path(__file__).parent / "results"
SAME_EVERYWHERE = {  # results that do not depend on the machine, but for the seconds in them
    *(
        "ablation",
        "auto",
        "factored",
        "finetune",
        "gmm",
        "heads",
        "lengths",
        "quality",
        "real",
        "settings",
        "targets",
    ),
    *("table1", "table1_claims", "table1_orders", "varied"),
    *("utkface", *(f"stanford_cars_{finetuned}" for finetuned in ("lp", "ft"))),
}
CPU_KIND = {  # names of /proc/cpuinfo -> ours
    **{"cpu family": "family", "model": "model"},
    **{"CPU implementer": "implementer", "CPU part": "part"},
}


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


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Brand, family and model: a brand alone may be vague, like that of all "AMD EPYC"."""
    found: dict[str, str] = {}
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            found.setdefault(name.strip(), value.strip())
    brand = found.get("model name") or platform.processor() or platform.machine()
    return ", ".join([brand, *(f"{ours} {found[x]}" for x, ours in CPU_KIND.items() if x in found)])


def folder_name(model: str) -> str:
    """The model of a processor or GPU in lower case, words joined by hyphens."""
    plain = re.sub(r"\((r|tm)\)|\b(cpu|processor)\b|@ *[\d.]+ *ghz", " ", model.lower())
    return "-".join(re.findall(r"[a-z0-9]+", plain))


def result_path(name: str, gpu: str | None = None) -> Path:
    """Where the results of this name are: results/<name>.json where they are the same everywhere,
    else results/<machine>/<name>.json, of the GPU of this name or else of this processor."""
    if name in SAME_EVERYWHERE:
        return RESULTS / f"{name}.json"
    return RESULTS / folder_name(gpu or processor()) / f"{name}.json"


def blas() -> str:
    """NumPy's and SciPy's BLAS, each with the kernel that it chose for this processor."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return "kernel unknown (threadpoolctl is not there)"
    found = [
        f"{x['internal_api']} {x['version']}, kernel {x.get('architecture', 'unknown')}"
        for x in threadpool_info()
        if x["user_api"] == "blas"
    ]
    return "; ".join(dict.fromkeys(found)) or "kernel unknown"


def machine(gpu: str | None = None) -> dict[str, Any]:
    return {
        **({"gpu": gpu, "torch": version("torch")} if gpu else {}),
        "cpu": processor(),
        "cores": os.cpu_count(),
        "isa": _core.isa,
        "blas": blas(),
        "numpy": np.__version__,
        "skmm_fast": __version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def write(path: Path, rows: list[dict[str, Any]], gpu: str | None = None, **more: Any) -> None:
    """A JSON of the machine, `more` and these rows, a line each, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = json.dumps({"machine": machine(gpu), **more}, indent=1).removesuffix("\n}")
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    text = f'{head},\n "rows": [\n{lines}\n ]\n}}\n'
    write_whole(path, lambda f: f.write(text.encode()))


def save(name: str, rows: list[dict[str, Any]], gpu: str | None = None) -> None:
    write(result_path(name, gpu), rows, gpu)
    for row in rows:
        print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{v}" for k, v in row.items()))
