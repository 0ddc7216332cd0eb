"""What the factored sketch is worth beside sparse signs: Gram matrices, selections, finetunes.

    python bench/factored.py

Gradients of the linear weights of the last two layers of a pretrained encoder (MiniLM, excerpts of
code, 24 tokens), and of all layers of small Llama- and GPT-2-shaped models with random weights.

- Gram matrices of 150 samples at m = 512, against that of whole gradients: the mean error of inner
  products relative to the product of the norms, and the mean relative error of squared norms.
- Selections of n = 200 of 1000 by "v-optimal" at m = 128, judged by tr(M(S)^-1 M)/m in a plain
  sketch of another seed, relative to a selection by a plain sketch of a third seed; and how many of
  their rows are among those of that selection, beside what two plain sketches share.
- Finetunes of the encoder's adapters (bench/finetune.py) on n rows that "auto" chooses by the
  gradients of its last two layers: accuracy by plain and factored sketches and uniform draws.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import transformers
from torch.func import functional_call, grad, vmap
from torch.utils.data import Subset, TensorDataset

import skmm_fast as skmm
from common import result_path, save
from finetune import POOL, LastLayers, new_model, predicted, texts_of, train
from skmm_fast.gradients import GradientSketcher

M, FEW, SAMPLES, CHOSEN, LESS = 512, 150, 1000, 200, 128
SIDES = (32, 64, 128, 256)
Loss = Callable[[Any, Any], torch.Tensor]


def encoder(seed: int = 0) -> tuple[torch.nn.Module, list[str], tuple[Any, torch.Tensor]]:
    texts = texts_of("code", seed)
    torch.manual_seed(seed)
    head = torch.nn.Linear(texts.features.shape[1], texts.n_classes)
    model = LastLayers(copy.deepcopy(texts.layers), head).eval()
    names = [n for n, p in model.named_parameters() if p.ndim == 2]
    return model, names, ((texts.hidden[:POOL], texts.mask[:POOL]), texts.y[:POOL])


def language(kind: str) -> tuple[torch.nn.Module, list[str], tuple[Any, torch.Tensor]]:
    torch.manual_seed(0)
    sizes = {"vocab_size": 1000, "bos_token_id": 0, "eos_token_id": 0}
    if kind == "Llama":
        config = transformers.LlamaConfig(
            hidden_size=288, intermediate_size=768, num_hidden_layers=4, num_attention_heads=6,
            **sizes,
        )  # fmt: skip
        model: Any = transformers.LlamaForCausalLM(config)
    else:
        model = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(n_embd=288, n_layer=4, n_head=6, **sizes)
        )
    names = [
        name
        for name, p in model.named_parameters()
        if p.ndim == 2 and ("layers." in name or ".h." in name)
    ]
    ids = torch.randint(0, 1000, (SAMPLES, 48))
    return model.eval(), names, ((ids,), ids)


def sketched(
    model: torch.nn.Module, names: list[str], data: Any, loss: str, m: int, k: int | None, seed: int
) -> torch.Tensor:
    how: dict[str, Any] = {"sketch": "factored", "factor_dim": k} if k else {}
    sketcher = GradientSketcher(
        model,
        params=names,
        loss=loss,
        sketch_dim=m,
        seed=seed,
        n_threads=1,
        **how,
    )
    inputs, y = data
    rows = [slice(i, i + 50) for i in range(0, len(y), 50)]
    return torch.cat([sketcher((*(x[some] for x in inputs), y[some])) for some in rows])


def gram(model: torch.nn.Module, names: list[str], data: Any, loss: str) -> torch.Tensor:
    """The inner products of whole gradients."""
    inputs, y = data
    params = {n: p.detach() for n, p in model.named_parameters() if n in names}

    def of_one(params: Any, y: torch.Tensor, *x: torch.Tensor) -> torch.Tensor:
        out = functional_call(model, params, tuple(each[None] for each in x))
        if loss == "cross-entropy":
            return torch.nn.functional.cross_entropy(out, y[None])
        total = torch.nn.functional.cross_entropy(out.logits[0, :-1], y[1:], reduction="sum")
        return total / (len(y) - 1) ** 0.5  # as "causal-lm" does

    each = vmap(grad(of_one), in_dims=(None, 0, *[0] * len(inputs)), chunk_size=25)
    return sum(g.flatten(1) @ g.flatten(1).T for g in each(params, y, *inputs).values())


def quality(who: str, model: Any, names: list[str], data: Any, loss: str) -> Iterator[dict]:
    inputs, y = data
    few = tuple(x[:FEW] for x in inputs), y[:FEW]
    many = tuple(x[:SAMPLES] for x in inputs), y[:SAMPLES]
    K = gram(model, names, few, loss)
    norms = K.diagonal().sqrt()
    judge = sketched(model, names, many, loss, LESS, None, seed=1001)
    plain = skmm.v_optimal(sketched(model, names, many, loss, LESS, None, seed=1002), CHOSEN)

    def value(rows: np.ndarray) -> float:
        Z, S = judge.double(), judge[rows].double()
        return float(torch.linalg.solve(S.T @ S / len(S), Z.T @ Z / len(Z)).trace()) / LESS

    for k in (None, *SIDES):
        errors, diagonals, values, shared = [], [], [], []
        for seed in range(3):
            Z = sketched(model, names, few, loss, M, k, seed)
            off = (Z @ Z.T - K) / (norms[:, None] * norms)
            diagonals.append(float(off.diagonal().abs().mean()))
            errors.append(float((off.abs().sum() - off.diagonal().abs().sum()) / FEW / (FEW - 1)))
            rows = skmm.v_optimal(sketched(model, names, many, loss, LESS, k, seed), CHOSEN).indices
            values.append(value(rows) / value(plain.indices))
            shared.append(len(np.intersect1d(rows, plain.indices)) / CHOSEN)
        yield {
            "model": who,
            "sketch": f"factored, k = {k}" if k else "sparse signs",
            "gram": float(np.mean(errors)),
            "norms": float(np.mean(diagonals)),
            "V": float(np.mean(values)),
            "V_most": max(values),
            "shared": float(np.mean(shared)),
        }


def finetunes(seeds: int) -> Iterator[dict]:
    """Accuracy after finetunes of the adapters, over the seeds, and its standard error."""
    found: dict[tuple[int, str], list[float]] = {}
    for n, who, accuracy in tuned(seeds):
        found.setdefault((n, who), []).append(accuracy)
    for (n, who), values in found.items():
        error = float(np.std(values, ddof=1)) / len(values) ** 0.5
        yield {"n": n, "rows by": who, "accuracy": float(np.mean(values)), "se": error}


def tuned(seeds: int) -> Iterator[tuple[int, str, float]]:
    """n, what chose the rows, and the accuracy after a finetune on them, seed by seed."""
    for seed in range(seeds):
        model, names, (inputs, y) = encoder(seed)
        pool = TensorDataset(*inputs, y)
        texts = texts_of("code", seed)
        test = TensorDataset(texts.hidden[POOL:], texts.mask[POOL:], texts.y[POOL:])
        Zs = {
            "sparse signs": sketched(model, names, (inputs, y), "cross-entropy", M, None, seed),
            "factored, k = 128": sketched(model, names, (inputs, y), "cross-entropy", M, 128, seed),
        }
        for n in (40, 100, 200):
            chosen = {who: skmm.select(Z, n, y=y, seed=seed).indices for who, Z in Zs.items()}
            chosen["uniform"] = skmm.select(
                Zs["sparse signs"], n, method="uniform", seed=seed
            ).indices
            for who, rows in chosen.items():
                finetuned = new_model("adapters", texts, seed)
                train(finetuned, Subset(pool, rows.tolist()), "adapters", seed)
                found = predicted(finetuned, test) == test.tensors[-1].numpy()
                yield n, who, float(found.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=["encoder", "Llama", "GPT-2", "finetunes"])
    args = parser.parse_args()
    path = result_path("factored")
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    for part in args.only:
        if part == "finetunes":
            found = finetunes(args.seeds)
        elif part == "encoder":
            found = quality("MiniLM, last two layers", *encoder(), "cross-entropy")
        else:
            found = quality(f"{part}, random, 4 layers", *language(part), "causal-lm")
        rows = [row for row in rows if row["part"] != part]
        rows += [{"part": part, **row} for row in found]
        save("factored", rows)


if __name__ == "__main__":
    main()
