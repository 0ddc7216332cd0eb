"""The shards of a store that one writer makes, beside others that make theirs."""

from __future__ import annotations

import sys
import time
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader

from .._support import checks
from .._support.claims import Claims
from .._support.progress import Tick, bar
from .._support.types import Indices
from ..sketch.store import PAUSE, SketchStore
from .batching import Batching
from .sketched import Sketcher, rounded, sketch_of


class Part(NamedTuple):
    """What one of several writers makes: part `number` of `of`."""

    number: int
    of: int
    in_group: bool = False  # whether the writers are a process group


def part_of(num_shards: int | None, shard_id: int | None) -> Part:
    """The part that the arguments of `sketch_dataset` say; without them that of this process in its
    process group, or all."""
    if num_shards is None and shard_id is None:
        group = torch.distributed
        if group.is_available() and group.is_initialized():
            return Part(group.get_rank(), group.get_world_size(), in_group=True)
        return Part(0, 1)
    if num_shards is None or shard_id is None:
        given, other = (
            ("shard_id", "num_shards") if num_shards is None else ("num_shards", "shard_id")
        )
        raise ValueError(f"{given}: expected {other} too, which says what it is counted in")
    of = checks.integer("num_shards", num_shards, 1)
    return Part(checks.integer("shard_id", shard_id, 0, of - 1), of)


def fill(
    store: SketchStore,
    shards: range,
    sketcher: Sketcher,
    loader: DataLoader[Any],
    batching: Batching,
    claims: Claims,
    dtype: str | None,
    progress: bool,
) -> None:
    """Sketch and write those of these shards that are missing, until all are there: those that
    another writer makes are waited for, and made where it is gone. Sketches are rounded where a
    type is given."""
    rows = sum(len(store._rows(k)) for k in shards)
    left, waiting = list(shards), False
    with bar("sketch", rows, progress, "samples", before=_rows_done(store, shards)) as tick:
        while left := [k for k in left if not store._is_done(k)]:
            if _fill(store, left, sketcher, loader, batching, claims, dtype, shards, tick):
                continue
            if not waiting:
                name = store._file(left[0]).name
                who = claims.writer(name) or "another writer"
                print(f"waiting for {name} of {store.path}, which {who} makes", file=sys.stderr)
                waiting = True
            time.sleep(PAUSE)
    store._clean(claims)


def _fill(
    store: SketchStore,
    left: list[int],
    sketcher: Sketcher,
    loader: DataLoader[Any],
    batching: Batching,
    claims: Claims,
    dtype: str | None,
    shards: range,
    tick: Tick,
) -> bool:
    """Sketch and write those of these shards that nobody else makes; whether there was one. One
    loader reads the batches of all of them."""

    ours = (store._rows(k) for k in left if store._take(k, claims))
    first = next(ours, None)
    if first is None:  # before a loader starts its workers
        return False
    # Of a GradientSketcher:
    restart = getattr(sketcher, "_restart", lambda: None)
    lengths_in = getattr(sketcher, "_lengths", lambda batch: None)
    buffer = np.empty((max(len(store._rows(k)) for k in left), store._columns), store.dtype)
    lengths: Indices | None = None
    done = _rows_done(store, shards)
    end = done
    for rows, batch in batching.batches(loader, chain([first], ours)):
        k = store._shard_of(int(rows[0]))
        shard = store._rows(k)
        if done == end:  # a shard begins
            end = done + len(shard)
            restart()
        Z = sketch_of(sketcher, batch, rows)
        if (tokens := lengths_in(batch)) is not None:
            lengths = np.empty(len(buffer), np.int64) if lengths is None else lengths
            lengths[rows - shard.start] = tokens
        if dtype is not None:
            Z = rounded(Z, rows, dtype)
        if Z.dtype != buffer.dtype:
            raise TypeError(f"sketcher: expected {buffer.dtype} as before, got {Z.dtype}")
        buffer[rows - shard.start] = Z
        done += len(rows)
        if tick is not None:
            tick(done)
        if done == end:
            known = None if lengths is None else lengths[: len(shard)]
            store._write(k, buffer[: len(shard)], known)
            claims.release(store._file(k).name)
    return True


def _rows_done(store: SketchStore, shards: range) -> int:
    return sum(len(store._rows(k)) for k in shards if store._is_done(k))
