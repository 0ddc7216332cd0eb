"""`sketch_dataset`: the sketches of a whole dataset, written to a store on disk shard by shard.

Every run starts with the first batch and then makes the shards that are missing, so the bytes do
not depend on where earlier runs stopped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, SequentialSampler

from .._support import arrays, checks
from .._support.progress import bar
from .._support.types import Array
from ..sketch.base import Sketch
from ..sketch.store import Manifest, SketchStore, create, writing
from .fingerprint import digest

READS = 4  # times that a sample is read for the fingerprint; all reads must be equal


class Sketcher(Protocol):
    """What `sketch_dataset` needs of a sketcher: a `GradientSketcher`, or an object like it."""

    sketch: Sketch  # sketch.out_dim is m

    def __call__(self, batch: Any, sample_ids: Any = None) -> torch.Tensor:
        """The sketches (B, m) of a batch, float32 or float64."""

    def forget(self) -> None:
        """Forget what earlier batches settled, so that the next batch is treated as the first."""

    def fingerprint(self) -> dict[str, Any]:
        """Fields that JSON can hold and that say what the sketches depend on. They are known after
        the first batch."""


def sketch_dataset(
    sketcher: Sketcher,
    dataset: Any,
    path: str | os.PathLike[str],
    *,
    batch_size: int = 64,
    shard_rows: int = 4096,
    resume: bool = True,
    progress: bool = True,
) -> SketchStore:
    """Sketch every sample of a data set, into a folder; go on where an earlier call stopped.

    However often it was stopped, and by whatever, the bytes are those of one unbroken run (on a
    GPU, where the model is deterministic there); at most the shard in work is lost. A store
    continues only if the fingerprints of sketcher and data set (its length, its first and its last
    sample, the fingerprint that Hugging Face keeps), batch_size and shard_rows are the stored ones.

    Parameters
    ----------
    sketcher : GradientSketcher
        It is given the row numbers as sample ids.
    dataset : map-style dataset or DataLoader
        A torch `Dataset`, a list of samples, or a Hugging Face `Dataset` (its format "torch" gives
        tensors), collated as a `DataLoader` does by default; or a `DataLoader` in order, whose
        dataset, collate_fn, workers and batch_size are used. Samples must read the same each time.
    path : path
        The folder, made where there is none.
    batch_size : int, default 64
        Samples sketched together; they never straddle two shards.
    shard_rows : int, default 4096
        Rows of a file. One shard is held in memory: shard_rows · m numbers.
    resume : bool, default True
        Whether a store at `path` may be continued; nothing is ever overwritten.
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
    loader = ordered_loader(dataset, batch_size)
    samples: Any = loader.dataset
    sampler: Any = loader.batch_sampler
    resume = checks.boolean("resume", resume)
    progress = checks.boolean("progress", progress)
    shard_rows = checks.integer("shard_rows", shard_rows, 1)
    dataset_fields = _fingerprint(loader)
    folder = Path(path)
    with writing(folder) as exists:
        if exists and not resume:
            raise ValueError(f"path: expected no store with resume=False, got {folder}")
        # Every run begins with the first batch, so what that settles (methods, layout) is the same
        # in each run.
        sketcher.forget()
        first = range(min(sampler.batch_size, shard_rows, len(samples)))
        Z = _sketch(sketcher, loader.collate_fn([samples[i] for i in first]), first)
        manifest = Manifest(
            n_samples=len(samples),
            sketch_dim=sketcher.sketch.out_dim,
            dtype=str(Z.dtype),
            batch_size=sampler.batch_size,
            shard_rows=shard_rows,
            fingerprint=json.loads(json.dumps({**sketcher.fingerprint(), **dataset_fields})),
        )
        store = SketchStore(folder) if exists else create(folder, manifest)
        store._require(manifest)
        _fill(store, sketcher, loader, progress)
    return store


