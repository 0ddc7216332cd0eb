"""Heads on features of a frozen model: trained on some rows, and what they predict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from skmm_fast import ForgettingRecord

F = torch.nn.functional

BATCH = 256  # rows that are predicted together


class Training(NamedTuple):
    """By AdamW, of everything in a head that needs gradients."""

    epochs: int
    lr: float
    batch_size: int = 64
    weight_decay: float = 1e-3


def train(
    head: torch.nn.Module,
    X: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray,
    how: Training,
    seed: int,
    weights: np.ndarray | None = None,
    seen: Callable[[np.ndarray, np.ndarray], None] | None = None,
) -> torch.nn.Module:
    """`head` itself, trained on `rows` of features X (N, ...) and classes y (N,), in eval mode all
    along. `seen` hears of each batch: positions in `rows`, and whether these were right. `weights`
    of the rows are scaled to a mean of 1.
    """
    generator = torch.Generator().manual_seed(seed)
    trained = [p for p in head.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=how.lr, weight_decay=how.weight_decay)
    for _ in range(how.epochs):
        for ids in torch.randperm(len(rows), generator=generator).split(how.batch_size):
            at = rows[ids.numpy()]
            inputs, labels = (torch.from_numpy(a[at]).to(trained[0].device) for a in (X, y))
            logits = head(inputs)
            optimizer.zero_grad()
            if weights is None:
                loss = F.cross_entropy(logits, labels)
            else:
                of_batch = torch.from_numpy(weights[ids.numpy()] / weights.mean()).to(logits)
                loss = (of_batch * F.cross_entropy(logits, labels, reduction="none")).mean()
            loss.backward()
            optimizer.step()
            if seen is not None:
                seen(ids.numpy(), (logits.argmax(1) == labels).cpu().numpy())
    return head


@torch.no_grad()
def predict(head: torch.nn.Module, X: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(len(rows), C) float32 logits."""
    device = next(head.parameters()).device
    parts = (rows[i : i + BATCH] for i in range(0, len(rows), BATCH))
    return np.concatenate([head(torch.from_numpy(X[at]).to(device)).cpu().numpy() for at in parts])


def proxy(
    head: torch.nn.Module, X: np.ndarray, y: np.ndarray, rows: np.ndarray, how: Training, seed: int
) -> dict[str, Any]:
    """What methods of uncertainty ask for, of `head` after training on all N of `rows`: logits and
    probs (N, C), head (C, d) the weights of its linear layer, record (epochs, N)."""
    record = ForgettingRecord(len(rows))
    train(head, X, y, rows, how, seed, seen=record)
    z = predict(head, X, rows)
    linear = [layer for layer in head.modules() if isinstance(layer, torch.nn.Linear)][-1]
    return {
        "logits": z,
        "probs": torch.from_numpy(z).softmax(1).numpy(),
        "head": linear.weight.detach().cpu().numpy(),
        "record": record.array(),
    }
