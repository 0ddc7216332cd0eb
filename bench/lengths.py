"""Do methods choose texts by their length? A small causal language model, finetuned on texts of
many lengths, chosen by several methods and drawn uniformly. Writes results/lengths.json after each
seed.

    python bench/lengths.py --seeds 5

The model is a Llama of 0.75 million parameters, trained here on docstrings of some of Python's
packages. The pool has docstrings of others, of 4 to 128 tokens. The gradient of a text's mean loss
per token is taken as it is ("mean"), times the root of its number of tokens ("root"), or times the
number ("sum"). A finetune is three passes over the texts chosen, with the mean loss over the
tokens of a batch, as trainers have it. Beside the loss per token of other texts, and its mean over
texts, the number of tokens of the rows chosen is counted, in units of a uniform draw's: twice as
many tokens are twice the training.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

import quality
from common import result_path
from compare import Method, Task
from seed_by_seed import run
from skmm_fast.gradients import GradientSketcher
from text_model import docstrings_in

KNOWN = ("sympy", "matplotlib", "transformers", "networkx")  # what the model was trained on
OTHERS = ("numpy", "scipy", "sklearn", "torch", "pandas")
EACH = 4_000  # docstrings of a package, at most
VOCABULARY, WIDTH, LAYERS = 2048, 96, 3
LEAST, MOST = 4, 128  # tokens of a text
POOL, TEST = 3_000, 600
BATCH, SKETCH_DIM, IGNORED = 16, 512, -100
FIRST_RATE, FIRST_STEPS, RATE, EPOCHS = 3e-3, 1_500, 1e-3, 3
SHARES = (0.03, 0.1)
POWERS = {"mean": 0.0, "root": 0.5, "sum": 1.0}  # of the number of tokens
FAST = {"diagnose": "fast"}
METHODS = {
    "uniform": Method("uniform", FAST, sees=(), draws=3),
    "auto": Method("auto", FAST, sees=tuple(POWERS)),
    "auto, unit rows": Method("auto", {"unit_rows": True, **FAST}, sees=("mean",)),
    "v-optimal": Method("v-optimal", FAST, sees=tuple(POWERS)),
    "v-optimal, unit rows": Method("v-optimal", {"unit_rows": True, **FAST}, sees=("mean",)),
    "herding": Method("herding", FAST, sees=tuple(POWERS)),
}
METRICS = {"loss": "low", "loss of texts": "low", "tokens": "low"}


class Trained(NamedTuple):
    """The model before the finetune, and the token numbers of the texts of OTHERS."""

    model: torch.nn.Module
    texts: list[list[int]]


def docstrings(package: str) -> Iterator[str]:
    """The first EACH different docstrings of a package, whole."""
    found: dict[str, None] = {}
    for text in docstrings_in(Path(find_spec(package).origin).parent):
        found[text] = None
        if len(found) == EACH:
            break
    return iter(found)


def padded(texts: list[list[int]]) -> dict[str, torch.Tensor]:
    """A batch: padded on the right, without a loss there."""
    T = max(map(len, texts))
    ids = torch.tensor([text + [0] * (T - len(text)) for text in texts])
    mask = torch.arange(T) < torch.tensor([[len(text)] for text in texts])
    labels = ids.masked_fill(~mask, IGNORED)
    return {"input_ids": ids, "attention_mask": mask.long(), "labels": labels}


def train(
    model: torch.nn.Module, texts: list[list[int]], rate: float, steps: int, seed: int
) -> None:
    """By AdamW, the rate going down to zero; each pass has an order of its own."""
    rng, order = np.random.default_rng(seed), np.empty(0, np.int64)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 1 - k / steps)
    for _ in range(steps):
        if not len(order):
            order = rng.permutation(len(texts))
        now, order = order[:BATCH], order[BATCH:]
        optimizer.zero_grad()
        model(**padded([texts[i] for i in now])).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()


@cache
def trained() -> Trained:
    known = [text for package in KNOWN for text in docstrings(package)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        known,
        trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=alphabet, show_progress=False),
    )

    def encoded(texts: list[str]) -> list[list[int]]:
        ids = [coded.ids[:MOST] for coded in tokenizer.encode_batch(texts)]
        return [text for text in ids if len(text) >= LEAST]

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        max_position_embeddings=MOST,
    )
    model = LlamaForCausalLM(config)
    train(model, encoded(known), FIRST_RATE, FIRST_STEPS, seed=0)
    return Trained(
        model.eval(), encoded([text for package in OTHERS for text in docstrings(package)])
    )


@torch.no_grad()
def losses(model: torch.nn.Module, texts: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """(N,) The sum of the losses of each text's tokens, and how many have one."""
    total, count = [], []
    for i in range(0, len(texts), 4 * BATCH):
        batch = padded(texts[i : i + 4 * BATCH])
        labels = batch.pop("labels")[:, 1:]
        out = model(**batch).logits[:, :-1]
        each = torch.nn.functional.cross_entropy(out.transpose(1, 2), labels, reduction="none")
        total.append(each.sum(1))
        count.append((labels != IGNORED).sum(1))
    return torch.cat(total).numpy(), torch.cat(count).numpy()


def task(seed: int) -> Task:
    model, texts = trained()
    order = np.random.default_rng(seed).permutation(len(texts))
    pool = [texts[i] for i in order[:POOL]]
    test = sorted((texts[i] for i in order[POOL : POOL + TEST]), key=len)
    sketcher = GradientSketcher(
        model,
        params="*.layers.*",
        loss="causal-lm-mean",
        sketch_dim=SKETCH_DIM,
        seed=seed,
        n_threads=1,
    )
    by_length = sorted(range(POOL), key=lambda i: len(pool[i]))
    Z = np.empty((POOL, SKETCH_DIM), np.float32)
    for i in range(0, POOL, BATCH):
        rows = by_length[i : i + BATCH]
        Z[rows] = sketcher(padded([pool[j] for j in rows]), np.array(rows)).numpy()
    tokens = np.array([len(text) - 1 for text in pool], np.float32)

    def score(rows: np.ndarray, draw: int, weights: np.ndarray | None = None) -> dict[str, float]:
        if weights is not None:
            raise ValueError("weights: expected None, since these finetunes have no weights")
        finetuned = copy.deepcopy(model).train()
        steps = EPOCHS * -(-len(rows) // BATCH)
        train(finetuned, [pool[i] for i in rows], RATE, steps, seed + 100 * draw)
        total, count = losses(finetuned.eval(), test)
        return {
            "loss": float(total.sum() / count.sum()),
            "loss of texts": float((total / count).mean()),
            "tokens": float(tokens[rows].mean() / tokens.mean()),
        }

    total, count = losses(model, test)
    facts = {"loss before": float(total.sum() / count.sum()), "tokens": float(tokens.mean())}
    scaled = {name: Z * tokens[:, None] ** power for name, power in POWERS.items()}
    return Task("docstrings of many lengths", METRICS, scaled, score, facts=facts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="go on at this seed")
    args = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1, "blas")
    found = run(
        result_path("lengths"), partial(task), METHODS, SHARES, range(args.first, args.seeds)
    )
    print("\n\n".join(quality.tables(found)), flush=True)


if __name__ == "__main__":
    main()
