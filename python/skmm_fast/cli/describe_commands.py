"""`skmm-fast info`, `status` and `verify`: what files and stores hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .._selection import Selection
from .._support.claims import Claims
from ..sketch.store import SketchStore
from . import inputs, outputs, tables
from .options import argument, flag, option
from .part import runs


def info(
    path: Path = argument(f"{inputs.KINDS}, a table, or a selection.", "PATH"),
    as_json: bool = flag("--json", help="Print it as JSON."),
) -> None:
    """Say what a file or a sketch store holds.

    \b
    skmm-fast info sketches/
    skmm-fast info chosen.json
    """
    outputs.show(_described(path), as_json)


def _described(path: Path) -> dict[str, Any]:
    if path.suffix in tables.ENDINGS:
        return {"kind": "table", "rows": tables.n_rows(path), **tables.fields(path)}
    if path.suffix == ".json" or (path.suffix == ".npz" and _is_selection(path)):
        selection = Selection.load(path)
        keys = ("method", "n_samples", "in_dim", "sketch", "sketch_dim", "seed")
        settings = {key: selection.settings.get(key) for key in keys}
        verdict = selection.diagnosis.verdict
        return {"kind": "selection", "rows": len(selection), **settings, "verdict": verdict}
    if path.suffix in (".npy", ".npz"):
        X = inputs.rows("path", path)
        kind = "CSR matrix" if hasattr(X, "indptr") else "array"
        return {"kind": kind, "shape": list(X.shape), "dtype": str(X.dtype)}
    store: Any = inputs.rows("path", path)
    found = {"kind": "sketch store", "rows": len(store), "sketch_dim": store.sketch_dim,
             "complete": store.complete}  # fmt: skip
    of_model = store.fingerprint.items()
    return {**found, **{key: x for key, x in of_model if isinstance(x, (str, int))}}


def _is_selection(path: Path) -> bool:
    try:
        Selection.load(path)
    except ValueError:
        return False
    return True


def status(
    store: Path = argument("Folder of the sketch store.", "STORE"),
    num_shards: int = option("--num-shards", min=1, help="Say it in so many parts of the work."),
    as_json: bool = flag("--json", help="Print it as JSON."),
) -> None:
    """Say which shards of a sketch store are there, which are missing and who makes them; and, in
    parts of the work, what to submit again.

    \b
    skmm-fast status sketches/ --num-shards 64
    """
    opened = SketchStore(store)
    missing = opened.missing
    parts = None
    if missing and num_shards is not None:
        parts = [
            number
            for number in range(num_shards)
            if set(opened._part(number, num_shards)) & set(missing)
        ]
    if as_json:
        found = {"rows": len(opened), "complete": not missing, "missing_shards": list(missing)}
        outputs.show({**found, "missing_parts": parts}, as_json)
        return
    print(opened)
    if not missing:
        print("complete")
        return
    print(f"missing: shards {runs(missing)}")
    claims = Claims(opened.path)
    for k in missing:
        who = claims.writer(opened._file(k).name)
        if who is not None:
            gone = ", which is gone" if claims.is_stale(opened._file(k).name) else ""
            print(f"shard {k}: being made by {who}{gone}")
    if parts is not None:
        print(f"missing: parts --array={runs(parts)} of --num-shards {num_shards}")


def verify(store: Path = argument("Folder of the sketch store.", "STORE")) -> None:
    """Read every shard of a sketch store and hold it against its checksum.

    \b
    skmm-fast verify sketches/
    """
    opened = SketchStore(store)
    opened.verify()
    print(f"as written: {opened}")
