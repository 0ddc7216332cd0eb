"""A store whose manifest was damaged: it is the manifest that was written, or it is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
from choices import Choices

from skmm_fast._support.claims import Claims
from skmm_fast._support.float16_rows import Float16Rows
from skmm_fast.sketch.manifest import Manifest
from skmm_fast.sketch.store import SketchStore, made


def target(choices: Choices, folder: Path) -> bool:
    path = folder / "store"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    n_samples, sketch_dim = 1 + choices.below(20), 1 + choices.below(5)
    dtype = choices.of(["float16", "float32", "float64"])
    manifest = Manifest(
        n_samples=n_samples,
        sketch_dim=sketch_dim,
        dtype=dtype,
        batch_size=1 + choices.below(9),
        shard_rows=max(1, n_samples // (1 + choices.below(3))) + choices.below(4),
        fingerprint={choices.text(): choices.value() for _ in range(choices.below(5))},
    )
    columns = sketch_dim + (dtype == "float16")
    Z = np.arange(n_samples * columns).reshape(n_samples, columns).astype(dtype)
    store = made(path, manifest, Claims(path))
    for k in store.missing:
        store._write(k, Z[list(store._rows(k))])
    file = path / "manifest.json"
    values = {"format": 1, **asdict(manifest)}
    if not choices.damage:
        file.write_bytes(choices.json(values).encode("utf-8"))
        again = SketchStore(path)
        assert again.complete
        assert again.fingerprint == manifest.fingerprint
        assert np.array_equal(_stored(again), Z)
        again.verify()
        return True
    file.write_bytes(choices.damaged_json(values))
    try:
        opened = SketchStore(path)
        repr(opened)
        array = _stored(opened)
        opened.verify()
    except ValueError as error:
        said = str(error)
        assert str(path) in said, said
        assert "expected" in said, said
        assert len(said) < 2000, said
        return False
    # What is accepted says what was written; JSON text of the same values may differ.
    assert json.loads(file.read_bytes()) == values
    assert np.array_equal(array, Z)
    return True


def _stored(store: SketchStore) -> np.ndarray:
    """The rows as they lie in the files."""
    rows = store.array()
    return rows.halves if isinstance(rows, Float16Rows) else rows