def _fill(store: SketchStore, sketcher: Sketcher, loader: DataLoader[Any], progress: bool) -> None:
    """Sketch and write the shards that are missing. One loader reads the batches of all of them."""
    shards = store.missing
    if not shards:
        return
    done = len(store) - sum(len(store._rows(k)) for k in shards)
    buffer = np.empty((max(len(store._rows(k)) for k in shards), store.sketch_dim), store.dtype)
    batches = [rows for k in shards for rows in store._batches(k)]
    sketched = sketched_batches(sketcher, loader, batches)
    restart = getattr(sketcher, "_restart", lambda: None)  # of a GradientSketcher
    with bar("sketch", len(store), progress, "samples", before=done) as tick:
        for k in shards:
            restart()
            block = buffer[: len(store._rows(k))]
            for rows in store._batches(k):
                Z = next(sketched)
                if Z.dtype != block.dtype:
                    raise TypeError(f"sketcher: expected {block.dtype} as before, got {Z.dtype}")
                block[rows[0] - store._rows(k)[0] :][: len(rows)] = Z
                done += len(rows)
                if tick is not None:
                    tick(done)
            store._write(k, block)


def sketched_batches(
    sketcher: Sketcher, loader: DataLoader[Any], batches: Sequence[range]
) -> Iterator[Array]:
    """The checked sketches of these batches of rows, one batch after the other."""
    for rows, batch in zip(batches, _loaded(loader, batches), strict=True):
        yield _sketch(sketcher, batch, rows)


def _sketch(sketcher: Sketcher, batch: Any, rows: range) -> Array:
    """The checked sketches (B, m) of a batch, which holds these rows of the dataset."""
    try:
        Z = sketcher(batch, np.arange(rows.start, rows.stop))
    except ValueError as error:
        raise ValueError(f"dataset: in rows {rows[0]} to {rows[-1]}: {error}") from error
    if Z.shape != (len(rows), sketcher.sketch.out_dim):
        raise ValueError(
            f"sketcher: expected shape {(len(rows), sketcher.sketch.out_dim)} for rows {rows[0]} "
            f"to {rows[-1]}, got {tuple(Z.shape)}"
        )
    return arrays.dense("sketcher", Z.detach().cpu().contiguous())


def ordered_loader(dataset: Any, batch_size: int) -> DataLoader[Any]:
    """A loader of all rows in order: `dataset` itself if it is a DataLoader, else a new one."""
    loader = dataset if isinstance(dataset, DataLoader) else None
    samples = dataset if loader is None else loader.dataset
    if (
        isinstance(samples, (IterableDataset, Mapping, tuple))
        or not hasattr(samples, "__getitem__")
        or not hasattr(samples, "__len__")
    ):
        raise TypeError(
            "dataset: expected samples by row number and their count (a map-style dataset; "
            f"TensorDataset(inputs, labels) makes one of tensors), got {type(samples).__name__}"
        )
    if len(samples) == 0:
        raise ValueError("dataset: expected at least one sample, got none")
    if loader is None:
        return DataLoader(samples, checks.integer("batch_size", batch_size, 1))
    batches: Any = loader.batch_sampler
    if type(batches) is not BatchSampler or type(batches.sampler) is not SequentialSampler:
        rows = getattr(batches, "sampler", loader.sampler)
        raise ValueError(
            "dataset: expected a DataLoader of batches in order (shuffle=False, no sampler of its "
            f"own), got {type(rows).__name__} and {type(batches).__name__}"
        )
    if batches.drop_last:
        raise ValueError("dataset: expected a DataLoader of all rows, got drop_last=True")
    return loader


def _loaded(loader: DataLoader[Any], batches: Sequence[range]) -> DataLoader[Any]:
    """A loader with the settings of `loader` that yields these batches of rows."""
    return DataLoader(
        loader.dataset,
        batch_sampler=(list(rows) for rows in batches),
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        prefetch_factor=loader.prefetch_factor,
        generator=torch.Generator(),  # its own, so that torch's global one does not advance
    )


def _fingerprint(loader: DataLoader[Any]) -> dict[str, str | None]:
    """The fields of the fingerprint that identify the dataset: its first and last sample, and the
    fingerprint that Hugging Face keeps, None where there is none."""
    samples: Any = loader.dataset
    ends = {"dataset_first_sample": 0, "dataset_last_sample": len(samples) - 1}
    known = getattr(samples, "_fingerprint", None)  # Hugging Face
    found = {"dataset_fingerprint": known if isinstance(known, str) else None}
    for name, row in ends.items():
        try:
            digests = {digest(loader.collate_fn([samples[row]])) for _ in range(READS)}
        except TypeError as error:
            raise TypeError(f"dataset: {error}") from error
        if len(digests) > 1:
            raise ValueError(
                f"dataset: expected samples that read the same each time, got another row {row} "
                "when it was read again; switch random augmentation off"
            )
        found[name] = digests.pop()
    return found
