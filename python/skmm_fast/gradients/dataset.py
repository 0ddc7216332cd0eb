"""`sketch_dataset`: the sketches of a whole dataset, written to a store on disk shard by shard.

Every run starts with the first batch and then makes the shards that are missing, so the bytes do
not depend on where earlier runs stopped.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch.utils.data import DataLoader, default_collate

from .._support import checks
from .._support.claims import Claims
from .._support.json_text import parsed
from ..sketch.manifest import Manifest, require_same
from ..sketch.store import SketchStore, made, prepared
from .batching import CHUNK, batching_of, lengths_of
from .content import content_of, table_of
from .digests import digest
from .padding import Padding
from .samples import Collate, as_list, loaded, loader_of, read_ends, stacked
from .shards import fill, part_of
from .sketched import Sketcher, sketch_of

BETWEEN = "dataset: samples but those that were read for the fingerprint"


def sketch_dataset(
    sketcher: Sketcher,
    dataset: Any,
    path: str | os.PathLike[str],
    *,
    batch_size: int | None = None,
    shard_rows: int = 4096,
    collate_fn: Collate | None = None,
    tokenizer: Any = None,
    token_budget: int | None = None,
    sort_by_length: bool | None = None,
    dtype: Literal["float16", "float32"] | None = None,
    resume: bool = True,
    fingerprint_extra: Any = None,
    accept: Sequence[str] = (),
    num_shards: int | None = None,
    shard_id: int | None = None,
    progress: bool = True,
) -> SketchStore:
    """Sketch every sample of a data set, into a folder; go on where an earlier call stopped.

    However often it was stopped, and by whatever, the bytes are those of one unbroken run (on a
    GPU, where the model is deterministic there); at most the shard in work is lost. A store
    continues only if batch_size, shard_rows and the fingerprints of sketcher and data set are the
    stored ones. docs/explanation/fingerprints.md says what they see. Of data sets in memory and of
    Hugging Face that is every sample; of others the length, the first, the last and 8 between.

    Parameters
    ----------
    sketcher : GradientSketcher
        It is given the row numbers as sample ids.
    dataset : map-style dataset, DataLoader or Trainer
        A torch `Dataset`, a list of samples, or a Hugging Face `Dataset` (its format "torch" gives
        tensors); or a `DataLoader`, whose dataset, collate_fn, workers and batches are used; or a
        `Trainer` of Hugging Face or TRL, whose training samples and collator are used. The batches
        of a loader hold each row once, the same each time: in order, or as a sampler of your own
        groups them; where rows of a batch are in several shards, they are several batches. Samples
        must read the same each time and in any batch: the first batch is read twice, and its first
        half once more. Where batches are padded, the shortest of 64 first and 64 evenly spaced
        samples is sketched alone and with the longest.
    path : path
        The folder, made where there is none. A relative one is that of the current directory at
        the time of the call.
    batch_size : int, optional
        Samples sketched together, at most; they never straddle two shards. Default: 64, or as many
        as `token_budget` allows.
    shard_rows : int, default 4096
        Rows of a file. One shard is held in memory: shard_rows · m numbers, and with `token_budget`
        or `sort_by_length` its samples.
    collate_fn : callable, optional
        Makes a batch of a list of samples, where `dataset` is no `DataLoader`; one that pads, for
        texts of many lengths. Default: samples are stacked, as a `DataLoader` does.
    tokenizer : tokenizer of Hugging Face, optional
        In place of `collate_fn`, for samples with `input_ids`: these are padded to the longest of
        the batch, on the right, and get an attention mask; `labels` of tokens are padded by -100.
    token_budget : int, optional
        Batches are of at most so many tokens, with padding; a longer sample is a batch of its own.
        The length of a sample is that of its `input_ids`, or of its first entry. The batches of a
        loader are not used then.
    sort_by_length : bool, optional
        Whether the samples of a shard are batched by their lengths, the longest first, so that
        little is padded. Rows stay in the order of the data set. Default: with `token_budget`.
    dtype : {"float16", "float32"}, optional
        "float16" stores 16-bit floats: half the disk, and half the reading when rows are chosen.
        Selections are as good; "auto", where an exchange leads to the next, may choose other rows.
        Each row has a power of two as its scale, so that no entry overflows and all are rounded to
        11 binary digits. Eigenvalues of the second moment count as zero below about 2.4e-7 of its
        largest diagonal entry. "float32" rounds sketches of float64. Default: as the sketcher gives
        them.
    resume : bool, default True
        Whether a store at `path` may be continued; nothing is ever overwritten. True where several
        processes make it.
    fingerprint_extra : numbers, strings, arrays, or lists and dicts of these, optional
        What the rows depend on and fingerprints cannot see: the version of a folder of images, say.
        A warning asks for it where a loss or a model keeps state that cannot be seen.
    accept : list of str, default ()
        Names of fields of the fingerprint, as an error says them, that may differ from the stored
        ones, because the rows are the same nevertheless.
    num_shards, shard_id : int, optional
        Make one of `num_shards` parts of the store, number `shard_id` from 0 on; other processes,
        here or on other machines that see the folder, make the others at the same time, or later,
        and need not know of each other. A part is a run of shards, so there should be more of these
        than parts. Default: inside a process group of torch.distributed its size and this
        process's rank, and who is done helps the others until the store is complete; else all of
        the store.
    progress : bool, default True
        Show a bar (needs tqdm).

    Returns
    -------
    SketchStore
        Complete, or with `num_shards` at least in this part.

    Raises
    ------
    TypeError, ValueError
        A wrong argument, or fields that differ from the stored ones; the message names them.
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
    if tokenizer is not None:
        if collate_fn is not None:
            raise ValueError("tokenizer: expected None with a collate_fn of your own, got both")
        collate_fn = Padding(tokenizer)
    size = checks.integer("batch_size", 64 if batch_size is None else batch_size, 1)
    loader = loader_of(dataset, size, collate_fn=collate_fn)
    batching = batching_of(loader, batch_size, token_budget, sort_by_length)
    samples: Any = loader.dataset
    resume = checks.boolean("resume", resume)
    progress = checks.boolean("progress", progress)
    shard_rows = checks.integer("shard_rows", shard_rows, 1)
    if dtype is not None:
        checks.choice("dtype", dtype, ("float16", "float32"))
    accepted = _names("accept", accept)
    extra = _extra(fingerprint_extra)
    first = batching.first(loader, range(min(shard_rows, len(samples))))
    table, content = table_of(samples), content_of(samples)
    read = read_ends(loader, first, between=table is None and content is None)
    part = part_of(num_shards, shard_id)
    if part.of > 1 and not resume:
        raise ValueError("resume: expected True where several processes make a store, got False")
    if prepared(folder) and not resume:
        raise ValueError(f"path: expected no store with resume=False, got {folder}")
    with Claims(folder) as claims:
        # Every run begins with the first batch, so what that settles (methods, layout) is the same
        # in each run.
        sketcher.forget()
        Z = sketch_of(sketcher, read.first, np.array(first))
        _require_padding_without_effect(sketcher, loader)
        fields = {
            **sketcher.fingerprint(),
            "dataset_fingerprint": table,
            **read.fields,
            "dataset_content": content,
            "extra": extra,
            **({} if batching.description is None else {"batches": batching.description}),
        }
        if extra is None:
            _ask_for_extra(fields)
        if "dataset_samples" in fields:
            fields["advisory unseen"] = [*fields.get("advisory unseen", []), BETWEEN]
        manifest = Manifest(
            n_samples=len(samples),
            sketch_dim=sketcher.sketch.out_dim,
            dtype=dtype or str(Z.dtype),
            batch_size=batching.most,
            shard_rows=shard_rows,
            fingerprint=_as_json(fields),
        )
        store = made(folder, manifest, claims)
        require_same(store.path, store._manifest, manifest, accepted)
        mine = store._part(part.number, part.of)
        if any(k in mine for k in store.missing):  # what is read is little beside what is sketched
            store._verify(mine)
        fill(store, mine, sketcher, loader, batching, claims, dtype, progress)
        if part.in_group:  # what others have not begun, or left behind, is made here too
            everything = store._part(0, 1)
            fill(store, everything, sketcher, loader, batching, claims, dtype, progress=False)
    return store


