"""`pilot`: the gradients of a whole dataset at a model that was finetuned on a few of its samples.

`select` matches them where its argument `pilot` is such a function.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Subset

from .._support import arrays, checks
from .._support.progress import bar
from .._support.types import Indices
from .samples import ordered_loader, read_ends
from .sketched import sketched_batches
from .sketcher import GradientSketcher

Train = Callable[[Any, Subset[Any]], torch.nn.Module | None]  # of a model, on these samples
# (N, m) of the samples of a pool, and with a target of those of its tasks
Gradients = torch.Tensor | tuple[torch.Tensor, list[torch.Tensor]]


def pilot(
    model: torch.nn.Module,
    dataset: Any,
    train: Train,
    *,
    target: Any = None,
    batch_size: int = 64,
    seed: int = 0,
    n_threads: int | None = None,
    progress: bool = False,
    **sketcher_options: Any,
) -> Callable[[Indices], Gradients]:
    """Make a pilot of a torch model, for `select`.

    The pilot is a function of row numbers. It finetunes a copy of the model on these samples and
    sketches the gradients of all samples at the finetuned copy.

    Gradients at a model that has seen a little of the data say more of what a finetune needs than
    those at the model before. `train` must not see more than the samples that it is given: at a
    model that was finetuned on the whole pool the gradients are noise.

    Parameters
    ----------
    model : torch.nn.Module
        The model before the finetune. Each call of the pilot finetunes a new copy; the model itself
        does not change.
    dataset : map-style dataset or DataLoader
        The N samples of the pool, in the order of the rows of X in `select`, as `sketch_dataset`
        takes them.
    train : callable
        train(copy, subset) finetunes the copy of the model on a `torch.utils.data.Subset` of the
        dataset. It returns the model to take the gradients of, or None for the copy.
    target : map-style dataset, DataLoader, or tuple of such, optional
        The samples of the target task, in the order of the rows of `target` in `select`; a tuple
        has those of each of several tasks. They are sketched at the finetuned copy too.
    batch_size : int, default 64
        Samples sketched together; a `DataLoader` has its own.
    seed : int, default 0
        The seed of Γ and of random targets, as in `GradientSketcher`, and of torch's generators
        while the pilot works. What they were at before is restored.
    n_threads : int, optional
        Threads of the core.
    progress : bool, default False
        Show a bar of the samples sketched (needs tqdm).
    **sketcher_options
        Other options of `GradientSketcher`: params, loss, targets, sketch_dim and so on. They are
        held against the finetuned model, which may have other parameters than `model` (adapters,
        say).

    Returns
    -------
    callable
        A function of row numbers that returns an (N, sketch_dim) tensor on the CPU, for the
        argument `pilot` of `select`; with a target, a pair of it and a list of the tasks' tensors.
        What training and sketching raise, it raises.

    Raises
    ------
    TypeError, ValueError
        A wrong argument, or an option that `GradientSketcher` does not have. The message names it.

    Examples
    --------
    >>> import torch
    >>> import skmm_fast as skmm
    >>> from skmm_fast.gradients import GradientSketcher, pilot
    >>> X, y = torch.randn(200, 8), torch.arange(200) % 3
    >>> dataset = torch.utils.data.TensorDataset(X, y)
    >>> model = torch.nn.Linear(8, 3)
    >>> def train(model, subset):
    ...     optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ...     for inputs, labels in torch.utils.data.DataLoader(subset, batch_size=16, shuffle=True):
    ...         optimizer.zero_grad()
    ...         torch.nn.functional.cross_entropy(model(inputs), labels).backward()
    ...         optimizer.step()
    >>> options = {"params": "all", "sketch_dim": 16}
    >>> Z = GradientSketcher(model.eval(), **options)((X, y))
    >>> at_finetuned = pilot(model, dataset, train, **options)
    >>> len(skmm.select(Z, 20, y=y, pilot=at_finetuned).indices)
    20
    """
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    loader = ordered_loader(dataset, batch_size)
    tasks = target if isinstance(target, tuple) else () if target is None else (target,)
    targets = tuple(ordered_loader(task, batch_size, "target") for task in tasks)
    if not callable(train):
        raise TypeError(f"train: expected a function (model, subset), got {type(train).__name__}")
    known = list(inspect.signature(GradientSketcher).parameters)[1:]
    for name in sketcher_options:
        if name not in known:
            raise TypeError(f"{name}: expected an option of GradientSketcher ({', '.join(known)})")
    options = {
        "seed": checks.seed(seed),
        "n_threads": None if n_threads is None else checks.threads(n_threads),
        **sketcher_options,
    }
    progress = checks.boolean("progress", progress)
    return Finetuned(model, loader, targets, train, options, progress)


@dataclass(frozen=True)
class Finetuned:
    """The function that `pilot` returns."""

    model: torch.nn.Module
    loader: DataLoader[Any]
    targets: tuple[DataLoader[Any], ...]
    train: Train
    options: dict[str, Any]  # of GradientSketcher
    progress: bool

    def __call__(self, indices: Indices) -> Gradients:
        """(N, sketch_dim) The sketched gradients at the model finetuned on these rows; with
        targets, a pair of these and a list of those of each target."""
        samples: Any = self.loader.dataset
        rows = arrays.rows("indices", indices, len(samples))
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            torch.manual_seed(self.options["seed"])
            trained = self._trained(Subset(samples, rows.tolist()))
            sketcher = GradientSketcher(trained.eval(), **self.options)
            Z = self._sketched(sketcher, self.loader, "dataset")
            tasks = [self._sketched(sketcher, task, "target") for task in self.targets]
        return (Z, tasks) if tasks else Z

    def _trained(self, subset: Subset[Any]) -> torch.nn.Module:
        own = copy.deepcopy(self.model)
        trained = self.train(own, subset)
        if trained is None:
            return own
        if not isinstance(trained, torch.nn.Module):
            raise TypeError(
                "train: expected a function that returns a torch.nn.Module or None, got one that "
                f"returns {type(trained).__name__}"
            )
        return trained

    def _sketched(
        self, sketcher: GradientSketcher, loader: DataLoader[Any], name: str
    ) -> torch.Tensor:
        """(N, m) The sketches of all samples of a loader, in order."""
        samples: Any = loader.dataset
        sampler: Any = loader.batch_sampler
        N, step = len(samples), sampler.batch_size
        batches = [range(N)[i : i + step] for i in range(0, N, step)]
        read_ends(loader, batches[0])  # raises for samples that are not the same each time
        sketched = sketched_batches(sketcher, loader, batches, name)
        Z = torch.empty(N, sketcher.sketch.out_dim, dtype=sketcher._pass.dtype)
        with bar("pilot", N, self.progress, "samples") as tick:
            for rows, block in zip(batches, sketched, strict=True):
                Z[rows.start : rows.stop] = torch.from_numpy(block)
                if tick is not None:
                    tick(rows.stop)
        return Z
