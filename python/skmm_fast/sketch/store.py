"""Sketches of a dataset in a folder: a manifest and shards.

`manifest.json` says what the rows are and how they are cut into shards. The shards are the files
`shard-00000.npy` and so on, of a fixed number of rows each; the last may have fewer. Every file is
complete as soon as it exists, so the shards that exist are those that are done. Where samples are
texts, `lengths-00000.npy` has how long those of a shard are. To read a store nothing is written.
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np

from .._support.claims import Claims, name_of_leftover
from .._support.files import write_whole
from .._support.float16_rows import Float16Rows
from .._support.rows_here import RowsHere
from .._support.types import Array, Indices
from .joined import joined
from .manifest import MANIFEST, Manifest, read_manifest
from .shard_file import is_as_written, mapped, write_shard

OURS = re.compile(r"manifest\.json|(shard|lengths)-\d+\.npy|array\.npy")
LOCK = "lock"  # a file that the first versions left
PAUSE = 0.5  # seconds between two looks at what another writer makes
VERIFIED = 1 << 32  # bytes of a store up to which its checksums are verified when it is first read


class SketchStore:
    """The sketches of a data set in a folder, complete or not, as `sketch_dataset` writes them.

    Every shard is held against the manifest: its type, its shape, the size of its file. Its rows
    are held against its checksum by `verify`, and where `array` says so. To read a store nothing is
    written. Its path is that at the time it is opened, whatever the current directory is later.

    Parameters
    ----------
    path : path
        The folder.

    Raises
    ------
    FileNotFoundError
        There is no manifest.
    OSError
        A file cannot be opened; it is named.
    ValueError
        A file is not what was written, or no regular file. The message names it, says what was
        expected, and what to do.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> from skmm_fast import SketchStore
    >>> from skmm_fast.gradients import GradientSketcher, sketch_dataset
    >>> sketcher = GradientSketcher(torch.nn.Linear(4, 3).eval(), params="all", sketch_dim=8)
    >>> samples = torch.utils.data.TensorDataset(torch.randn(20, 4), torch.arange(20) % 3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = sketch_dataset(sketcher, samples, folder, progress=False)
    ...     store = SketchStore(folder)
    ...     store.complete, store.array().shape
    (True, (20, 8))
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self._manifest = read_manifest(Path(path) / MANIFEST)
        self._verified: set[int] = set()  # shards
        _ = self.missing  # raises for a shard that does not fit the manifest

    @property
    def n_samples(self) -> int:
        """N, the number of rows of the complete store."""
        return self._manifest.n_samples

    @property
    def sketch_dim(self) -> int:
        """m, the number of columns."""
        return self._manifest.sketch_dim

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the sketches in the files: float16, float32 or float64."""
        return np.dtype(self._manifest.dtype)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """The fields that identify the sketcher and the dataset, by name."""
        return dict(self._manifest.fingerprint)

    @property
    def missing(self) -> list[int]:
        """The numbers of the shards that do not exist now, ascending."""
        return [k for k in range(self._n_shards) if not self._is_done(k)]

    @property
    def complete(self) -> bool:
        """Whether every shard exists now."""
        return not self.missing

    def __len__(self) -> int:
        """N, the number of rows of the complete store."""
        return self.n_samples

    def __repr__(self) -> str:
        done = self._n_shards - len(self.missing)
        return (
            f"SketchStore({str(self.path)!r}: {self.n_samples} x {self.sketch_dim} {self.dtype}, "
            f"{done} of {self._n_shards} shards)"
        )

    def _require_complete(self) -> None:
        missing = self.missing
        if missing:
            rows = sum(len(self._rows(k)) for k in missing)
            raise ValueError(
                f"{self.path}: expected a complete store, got one where {rows} of "
                f"{self.n_samples} rows are missing; sketching again goes on with them"
            )

    def array(self) -> np.memmap[Any, np.dtype[Any]] | Float16Rows:
        """All sketches, as one memory map of the shards' files.

        Nothing is copied but the borders of shards, a page of memory each. In stores of up to 4 GB
        the shards are held against their checksums once for each `SketchStore`, which takes 0.3 to
        1 s a GB beside the reading; `verify` does so for any.

        Returns
        -------
        (N, m) np.memmap, or Float16Rows of one
            Read-only. `Float16Rows`, of a store of 16-bit floats, is for `select`; indexing by rows
            gives them in float32, and `np.asarray` all of them.

        Raises
        ------
        ValueError
            Rows are missing, or are not those that were written.

        Examples
        --------
        >>> import tempfile
        >>> import torch
        >>> from skmm_fast.gradients import GradientSketcher, sketch_dataset
        >>> sketcher = GradientSketcher(torch.nn.Linear(4, 3).eval(), params="all", sketch_dim=8)
        >>> samples = torch.utils.data.TensorDataset(torch.randn(20, 4), torch.arange(20) % 3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sketch_dataset(sketcher, samples, folder, progress=False).array().dtype
        dtype('float32')
        """
        self._require_complete()
        return self._array(range(self._n_shards))

    def _array(self, shards: range) -> np.memmap[Any, np.dtype[Any]] | Float16Rows:
        """The rows of these shards, which exist."""
        if sum(len(self._rows(k)) for k in shards) * self._row_bytes <= VERIFIED:
            self._verify(shards)
        parts = [self._shard(k) for k in shards]
        whole = parts[0] if len(parts) == 1 else joined(parts)
        return Float16Rows(whole, scaled=True) if self.dtype == np.float16 else whole

    def _array_of(self, here: RowsHere) -> Array | Float16Rows:
        """The rows of a complete store that a rank has: a map of the shards that hold them."""
        self._require_complete()
        if here.count == 0:
            if self.dtype == np.float16:
                return Float16Rows(np.empty((0, self.sketch_dim + 1), np.float16), scaled=True)
            return np.empty((0, self.sketch_dim), self.dtype)
        shards = range(self._shard_of(here.first), self._shard_of(here.last - 1) + 1)
        first = here.first - self._rows(shards[0]).start
        rows = self._array(shards)
        part = slice(first, first + here.count)
        if isinstance(rows, Float16Rows):
            return Float16Rows(rows.halves[part], rows.scaled)
        return rows[part]

    @property
    def lengths(self) -> Indices | None:
        """(N,) How many tokens of each sample have a loss. None where that is not known: the loss
        is not one over tokens, some rows were not made yet, or a version before this wrote some.

        Raises ValueError for a file that is not what was written.
        """
        return self._lengths_of(RowsHere(self.n_samples))

    def _lengths_of(self, here: RowsHere) -> Indices | None:
        """`lengths` of the rows that a rank has. None on all ranks where it is on one."""
        parts = self._lengths_parts(here)
        known = parts is not None
        if here.summed(np.array([float(not known)]))[0] or parts is None:
            return None
        return np.concatenate([np.empty(0, np.int64), *parts])

    def _lengths_parts(self, here: RowsHere) -> list[Indices] | None:
        if self._manifest.checksum is None:
            return None
        parts: list[Indices] = []
        for k in range(self._n_shards):
            rows = self._rows(k)
            first, last = max(here.first, rows.start), min(here.last, rows.stop)
            if first >= last:
                continue
            file = self._lengths_file(k)
            try:
                part = mapped(file, (len(self._rows(k)), 1), np.dtype(np.int64), footer=True)
            except FileNotFoundError:
                return None
            if not is_as_written(part, self._identity(k)):
                raise ValueError(
                    f"{file}: expected the lengths that were written, got others; without this "
                    "file the store knows no lengths"
                )
            parts.append(part[first - rows.start : last - rows.start, 0])
        return parts

    def verify(self) -> None:
        """Hold every shard that exists against its checksum; it is read in full.

        Raises
        ------
        ValueError
            Rows are not those that were written; the message names their files. Or the store has no
            checksums, as those of the first versions.

        Examples
        --------
        >>> import tempfile
        >>> import torch
        >>> from skmm_fast.gradients import GradientSketcher, sketch_dataset
        >>> sketcher = GradientSketcher(torch.nn.Linear(4, 3).eval(), params="all", sketch_dim=8)
        >>> samples = torch.utils.data.TensorDataset(torch.randn(20, 4), torch.arange(20) % 3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sketch_dataset(sketcher, samples, folder, progress=False).verify()
        """
        if self._manifest.checksum is None:
            raise ValueError(
                f"{self.path}: expected a store with checksums, got one of an earlier version"
            )
        self._verified.clear()
        self._verify()

    def _verify(self, shards: range | None = None) -> None:
        """Hold those of these shards, or of all, that exist and were not verified before against
        their checksums."""
        if self._manifest.checksum is None:
            return
        some = range(self._n_shards) if shards is None else shards
        there = [k for k in some if k not in self._verified and self._is_done(k)]
        wrong = [k for k in there if not is_as_written(self._shard(k), self._identity(k))]
        if wrong:
            named = ", ".join(self._file(k).name for k in wrong[:3]) + ", ..." * (len(wrong) > 3)
            raise ValueError(
                f"{self.path}: expected the rows that were written, got others in {len(wrong)} of "
                f"{self._n_shards} shards, {named}; delete these files, and sketching again makes "
                "them anew"
            )
        self._verified.update(there)

    @property
    def _columns(self) -> int:
        """The numbers of a row in the files. Rows of 16-bit floats have an exponent behind them."""
        return self.sketch_dim + (self.dtype == np.float16)

    @property
    def _row_bytes(self) -> int:
        return self._columns * self.dtype.itemsize

    @property
    def _n_shards(self) -> int:
        return -(-self.n_samples // self._manifest.shard_rows)

    def _shard_of(self, row: int) -> int:
        return row // self._manifest.shard_rows

    def _part(self, number: int, of: int) -> range:
        """The shards of part `number` of the store, where they are cut, in their order, into `of`
        runs of equal length, to within one."""
        return range(number * self._n_shards // of, (number + 1) * self._n_shards // of)

    def _rows(self, shard: int) -> range:
        """The row numbers of a shard."""
        first = shard * self._manifest.shard_rows
        return range(first, min(first + self._manifest.shard_rows, self.n_samples))

    def _file(self, shard: int) -> Path:
        return self.path / f"shard-{shard:05}.npy"

    def _lengths_file(self, shard: int) -> Path:
        return self.path / f"lengths-{shard:05}.npy"

    def _shard(self, shard: int) -> np.memmap[Any, np.dtype[Any]]:
        shape = (len(self._rows(shard)), self._columns)
        return mapped(self._file(shard), shape, self.dtype, self._manifest.checksum is not None)

    def _identity(self, shard: int) -> str:
        """What the checksum of a shard begins with, beside its rows."""
        return json.dumps([shard, vars(self._manifest)], sort_keys=True)

    def _is_done(self, shard: int) -> bool:
        """Whether a shard exists. Raises ValueError if it does not fit the manifest."""
        try:
            self._shard(shard)
        except FileNotFoundError:
            return False
        return True

    def _take(self, shard: int, claims: Claims) -> bool:
        """Whether the shard is missing, and now this writer's to make."""
        name = self._file(shard).name
        if self._is_done(shard) or not claims.take(name):
            return False
        if self._is_done(shard):  # meanwhile
            claims.release(name)
            return False
        return True

    def _clean(self, claims: Claims) -> None:
        """Remove what stopped writers left of files that are there, or not to come."""
        to_come = {f(k).name for k in self.missing for f in (self._file, self._lengths_file)}
        claims.clean(lambda name: bool(OURS.fullmatch(name)) and name not in to_come)

    def _write(self, shard: int, Z: Array, lengths: Indices | None = None) -> None:
        """Write the rows of a shard, and before them their lengths, where these are known."""
        identity = None if self._manifest.checksum is None else self._identity(shard)
        first_byte = self._rows(shard).start * self._row_bytes
        try:
            if lengths is not None and identity is not None:
                column = lengths[:, None]
                of_lengths = self._lengths_file(shard)
                write_whole(of_lengths, lambda f: write_shard(f, column, 0, identity))
            write_whole(self._file(shard), lambda f: write_shard(f, Z, first_byte, identity))
        except FileNotFoundError:  # a writer that took this one for dead has removed its file
            if not self._is_done(shard):
                raise
        self._verified.add(shard)


def prepared(path: Path) -> bool:
    """Make the folder where there is none. Whether it holds a store; ValueError for one that holds
    something else."""
    path.mkdir(parents=True, exist_ok=True)
    manifest = path / MANIFEST
    if manifest.exists():
        return True
    others = [
        file.name
        for file in path.iterdir()
        if file.name not in (LOCK, MANIFEST)
        and not OURS.fullmatch(name_of_leftover(file.name))
        and not file.name.startswith(".nfs")  # what was removed while it was open
    ]
    if others:
        raise ValueError(
            f"path: expected a sketch store or an empty folder, got {path} with {min(others)} and "
            f"without {MANIFEST}"
        )
    return manifest.exists()


def made(path: Path, manifest: Manifest, claims: Claims) -> SketchStore:
    """The store in a prepared folder; a new one with this manifest where there is none. Of several
    writers one makes it, and the others wait."""
    while not (path / MANIFEST).exists():
        if not claims.take(MANIFEST):
            time.sleep(PAUSE)
            continue
        try:
            if not (path / MANIFEST).exists():
                write_whole(path / MANIFEST, lambda f: f.write(manifest.content))
        finally:
            claims.release(MANIFEST)
    return SketchStore(path)
