"""PyTorch: a sampler of the samples chosen, for a `DataLoader` of the whole data set."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from .._selection import Selection
from .._support import checks


class SelectionSampler(torch.utils.data.Sampler[int]):
    """The row numbers of a selection, in another order each epoch.

    Parameters
    ----------
    selection : Selection
        What was chosen from the data set of the loader.
    shuffle : bool, default True
        Whether the order is random; else it is ascending.
    weighted : bool, default False
        Draw n rows with replacement, in proportion to the selection's weights, instead of each row
        once.
    seed : int, default 0
        The order is a function of seed and epoch.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> import skmm_fast as skmm
    >>> from skmm_fast.integrations.torch import SelectionSampler
    >>> X = torch.randn(60, 5)
    >>> selection = skmm.select(X, 8)
    >>> loader = torch.utils.data.DataLoader(X, sampler=SelectionSampler(selection), batch_size=4)
    >>> [len(batch) for batch in loader]
    [4, 4]
    """

    def __init__(
        self, selection: Selection, *, shuffle: bool = True, weighted: bool = False, seed: int = 0
    ) -> None:
        self.selection = selection
        self.shuffle = checks.boolean("shuffle", shuffle)
        self.weighted = checks.boolean("weighted", weighted)
        self.seed, self.epoch = checks.seed(seed), 0

    def __len__(self) -> int:
        return len(self.selection)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        self.epoch += 1
        rows = self.selection.indices
        if self.weighted:
            weights = self.selection.weights
            rows = np.sort(rng.choice(rows, len(rows), p=weights / weights.sum()))
        return iter((rng.permutation(rows) if self.shuffle else rows).tolist())

    def set_epoch(self, epoch: int) -> None:
        """Go on with this epoch, counted from 0; iterating adds one."""
        self.epoch = checks.integer("epoch", epoch, 0)
