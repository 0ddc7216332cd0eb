"""`sketch_dataset`: the sketches of a whole dataset, written to a store on disk shard by shard.

Every run starts with the first batch and then makes the shards that are missing, so the bytes do
not depend on where earlier runs stopped.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader

from .._support import arrays, checks
from .._support.float16_rows import scaled_halves
from .._support.json_text import parsed
from .._support.progress import bar
from .._support.types import Array
from ..sketch.base import Sketch
from ..sketch.store import Manifest, SketchStore, create, writing
from .content import content_of, table_of
from .digests import digest
from .samples import Collate, loaded, ordered_loader, read_ends

BETWEEN = "dataset: samples but those that were read for the fingerprint"


class Sketcher(Protocol):
    """What `sketch_dataset` needs of a sketcher: a `GradientSketcher`, or an object like it."""

    sketch: Sketch  # sketch.out_dim is m

    def __call__(self, batch: Any, sample_ids: Any = None) -> torch.Tensor:
        """The sketches (B, m) of a batch, float32 or float64."""

    def forget(self) -> None:
        """Forget what earlier batches settled, so that the next batch is treated as the first."""

    def fingerprint(self) -> dict[str, Any]:
        """Fields that JSON can hold and that say what the sketches depend on. They are known after
        the first batch. A list "advisory unseen" names what they cannot see."""


def sketch_dataset(
    sketcher: Sketcher,
    dataset: Any,
    path: str | os.PathLike[str],
    *,
    batch_size: int = 64,
    shard_rows: int = 4096,
    collate_fn: Collate | None = None,
    dtype: Literal["float16"] | None = None,
    resume: bool = True,
    fingerprint_extra: Any = None,
    accept: Sequence[str] = (),
    progress: bool = True,
) -> SketchStore:
    """Sketch every sample of a data set, into a folder; go on where an earlier call stopped.

    However often it was stopped, and by whatever, the bytes are those of one unbroken run (on a
    GPU, where the model is deterministic there); at most the shard in work is lost. A store
    continues only if batch_size, shard_rows and the fingerprints of sketcher and data set are the
    stored ones. docs/fingerprints.md says what they see. Of data sets in memory and of Hugging Face
    that is every sample; of others the length, the first, the last and 8 samples between.

    Parameters
    ----------
    sketcher : GradientSketcher
        It is given the row numbers as sample ids.
    dataset : map-style dataset or DataLoader
        A torch `Dataset`, a list of samples, or a Hugging Face `Dataset` (its format "torch" gives
        tensors); or a `DataLoader` in order, whose dataset, collate_fn, workers and batch_size are
        used. Samples must read the same each time
        and in any batch: the first batch is read twice, and its first half once more.
    path : path
        The folder, made where there is none. A relative one is that of the current directory at
        the time of the call.
    batch_size : int, default 64
        Samples sketched together; they never straddle two shards.
    shard_rows : int, default 4096
        Rows of a file. One shard is held in memory: shard_rows · m numbers.
    collate_fn : callable, optional
        Makes a batch of a list of samples, where `dataset` is no `DataLoader`; one that pads, for
        texts of many lengths. Default: samples are stacked, as a `DataLoader` does.
    dtype : "float16", optional
        Store 16-bit floats: half the disk, and half the reading when rows are chosen. Selections
        are as good; "auto", where an exchange leads to the next, may choose other rows. Each row
        has a power of two as its scale, so that no entry overflows and all are rounded to 11 binary
        digits. Eigenvalues of the second moment count as zero below about 2.4e-7 of its largest
        diagonal entry. Default: as the sketcher gives them, mostly float32.
    resume : bool, default True
        Whether a store at `path` may be continued; nothing is ever overwritten.
    fingerprint_extra : numbers, strings, arrays, or lists and dicts of these, optional
        What the rows depend on and fingerprints cannot see: the version of a folder of images, say.
        A warning asks for it where a loss or a model keeps state that cannot be seen.
    accept : list of str, default ()
        Names of fields of the fingerprint, as an error says them, that may differ from the stored
        ones, because the rows are the same nevertheless.
    progress : bool, default True
        Show a bar (needs tqdm).

    Returns
    -------
    SketchStore
        Complete.

    Raises
    ------
    TypeError, ValueError
        A wrong argument, or fields that differ from the stored ones; the message names them.
    BlockingIOError
        Another process writes there.
    OSError
        The folder cannot be written, for a full disk say; the path is named.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> from skmm_fast.gradients import GradientSketcher, sketch_dataset
    >>> sketcher = GradientSketcher(torch.nn.Linear(4, 3).eval(), params="all", sketch_dim=8)
    >>> samples = torch.utils.data.TensorDataset(torch.randn(20, 4), torch.arange(20) % 3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sketch_dataset(sketcher, samples, folder, progress=False).complete
    True
    """
    folder = Path(path).absolute()  # reading the dataset may change the current directory
    loader = ordered_loader(dataset, batch_size, collate_fn=collate_fn)
    samples: Any = loader.dataset
    sampler: Any = loader.batch_sampler
    resume = checks.boolean("resume", resume)
    progress = checks.boolean("progress", progress)
    shard_rows = checks.integer("shard_rows", shard_rows, 1)
    if dtype is not None:
        checks.choice("dtype", dtype, ("float16",))
    accepted = _names("accept", accept)
    extra = _extra(fingerprint_extra)
    first = range(min(sampler.batch_size, shard_rows, len(samples)))
    table, content = table_of(samples), content_of(samples)
    read = read_ends(loader, first, between=table is None and content is None)
    with writing(folder) as exists:
        if exists and not resume:
            raise ValueError(f"path: expected no store with resume=False, got {folder}")
        # Every run begins with the first batch, so what that settles (methods, layout) is the same
        # in each run.
        sketcher.forget()
        Z = _sketch(sketcher, read.first, first)
        fields = {
            **sketcher.fingerprint(),
            "dataset_fingerprint": table,
            **read.fields,
            "dataset_content": content,
            "extra": extra,
        }
        if extra is None:
            _ask_for_extra(fields)
        if "dataset_samples" in fields:
            fields["advisory unseen"] = [*fields.get("advisory unseen", []), BETWEEN]
        manifest = Manifest(
            n_samples=len(samples),
            sketch_dim=sketcher.sketch.out_dim,
            dtype=dtype or str(Z.dtype),
            batch_size=sampler.batch_size,
            shard_rows=shard_rows,
            fingerprint=_as_json(fields),
        )
        store = SketchStore(folder) if exists else create(folder, manifest)
        store._require(manifest, accepted)
        if store.missing:  # what is read here is little beside what is sketched
            store._verify()
        _fill(store, sketcher, loader, progress)
    return store


def _fill(store: SketchStore, sketcher: Sketcher, loader: DataLoader[Any], progress: bool) -> None:
    """Sketch and write the shards that are missing. One loader reads the batches of all of them."""
    shards = store.missing
    if not shards:
        return
    done = len(store) - sum(len(store._rows(k)) for k in shards)
    buffer = np.empty((max(len(store._rows(k)) for k in shards), store._columns), store.dtype)
    batches = [rows for k in shards for rows in store._batches(k)]
    sketched = sketched_batches(sketcher, loader, batches)
    restart = getattr(sketcher, "_restart", lambda: None)  # of a GradientSketcher
    with bar("sketch", len(store), progress, "samples", before=done) as tick:
        for k in shards:
            restart()
            block = buffer[: len(store._rows(k))]
            for rows in store._batches(k):
                Z = next(sketched)
                if block.dtype == np.float16:
                    Z = _rounded(Z, rows)
                if Z.dtype != block.dtype:
                    raise TypeError(f"sketcher: expected {block.dtype} as before, got {Z.dtype}")
                block[rows[0] - store._rows(k)[0] :][: len(rows)] = Z
                done += len(rows)
                if tick is not None:
                    tick(done)
            store._write(k, block)


def sketched_batches(
    sketcher: Sketcher, loader: DataLoader[Any], batches: Sequence[range], name: str = "dataset"
) -> Iterator[Array]:
    """The checked sketches of these batches of rows, one batch after the other."""
    for rows, batch in zip(batches, loaded(loader, batches), strict=True):
        yield _sketch(sketcher, batch, rows, name)


def _sketch(sketcher: Sketcher, batch: Any, rows: range, name: str = "dataset") -> Array:
    """The checked sketches (B, m) of a batch, which holds these rows of the dataset."""
    try:
        Z = sketcher(batch, np.arange(rows.start, rows.stop))
    except ValueError as error:
        raise ValueError(f"{name}: in rows {rows[0]} to {rows[-1]}: {error}") from error
    if Z.shape != (len(rows), sketcher.sketch.out_dim):
        raise ValueError(
            f"sketcher: expected shape {(len(rows), sketcher.sketch.out_dim)} for rows {rows[0]} "
            f"to {rows[-1]}, got {tuple(Z.shape)}"
        )
    return arrays.dense("sketcher", Z.detach().cpu().contiguous())


def _rounded(Z: Array, rows: range) -> Array:
    """The sketches of these rows of the dataset in 16 bits."""
    halves, lost = scaled_halves(Z)
    if len(lost):
        raise ValueError(
            "dtype: expected sketches in the range of float32 with 'float16', got a largest entry "
            f"of {np.abs(Z[lost[0]]).max():.3g} in row {rows[lost[0]]}; scale the loss, or take "
            "dtype=None"
        )
    return halves


def _as_json(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a fingerprint as a manifest gives them back."""
    try:
        read: dict[str, Any] = parsed(json.dumps(fields))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(
            f"sketcher: expected a fingerprint of values that JSON can hold, got {error}"
        ) from None
    return read


def _names(name: str, given: Any) -> set[str]:
    if isinstance(given, str) or not all(isinstance(field, str) for field in given):
        raise TypeError(f"{name}: expected a list of names of fields, got {given!r}")
    return set(given)


def _extra(given: Any) -> str | None:
    """What is kept of fingerprint_extra: itself where it is short, so that an error can show it."""
    if given is None:
        return None
    try:
        digested = digest(given)
    except TypeError as error:
        raise TypeError(f"fingerprint_extra: {error}") from error
    return repr(given) if isinstance(given, (str, int, float)) else digested


def _ask_for_extra(fields: dict[str, Any]) -> None:
    unseen = fields.get("advisory unseen")
    if unseen:
        named = ", ".join(unseen[:3]) + ", ..." * (len(unseen) > 3)
        warnings.warn(
            f"sketcher: the fingerprint cannot see {named}; where this changes, a run would go on "
            "with other rows: give fingerprint_extra=, a value that changes with it",
            stacklevel=3,
        )
