"""A store one of whose shards was damaged: its rows are those that were written, or it is
refused."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
from choices import Choices

from skmm_fast._support.claims import Claims
from skmm_fast._support.float16_rows import Float16Rows, scaled_halves
from skmm_fast.sketch.manifest import Manifest
from skmm_fast.sketch.shard_file import FOOTER
from skmm_fast.sketch.store import SketchStore, made

ODD = ["-1", "0", "True", "2.0", "None", f"{2**63}", f"{10**30}", "'2'", "()", "[2]", "((2,),)"]
DESCR = [
    "'<f4'", "'>f4'", "'<f8'", "'|O'", "'<i4'", "'|V4'", "[('a', '<f4')]", "'<U1'", "'<U0'", "3",
    "'(2,)<f4'", "'f4,f4'", "''", "None", "'<f2'",
]  # fmt: skip


def target(choices: Choices, folder: Path) -> bool:
    path = folder / "store"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    n_samples = 1 + choices.below(60)
    sketch_dim = choices.of([1, 2, 3, 64, 256])
    dtype = choices.of(["float16", "float32", "float64"])
    shard_rows = max(1, n_samples // (1 + choices.below(4)))
    manifest = Manifest(n_samples, sketch_dim, dtype, 1 + choices.below(9), shard_rows, {"seed": 0})
    Z = np.random.default_rng(choices.below(99)).standard_normal((n_samples, sketch_dim))
    Z = scaled_halves(Z)[0] if dtype == "float16" else Z.astype(dtype)
    store = made(path, manifest, Claims(path))
    shards = store.missing
    for k in shards:
        store._write(k, Z[list(store._rows(k))])
    k = choices.of(shards)
    file = store._file(k)
    offset, rows = store._shard(k).offset, Z[list(store._rows(k))]
    content = file.read_bytes()
    # A header of another length, or of the second version, says the same.
    header = f"{{'descr': {rows.dtype.str!r}, 'fortran_order': False, 'shape': {rows.shape}, }}"
    if not choices.damage:
        if choices.chance(3):
            file.write_bytes(_with_header(choices, header, content[offset:]))
        opened = SketchStore(path)
        assert np.array_equal(_stored(opened), Z)
        opened.verify()
        return True
    kind = choices.below(8)
    if kind == 0:
        file.unlink()
    elif kind == 1:
        other = store._file(choices.of(shards))
        moved = other.read_bytes()
        other.write_bytes(content)
        file.write_bytes(moved)
    elif kind == 2:
        value = choices.of(ODD)
        shapes = [f"({value}, {sketch_dim})", f"({len(rows)}, {value})", value]
        shape = choices.of([*shapes, f"({len(rows)}, {sketch_dim}, 1)"])
        odd = f"{{'descr': {rows.dtype.str!r}, 'fortran_order': False, 'shape': {shape}, }}"
        file.write_bytes(_with_header(choices, odd, content[offset:]))
    elif kind == 3:
        odd = header.replace(repr(rows.dtype.str), choices.of(DESCR))
        odd = odd.replace("False", choices.of(["False", "True", "0", "1", "'F'", "None"]))
        file.write_bytes(_with_header(choices, odd, content[offset:]))
    elif kind == 4:
        text = choices.damaged(header.encode("latin-1")).decode("latin-1")
        file.write_bytes(_with_header(choices, text, content[offset:]))
    elif kind == 5:
        plain = io.BytesIO()
        np.save(plain, rows)
        more = [b"", content[-FOOTER:], b"crc32 00000000\n"]
        file.write_bytes(plain.getvalue() + choices.of(more))
    else:
        file.write_bytes(choices.damaged(content))
    return _read(path, Z)


def _stored(store: SketchStore) -> np.ndarray:
    """The rows as they lie in the files."""
    rows = store.array()
    return rows.halves if isinstance(rows, Float16Rows) else rows


def _read(path: Path, Z: np.ndarray) -> bool:
    try:
        opened = SketchStore(path)
        array = _stored(opened)
        opened.verify()
    except ValueError as error:
        said = str(error)
        assert str(path) in said, said
        assert "expected" in said, said
        assert "shard-0000" in said or "rows are missing" in said, said
        return False
    assert array.tobytes() == Z.tobytes()
    return True


def _with_header(choices: Choices, text: str, data: bytes) -> bytes:
    version = 1 + choices.below(2)
    coded = (text + " " * choices.of([0, 1, 63, 500, 4096]) + "\n").encode("latin-1", "replace")
    length = len(coded).to_bytes(2 * version, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + coded + data
