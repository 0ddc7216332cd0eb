"""`skmm-fast select` on a Parquet file of embeddings: seconds of the command, and its peak memory
without the pages of files.

The file has N lists of 384 float32 numbers, in clusters, and a column of labels. The command
streams it, and puts rows of more than 1 GB in a file in the system's folder for temporary files.
The other figure is a plain read of the file's bytes.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from common import save

WIDTH, CLASSES, GROUP = 384, 50, 1 << 16


def make(path: Path, n_rows: int) -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CLASSES, WIDTH), np.float32)
    schema = pa.schema({"label": pa.int32(), "embedding": pa.list_(pa.float32(), WIDTH)})
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=["label"]) as file:
        for first in range(0, n_rows, GROUP):
            label = rng.integers(0, CLASSES, min(GROUP, n_rows - first), dtype=np.int32)
            Z = centres[label] + 2 * rng.standard_normal((len(label), WIDTH), np.float32)
            lists = pa.FixedSizeListArray.from_arrays(pa.array(Z.ravel()), WIDTH)
            file.write_table(pa.table([pa.array(label), lists], schema=schema))


def anonymous_bytes(pid: int) -> int:
    """The memory of a process, without the pages of files."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has ended
        return 0
    return 1024 * int(re.search(r"RssAnon:\s+(\d+)", status)[1]) if "RssAnon" in status else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=3_300_000)
    parser.add_argument("--folder", type=Path, help="where the file goes")
    parser.add_argument("--no-save", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path, out = Path(folder) / "pool.parquet", Path(folder) / "chosen.json"
        make(path, args.rows)
        began = time.perf_counter()
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 24):
                pass
        plain = time.perf_counter() - began
        rows = []
        for options in (["--y", "label"], ["--method", "v-optimal"]):
            command = ["-m", "skmm_fast", "select", str(path), "-n", "1%", "--out", str(out)]
            began = time.perf_counter()
            child = subprocess.Popen(
                [sys.executable, *command, *options], stdout=subprocess.DEVNULL
            )
            anonymous = 0
            while child.poll() is None:
                anonymous = max(anonymous, anonymous_bytes(child.pid))
                time.sleep(0.05)
            taken = time.perf_counter() - began
            if child.returncode:
                raise SystemExit(f"the command failed: {command}")
            rows.append({
                "method": " ".join(options), "N": args.rows, "width": WIDTH,
                "GB": path.stat().st_size / 1e9, "seconds": taken, "plain read, s": plain,
                "memory, GB": anonymous / 1e9,
                "n": len(json.loads(out.read_text())["indices"]),
            })  # fmt: skip
            print(rows[-1], flush=True)
    if not args.no_save:
        save("parquet", rows)


if __name__ == "__main__":
    main()
