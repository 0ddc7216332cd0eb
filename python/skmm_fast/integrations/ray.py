"""Ray Data: sketches of the blocks of a data set by actors, and a selection from them.

Ray moves the samples and restarts what fails; an actor holds a model and sketches what it is given.
Tested with Ray 2.60. Nothing here imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .._select import select
from .._selection import Selection
from .._support import arrays
from .._support.optional import need
from .._support.scratch import room
from .._support.types import Array, Indices
from .column_choice import matrix_of_column

Rows = Mapping[str, Array]  # a batch of Ray Data in its format "numpy": column -> (B, ...)


class SketchActor:
    """What `ray.data.Dataset.map_batches` runs: it adds a column of sketches to each batch.

    Parameters
    ----------
    make_sketcher : callable
        Makes the `GradientSketcher` of an actor, with its model, where the actor runs. All actors
        must make the same, of the same weights and seed.
    make_batch : callable, optional
        From a batch, a dict of columns, to the batch of the sketcher; tokenizing and padding belong
        here. Default: the columns but that of the ids, as tensors.
    ids : str, default "id"
        The column of row numbers, which `select_from` needs, and draws of targets="random". A data
        set must have it before its rows are shuffled or cut: `ray.data.range(N).zip(...)`, say.
    column : str, default "sketch"
        The name of the column of sketches.
    keep : list of str, default ()
        Columns of the batch that are kept beside ids and sketches.

    Raises
    ------
    KeyError
        A batch without a column.
    TypeError, ValueError
        As `GradientSketcher`.

    Examples
    --------
    With Ray, `dataset.map_batches(SketchActor, fn_constructor_args=(make_sketcher,),
    concurrency=4, num_gpus=1, batch_size=64)` is a data set of sketches. Without it:

    >>> import numpy as np
    >>> import torch
    >>> from skmm_fast.gradients import GradientSketcher
    >>> from skmm_fast.integrations.ray import SketchActor
    >>> def make_sketcher():
    ...     return GradientSketcher(torch.nn.Linear(4, 3).eval(), params="all", sketch_dim=8)
    >>> actor = SketchActor(make_sketcher)
    >>> batch = {"id": np.arange(5), "x": np.ones((5, 4), np.float32), "labels": np.arange(5) % 3}
    >>> actor(batch)["sketch"].shape
    (5, 8)
    """

    def __init__(
        self,
        make_sketcher: Callable[[], Any],
        make_batch: Callable[[Rows], Any] | None = None,
        *,
        ids: str = "id",
        column: str = "sketch",
        keep: tuple[str, ...] | list[str] = (),
    ) -> None:
        self.sketcher = make_sketcher()
        self.make_batch = make_batch or self._as_tensors
        self.ids, self.column, self.keep = ids, column, tuple(keep)

    def __call__(self, batch: Rows) -> dict[str, Array]:
        """The ids, the kept columns and the sketches (B, m) of a batch."""
        ids = np.asarray(batch[self.ids])
        Z = self.sketcher(self.make_batch(batch), ids)
        kept = {name: batch[name] for name in self.keep}
        return {self.ids: ids, **kept, self.column: Z.detach().cpu().numpy()}

    def _as_tensors(self, batch: Rows) -> Any:
        torch = need("torch", "torch")
        columns = {k: torch.as_tensor(np.array(x)) for k, x in batch.items() if k != self.ids}
        if "labels" in columns and len(columns) == 2:
            labels = columns.pop("labels")
            return next(iter(columns.values())), labels
        return columns


def select_from(
    dataset: Any,
    n: int | float,
    *,
    ids: str = "id",
    column: str = "sketch",
    scratch_dir: str | None = None,
    **options: Any,
) -> tuple[Indices, Selection]:
    """Choose n rows of a Ray data set of sketches.

    The sketches come to this process, in the order of their ids, so that the choice does not depend
    on the order in which Ray has them.

    Parameters
    ----------
    dataset : ray.data.Dataset
        With a column of distinct integers and one of sketches, as `SketchActor` makes it.
    n : int or float
        A count, or a share of the rows.
    ids, column : str
        The names of the columns.
    scratch_dir : path, optional
        A folder for the sketches where they may not fit in memory.
    **options
        As for `select`; what has an entry for each row (y, lengths, include, exclude) in ascending
        order of the ids.

    Returns
    -------
    ids : (n,) array of int64
        The ids of the rows chosen, ascending.
    selection : Selection
        Its `indices` are places in the ascending order of all ids.

    Raises
    ------
    TypeError, ValueError
        Ids that are not distinct integers, sketches of several widths, and as `select`.

    Examples
    --------
    >>> import numpy as np
    >>> from skmm_fast.integrations.ray import select_from
    >>> class Batches:  # in place of a ray.data.Dataset
    ...     def count(self):
    ...         return 40
    ...     def iter_batches(self, batch_format):
    ...         for first in (20, 0):
    ...             ids = np.arange(first, first + 20)
    ...             yield {"id": ids, "sketch": np.random.default_rng(first).random((20, 3))}
    >>> chosen, selection = select_from(Batches(), 5)
    >>> len(chosen)
    5
    """
    if hasattr(dataset, "materialize"):
        dataset = dataset.materialize()  # else to count the rows would sketch them once more
    N = dataset.count()
    all_ids, Z, done = np.empty(N, np.int64), np.empty((0, 0)), 0
    for batch in dataset.iter_batches(batch_format="numpy"):
        if len(batch[ids]) == 0:
            continue
        numbers = np.asarray(batch[ids])
        rows = arrays.dense(column, matrix_of_column(column, batch[column]))
        if numbers.dtype.kind not in "iu":
            raise TypeError(f"{ids}: expected integers, got {numbers.dtype}")
        if not done:
            Z = room((N, rows.shape[1]), rows.dtype, scratch_dir)
        if rows.shape[1] != Z.shape[1] or rows.dtype != Z.dtype:
            raise ValueError(
                f"{column}: expected rows of {Z.shape[1]} {Z.dtype}, got {rows.shape[1]} of "
                f"{rows.dtype}"
            )
        part = slice(done, done + len(rows))
        all_ids[part], Z[part] = numbers, rows
        done += len(rows)
    order = np.argsort(all_ids, kind="stable")
    ascending = all_ids[order]
    if done != N or (np.diff(ascending) == 0).any():
        raise ValueError(f"{ids}: expected {N} distinct numbers, got {len(np.unique(ascending))}")
    sorted_rows = room(Z.shape, Z.dtype, scratch_dir)
    for part in arrays.row_blocks(sorted_rows):
        sorted_rows[part] = Z[order[part]]
    selection = select(sorted_rows, n, scratch_dir=scratch_dir, **options)
    return ascending[selection.indices], selection
