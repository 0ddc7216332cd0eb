"""What the proof of a batch costs, and its share of a store: the first of 64 batches of a shard.

Batches of 64 samples, shards of 4096 rows, m = 512. CPU time of the process, with one thread, the
median of calls in turn. The first batch of a run is proven too, and two samples of it are held
against the loop.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch

from common import save
from models import probe, resnet18
from skmm_fast.gradients import GradientSketcher

nn = torch.nn
B, SHARD_ROWS, M = 64, 4096, 512


class Encoder(nn.Module):
    """Two layers of a transformer on 32 tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(1000, 128), nn.Linear(128, 10)
        layer = nn.TransformerEncoderLayer(128, 4, 256, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.layers(self.embedding(tokens)).mean(1))
        return found


def cpu_seconds(calls: dict[str, Callable[[], Any]], rounds: int = 7) -> dict[str, float]:
    times: dict[str, list[float]] = {who: [] for who in calls}
    for _ in range(rounds):
        for who, call in calls.items():
            began = time.process_time()
            call()
            times[who].append(time.process_time() - began)
    return {who: statistics.median(t) for who, t in times.items()}


def measure(case: str, model: nn.Module, inputs: torch.Tensor, params: str) -> dict[str, Any]:
    batch = inputs, torch.randint(0, 10, (B,))
    unchecked, sketcher = (
        GradientSketcher(model.eval(), params=params, sketch_dim=M, check=check, n_threads=1)
        for check in (0, 2)
    )

    def first_of_a_shard() -> None:
        sketcher._restart()
        sketcher(batch)

    def first() -> None:
        sketcher.forget()
        sketcher(batch)

    first()
    unchecked(batch)
    took = cpu_seconds(
        {
            "batch, check=0": lambda: unchecked(batch),
            "batch": lambda: sketcher(batch),
            "proven batch": first_of_a_shard,
            "first batch": first,
        }
    )
    extra = took["proven batch"] - took["batch"]
    share = extra / (SHARD_ROWS // B * took["batch"] + extra)
    return {"case": case, "parameters": sketcher.n_params, **took, "share of a store": share}


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.filterwarnings("ignore", "There is a performance drop because we have not yet")
    images, tokens = torch.randn(B, 3, 64, 64), torch.randint(0, 1000, (B, 32))
    rows = [
        measure("linear probe of 512 features", probe(512, 196), torch.randn(B, 512), "all"),
        measure("ResNet18, 64 x 64, last two layers", resnet18(196), images, "last-2"),
        measure("transformer, last two layers", Encoder(), tokens, "last-2"),
        measure("transformer, all parameters", Encoder(), tokens, "all"),
    ]
    save("proofs", rows)


if __name__ == "__main__":
    main()
