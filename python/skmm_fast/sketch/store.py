"""Sketches of a dataset in a folder: a manifest and shards.

`manifest.json` says what the rows are and how they are cut into shards. The shards are the files
`shard-00000.npy` and so on, of a fixed number of rows each; the last may have fewer. Every file is
complete as soon as it exists, so the shards that exist are those that are done.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .._support import checks
from .._support.files import only_writer, write_whole
from .._support.types import Array

FORMAT = 1
MANIFEST = "manifest.json"
LOCK = "lock"
ADVISORY = "advisory"  # a field of a fingerprint whose name begins with this may differ
SHOWN = 40  # characters of a value that an error shows


@dataclass(frozen=True)
class Manifest:
    """What the rows of a store are, and how they are cut into files."""

    n_samples: int  # N
    sketch_dim: int  # m
    dtype: str  # "float32" or "float64"
    batch_size: int  # rows sketched together, counted from the first row of a shard
    shard_rows: int  # rows of each shard but the last
    fingerprint: dict[str, Any]  # fields of sketcher and dataset, as JSON gives them back

    def __post_init__(self) -> None:
        for name in ("n_samples", "sketch_dim", "batch_size", "shard_rows"):
            checks.integer(name, getattr(self, name), 1)
        checks.float_type("dtype", self.dtype)
        if not isinstance(self.fingerprint, dict):
            raise TypeError(f"fingerprint: expected named fields, got {self.fingerprint!r}")


class SketchStore:
    """The sketches of a data set in a folder, complete or not, as `sketch_dataset` writes them.

    Every shard is held against the manifest: its type, its shape, the size of its file (not its
    values).

    Parameters
    ----------
    path : path
        The folder.

    Raises
    ------
    FileNotFoundError
        There is no manifest.
    ValueError
        A file is not what was written.

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
        self.path = Path(path)
        self._manifest = _read(self.path / MANIFEST)
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
        """The type of the sketches, float32 or float64."""
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

    def array(self) -> np.memmap[Any, np.dtype[Any]]:
        """All sketches, as one memory map.

        The shards of a store of several are put together once, in `array.npy`, which takes their
        room on disk again.

        Returns
        -------
        (N, m) np.memmap
            Read-only.

        Raises
        ------
        ValueError
            Rows are missing.
        OSError
            The disk is full.

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
        missing = self.missing
        if missing:
            rows = sum(len(self._rows(k)) for k in missing)
            raise ValueError(
                f"{self.path}: expected a complete store, got one where {rows} of "
                f"{self.n_samples} rows are missing; sketching again goes on with them"
            )
        if self._n_shards == 1:
            return self._shard(0)
        whole, shape = self.path / "array.npy", (self.n_samples, self.sketch_dim)
        if not whole.exists():
            with writing(self.path, wait=True):
                if not whole.exists():
                    shards = (self._shard(k) for k in range(self._n_shards))
                    write_whole(whole, lambda f: _write_npy(f, shape, self.dtype, shards))
        return _mapped(whole, shape, self.dtype)

    @property
    def _n_shards(self) -> int:
        return -(-self.n_samples // self._manifest.shard_rows)

    def _rows(self, shard: int) -> range:
        """The row numbers of a shard."""
        first = shard * self._manifest.shard_rows
        return range(first, min(first + self._manifest.shard_rows, self.n_samples))

    def _batches(self, shard: int) -> Iterator[range]:
        """The row numbers of each batch of a shard; a batch is sketched in one call."""
        rows, step = self._rows(shard), self._manifest.batch_size
        return (rows[i : i + step] for i in range(0, len(rows), step))

    def _file(self, shard: int) -> Path:
        return self.path / f"shard-{shard:05}.npy"

    def _shard(self, shard: int) -> np.memmap[Any, np.dtype[Any]]:
        return _mapped(self._file(shard), (len(self._rows(shard)), self.sketch_dim), self.dtype)

    def _is_done(self, shard: int) -> bool:
        """Whether a shard exists. Raises ValueError if it does not fit the manifest."""
        try:
            self._shard(shard)
        except FileNotFoundError:
            return False
        return True

    def _write(self, shard: int, Z: Array) -> None:
        write_whole(self._file(shard), lambda f: _write_npy(f, Z.shape, Z.dtype, [Z]))

    def _require(self, now: Manifest) -> None:
        """Raises ValueError if a field of `now`, or of its fingerprint, is not the stored one.

        The message names each such field.
        """
        differing = _differing(vars(self._manifest), vars(now))
        differing |= _differing(*differing.pop("fingerprint", ({}, {})))
        said = [f"{name} ({_shown(*values)})" for name, values in differing.items()]
        if said:
            raise ValueError(
                f"path: expected a store of this sketcher and this dataset, got {self.path}, which "
                f"differs in {', '.join(said)}"
            )


def create(path: Path, manifest: Manifest) -> SketchStore:
    """A new store in the folder `path`, without any rows yet."""
    values = {"format": FORMAT, **asdict(manifest)}
    write_whole(path / MANIFEST, lambda f: f.write(json.dumps(values, indent=1).encode()))
    return SketchStore(path)


@contextmanager
def writing(path: Path, wait: bool = False) -> Iterator[bool]:
    """A context in which the caller is the only writer of a folder.

    It yields whether the folder holds a store. The folder is made if it does not exist, and
    temporary files of killed writers are removed. If another process or thread writes there, this
    raises BlockingIOError, or waits if `wait` is True. A folder that holds something else is a
    ValueError.
    """
    path.mkdir(parents=True, exist_ok=True)
    manifest = path / MANIFEST
    if not manifest.exists():
        unfinished = set(path.glob(f"{MANIFEST}.*.tmp"))
        others = sorted(set(path.iterdir()) - unfinished - {path / LOCK, manifest})
        if others:
            raise ValueError(
                f"path: expected a sketch store or an empty folder, got {path} with "
                f"{others[0].name} and without {MANIFEST}"
            )
    with only_writer(path / LOCK, wait):
        for leftover in path.glob("*.tmp"):
            leftover.unlink()
        yield manifest.exists()


def _read(path: Path) -> Manifest:
    """The manifest in a file. Raises ValueError if the file holds something else."""
    try:
        values = json.loads(path.read_bytes())
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']!r}")
        return Manifest(**{field.name: values[field.name] for field in fields(Manifest)})
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path}: expected the manifest of a sketch store of format {FORMAT}, got another "
            f"file ({error!r})"
        ) from None


def _write_npy(
    file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any], parts: Iterable[Array]
) -> None:
    """Write the bytes that `np.save` would, from C-contiguous parts one after the other.

    Unlike with `np.save`, an OSError keeps its error number.
    """
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(file, header)
    for part in parts:
        file.write(part.data)


def _mapped(
    path: Path, shape: tuple[int, int], dtype: np.dtype[Any]
) -> np.memmap[Any, np.dtype[Any]]:
    """The array in a .npy file as a read-only memory map.

    Raises ValueError if the file does not have exactly this shape, type and size.
    """
    expected = f"{path}: expected {dtype} of shape {shape} in a whole .npy file, got"
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, EOFError) as error:
        raise ValueError(f"{expected} {path.stat().st_size} bytes ({error})") from None
    if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
        raise ValueError(f"{expected} {array.dtype} of shape {array.shape}")
    surplus = path.stat().st_size - array.offset - array.nbytes
    if surplus:
        raise ValueError(f"{expected} {surplus} bytes beyond its end")
    return array


def _differing(stored: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The fields that differ, each with (stored value, value now); a missing value is None.

    Advisory fields are left out.
    """
    return {
        name: (stored.get(name), now.get(name))
        for name in {**stored, **now}
        if stored.get(name) != now.get(name) and not name.startswith(ADVISORY)
    }


def _shown(stored: Any, now: Any) -> str:
    """The two values as text. Long ones are cut to begin shortly before the first difference."""
    texts = repr(stored), repr(now)
    start = 0
    if max(map(len, texts)) > SHOWN:
        differences = (i for i, (a, b) in enumerate(zip(*texts, strict=False)) if a != b)
        start = max(next(differences, min(map(len, texts))) - SHOWN // 3, 0)
    cut = [
        "…" * (start > 0) + text[start : start + SHOWN] + "…" * (len(text) > start + SHOWN)
        for text in texts
    ]
    return f"stored {cut[0]}, now {cut[1]}"
