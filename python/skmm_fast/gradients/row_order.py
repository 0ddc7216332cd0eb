"""Whether a model moves the rows of its tensors as the data say: the graph of the losses tells.

A layer's formula takes row i of its output for sample i. A model that sorts its batch, packs it or
sends rows to experts may keep the order of rows in one batch and not in the next of equal shapes.
"""

from __future__ import annotations

from typing import Any

import torch

# Operations that move entries along their dimension `_saved_dim`, where an index says.
ALONG_A_DIMENSION = {
    "GatherBackward0",
    "IndexAddBackward0",
    "IndexCopyBackward0",
    "IndexReduceBackward0",
    "IndexSelectBackward0",
    "ScatterAddBackward0",
    "ScatterBackward0",
    "ScatterReduceBackward0",
    "SortBackward0",
    "TopkBackward0",
}
# Operations that choose entries wherever they are.
ANYWHERE = {
    "EmbeddingBackward0",
    "MaskedScatterBackward0",
    "MaskedSelectBackward0",
    "PackPaddedSequenceBackward0",
    "PutBackward0",
    "SegmentReduceBackward0",
    "TakeBackward0",
}


def may_move_rows(losses: torch.Tensor) -> bool:
    """Whether the graph of the losses (n,) has an operation that may move rows where data say."""
    n, seen, left = len(losses), {losses.grad_fn}, [losses.grad_fn]
    while left:
        node: Any = left.pop()
        if node is None:
            continue
        if _moves_rows(node, n):
            return True
        for before, _ in node.next_functions:
            if before not in seen:
                seen.add(before)
                left.append(before)
    return False


def _moves_rows(node: Any, n: int) -> bool:
    name = node.name()
    if name in ANYWHERE:
        return True
    if name in ALONG_A_DIMENSION:
        return bool(node._saved_dim == 0)
    if name in ("IndexBackward0", "IndexPutBackward0"):
        sizes = getattr(node, "_saved_self_sym_sizes", None)
        return not _keeps_order(node._saved_indices[0], n if sizes is None else sizes[0])
    if name in ("SelectBackward0", "SliceBackward0"):
        return bool(node._saved_dim == 0 and node._saved_self_sym_sizes[0] == n > 1)
    if name == "UnbindBackward0":
        return bool(node._saved_dim == 0 and len(node._input_metadata) == n > 1)
    return False


def _keeps_order(index: torch.Tensor | None, length: int) -> bool:
    """Whether x[index, ...] has, for x of this length, row i of x in row i."""
    if index is None:
        return True
    if index.dtype == torch.bool or index.ndim == 0 or len(index) != length:
        return False
    rows = torch.arange(length, device=index.device)
    return bool((index.reshape(length, -1) == rows[:, None]).all())