def _require_padding_without_effect(sketcher: Sketcher, loader: DataLoader[Any]) -> None:
    """Raises ValueError where a sample has another sketch when it is padded: the shortest of some
    samples, to the length of the longest. Samples without lengths are not padded."""
    collate: Any = loader.collate_fn
    if collate in (stacked, default_collate):
        return
    dataset: Any = loader.dataset
    N = len(dataset)
    rows = np.unique(np.r_[: min(CHUNK, N), np.linspace(0, N - 1, CHUNK).astype(np.int64)])
    (samples,) = loaded(loader, [rows], workers=1, collate=as_list)
    try:
        lengths = lengths_of(samples)
    except ValueError:
        return
    long, short = int(lengths.argmax()), int(lengths.argmin())
    if lengths[long] == lengths[short]:
        return
    two = [long, short]
    _, padded = sketch_of(sketcher, collate([samples[i] for i in two]), rows[two])
    (alone,) = sketch_of(sketcher, collate([samples[short]]), rows[[short]])
    error = np.linalg.norm(padded - alone) / max(np.linalg.norm(alone), np.finfo(float).tiny)
    if not error <= getattr(sketcher, "_tolerance", 0.1):
        raise ValueError(
            "dataset: expected samples whose sketches do not depend on padding, got row "
            f"{rows[short]} off by {error:.2g} of its norm when padded from {lengths[short]} to "
            f"{lengths[long]} tokens: pad on the right, give an attention mask, and label padding "
            "-100"
        )


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
