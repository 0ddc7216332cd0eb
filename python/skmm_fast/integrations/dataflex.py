"""DataFlex: a selector that sketches the gradients of the model in training and selects from them.

Tested with DataFlex 1.1.0. Nothing here imports it: it asks a selector for methods, and not for its
class.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from .._select import select
from .._support import arrays, checks
from .._support.ranks import Ranks, ranks_of_group
from .._support.types import Array, Indices
from .eval_mode import eval_mode


class SketchSelector:
    """What DataFlex asks, every some steps, which samples to train on next.

    At each of these steps the per-sample gradients of the model, as it then is, are sketched over
    the whole data set, and `skmm_fast.select` chooses from the sketches. In a process group each
    process sketches its share of the samples, and all get the choice of the first.

    Parameters
    ----------
    dataset : map-style dataset
        The N training samples.
    accelerator : accelerate.Accelerator, optional
        Takes the wrappers off the model.
    data_collator : callable, optional
        From a list of samples to a batch of `GradientSketcher`. DataFlex sets it anew before
        training. Default: samples are stacked.
    cache_dir : path, optional
        A folder where the selection of step k is saved as `step_k.npz`; made where there is none.
    eval_dataset : map-style dataset, optional
        Samples of the task that the model is for; used with toward_eval=True alone.
    toward_eval : bool, default False
        Choose for the samples of eval_dataset, whose gradients are the `target` of `select`.
    batch_size : int, default 16
        Samples sketched together.
    sketcher : mapping, optional
        Arguments of `GradientSketcher` but the model. Default: those of a causal language model,
        {"params": "trainable", "loss": "causal-lm"}.
    options : mapping, optional
        Arguments of `select` but X, n, target and seed.
    seed : int, default 0
        The seed of the selections and of the samples of the warm-up.

    Raises
    ------
    TypeError, ValueError
        A wrong argument; in `select` as `GradientSketcher` and `skmm_fast.select`.

    Examples
    --------
    With DataFlex, `dataflex.core.registry.register_selector("skmm")(SketchSelector)`, and the name
    and the arguments in its file of components. Without it:

    >>> import torch
    >>> from skmm_fast.integrations.dataflex import SketchSelector
    >>> samples = torch.utils.data.TensorDataset(torch.randn(40, 4), torch.arange(40) % 3)
    >>> options = {"params": "all", "sketch_dim": 8}
    >>> selector = SketchSelector(samples, sketcher=options)
    >>> model = torch.nn.Linear(4, 3)
    >>> len(selector.select(model, step_id=10, num_samples=6)), model.training
    (6, True)
    """

    def __init__(
        self,
        dataset: Any,
        accelerator: Any = None,
        data_collator: Any = None,
        cache_dir: str | os.PathLike[str] | None = None,
        eval_dataset: Any = None,
        *,
        toward_eval: bool = False,
        batch_size: int = 16,
        sketcher: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        self.dataset, self.eval_dataset = dataset, eval_dataset
        self.accelerator, self.data_collator = accelerator, data_collator
        self.cache_dir = None if cache_dir is None else Path(cache_dir).absolute()
        self.toward_eval = checks.boolean("toward_eval", toward_eval)
        if self.toward_eval and eval_dataset is None:
            raise ValueError("eval_dataset: expected samples with toward_eval=True, got None")
        self.batch_size = checks.integer("batch_size", batch_size, 1)
        usual = {"params": "trainable", "loss": "causal-lm"}
        self.sketcher = dict(usual if sketcher is None else sketcher)
        self.options = dict(options or {})
        self.seed = checks.seed(seed)
        self.pool: Indices | None = None

    def set_candidate_pool(self, indices: Sequence[int] | None) -> None:
        """From now on choose among these rows alone; among all with None.

        Parameters
        ----------
        indices : row numbers, or None
            What an earlier stage has left.
        """
        N = len(self.dataset)
        self.pool = None if indices is None else arrays.rows("indices", np.unique(indices), N)

    def warmup(self, num_samples: int, replacement: bool = True) -> list[int]:
        """Row numbers drawn uniformly, for the steps before the first selection.

        Parameters
        ----------
        num_samples : int
            How many.
        replacement : bool, default True
            Whether a row may be drawn more than once.

        Returns
        -------
        list of int
        """
        rng = np.random.default_rng(self.seed)
        among = len(self.dataset) if self.pool is None else self.pool
        rows = rng.choice(among, num_samples, replace=replacement)
        return [int(row) for row in rows]

    def select(self, model: Any, step_id: int, num_samples: int, **_: Any) -> list[int]:
        """The row numbers of num_samples distinct samples, ascending.

        The file that is saved has them as places in the pool of candidates, where there is one.

        Parameters
        ----------
        model : torch.nn.Module
            In any mode; it is put into eval mode meanwhile.
        step_id : int
            The number of the step, for the name of the file in `cache_dir`.
        num_samples : int
            How many, at most N.
        **_
            What else DataFlex gives its selectors; not used.

        Returns
        -------
        list of int
        """
        from ..gradients import GradientSketcher

        ranks = ranks_of_group()
        if self.accelerator is not None:
            model = self.accelerator.unwrap_model(model)
        with ranks.together() if ranks else nullcontext(), eval_mode(model):
            sketcher = GradientSketcher(model, **self.sketcher)
            Z, target = self._sketches(sketcher, self.dataset, self.pool, ranks), None
            if self.toward_eval:
                target = self._sketches(sketcher, self.eval_dataset, None, ranks)
            chosen = select(Z, num_samples, target=target, seed=self.seed, **self.options)
            places = chosen.indices
            if ranks is not None:  # else last bits could tell processes apart
                places = ranks.of_first(places.astype(np.float64)).astype(np.int64)
        if self.cache_dir is not None and (ranks is None or ranks.rank == 0):
            self.cache_dir.mkdir(parents=True, exist_ok=True)
            chosen.save(self.cache_dir / f"step_{step_id}.npz")
        return [int(row) for row in (places if self.pool is None else self.pool[places])]

    def _sketches(
        self, sketcher: Any, dataset: Any, rows: Indices | None, ranks: Ranks | None
    ) -> Array:
        """The sketches of these rows, or of all; each of several processes makes a part of them."""
        from ..gradients.samples import loader_of
        from ..gradients.sketched import sketched_batches

        rows = np.arange(len(dataset)) if rows is None else rows
        mine = rows if ranks is None else rows[ranks.rank :: ranks.size]
        loader = loader_of(dataset, self.batch_size, collate_fn=self.data_collator)
        starts = range(0, len(mine), self.batch_size)
        batches: Any = [mine[i : i + self.batch_size] for i in starts]
        none = np.empty((0, sketcher.sketch.out_dim), np.float32)
        Z = np.concatenate([*sketched_batches(sketcher, loader, batches)] or [none])
        if ranks is None:
            return Z
        every = np.empty((len(rows), Z.shape[1]), Z.dtype)
        for rank, part in enumerate(ranks.objects(Z)):
            every[rank :: ranks.size] = part
        return every
