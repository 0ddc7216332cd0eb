"""Hugging Face's Trainer: samples that are chosen again as the model changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .._select import select
from .._selection import Selection
from .._support import checks
from .._support.optional import need
from .._support.ranks import Ranks, ranks_of_group
from ..gradients import GradientSketcher, sketch_dataset
from .eval_mode import eval_mode

_transformers: Any = need("transformers", "text")


class Selected(torch.utils.data.Dataset[Any]):
    """The chosen samples of a data set, which may be chosen again.

    Workers of a `DataLoader` see another choice when they start anew, with the next epoch.
    """

    def __init__(self, pool: Any, n: int) -> None:
        self.pool = pool
        self.rows = list(range(n))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Any:
        return self.pool[self.rows[i]]


class Reselection(_transformers.TrainerCallback):  # type: ignore[misc]
    """Chooses the samples of a `Trainer` before the first step, and again every so often, from
    sketches of the gradients at the model as it is then.

    The Trainer must be given `reselection.dataset` as its `train_dataset`, and the callback. Each
    choice is a pass over the pool, about three times the cost of its forward pass; the model is in
    eval mode meanwhile. In several processes each sketches a part, in the Trainer's output_dir,
    which they must share.

    Parameters
    ----------
    pool : map-style data set
        The samples to choose from, as the Trainer would train on them.
    n : int or float
        How many samples there are at a time: a count, or a share of the pool.
    every_steps, every_epochs : int, optional
        When samples are chosen again: one of them, or neither for the first choice alone.
    sketcher : dict or callable, optional
        The options of `GradientSketcher`, or a function of the model that makes it. Default: those
        of a causal language model, {"loss": "causal-lm", "params": "trainable"}.
    collate_fn, tokenizer, batch_size, token_budget : optional
        Those of `sketch_dataset`. Default: the Trainer's tokenizer ("processing_class").
    **options
        Those of `skmm_fast.select`.

    Attributes
    ----------
    dataset : data set
        The samples chosen now.
    selections : list of (int, Selection)
        Each choice and the step before which it was made.

    Raises
    ------
    TypeError, ValueError
        As `GradientSketcher`, `sketch_dataset` and `select`.

    Examples
    --------
    `Trainer(model, args, train_dataset=reselection.dataset, callbacks=[reselection])` with

    >>> from skmm_fast.integrations.transformers import Reselection
    >>> pool = [{"input_ids": [1, 2, 3]}] * 40
    >>> reselection = Reselection(pool, 10, every_epochs=1)
    >>> len(reselection.dataset)
    10
    """

    def __init__(
        self,
        pool: Any,
        n: int | float,
        *,
        every_steps: int | None = None,
        every_epochs: int | None = None,
        sketcher: Mapping[str, Any] | Callable[[Any], GradientSketcher] | None = None,
        collate_fn: Any = None,
        tokenizer: Any = None,
        batch_size: int | None = None,
        token_budget: int | None = None,
        **options: Any,
    ) -> None:
        if every_steps is not None and every_epochs is not None:
            raise ValueError(f"every_epochs: expected None beside every_steps, got {every_epochs}")
        for name, value in (("every_steps", every_steps), ("every_epochs", every_epochs)):
            if value is not None:
                checks.integer(name, value, 1)
        self.every_steps, self.every_epochs = every_steps, every_epochs
        usual = {"loss": "causal-lm", "params": "trainable"}
        self.sketcher = usual if sketcher is None else sketcher
        self.store_options = {
            "collate_fn": collate_fn, "tokenizer": tokenizer, "batch_size": batch_size,
            "token_budget": token_budget,
        }  # fmt: skip
        self.options = options
        self.dataset = Selected(pool, checks.count(n, len(pool)))
        self.selections: list[tuple[int, Selection]] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Choose the first samples."""
        self._choose(args, state, given)

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Choose again, if it is time."""
        if self.every_steps is not None and state.global_step % self.every_steps == 0:
            self._choose(args, state, given)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Choose again, if it is time and another epoch follows."""
        ended = round(state.epoch)
        if self.every_epochs is not None and ended % self.every_epochs == 0:
            self._choose(args, state, given)

    def _choose(self, args: Any, state: Any, given: Mapping[str, Any]) -> None:
        if self.selections and state.global_step >= state.max_steps:
            return  # training is over
        model = given["model"]
        options: dict[str, Any] = {k: x for k, x in self.store_options.items() if x is not None}
        if not {"collate_fn", "tokenizer"} & options.keys():
            options["tokenizer"] = given.get("processing_class") or given.get("tokenizer")
        folder, ranks = Path(args.output_dir) / f"reselection-{state.global_step}", ranks_of_group()
        with ranks.together() if ranks else nullcontext(), eval_mode(model):
            self._remove(folder, ranks)  # what a run that was killed has left
            made = self.sketcher
            sketcher = made(model) if callable(made) else GradientSketcher(model, **made)
            store = sketch_dataset(sketcher, self.dataset.pool, folder, progress=False, **options)
            selection = select(store, len(self.dataset), **self.options)
            rows = selection.indices
            if ranks is not None:  # else last bits could tell processes apart
                rows = ranks.of_first(rows.astype(np.float64)).astype(np.int64)
            self._remove(folder, ranks)
        self.dataset.rows = rows.tolist()
        self.selections.append((state.global_step, selection))

    def _remove(self, folder: Path, ranks: Ranks | None) -> None:
        """Remove the folder once all processes have come here; all go on when it is gone."""
        if ranks is not None:
            ranks.gather(np.zeros(1))
        if ranks is None or ranks.rank == 0:
            shutil.rmtree(folder, ignore_errors=True)
        if ranks is not None:
            ranks.gather(np.zeros(1))
