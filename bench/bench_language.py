"""Sketched per-sample gradients of language models beside the passes they are made in, on the CPU.

Llama-shaped models with random weights, tied heads, float32, m = 512. All linear layers: what a
forward and a backward pass take without any weight gradient, with all of them (a training step
without its optimizer), and with a factored or a plain sketch; and what the collectors of bergson
(per-module projections to 16 x 16) and dattri (LoGra, 16 x 16) take, where these packages are
installed. Then the factored sketch of other choices of layers. All in turn; medians. A batch has
been sketched before, so that what the first batch proves is not in the times, but proofs of later
ones are on.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from common import in_turns, peak_rss, save
from skmm_fast.gradients import GradientSketcher

M = 512
VOCABULARY = 32_000
SHAPES = {  # name: (hidden, intermediate, layers, heads)
    "15M": (288, 768, 6, 6),
    "110M": (768, 2048, 12, 12),
    "0.5B": (1280, 3456, 24, 20),
    "1.1B": (2048, 5632, 22, 32),
}
LINEAR = ["*_proj.weight"]
BASE = "forward, backward without weight gradients"


def llama(size: str, vocabulary: int = VOCABULARY) -> Any:
    hidden, intermediate, layers, heads = SHAPES[size]
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        use_cache=False,
    )
    return transformers.LlamaForCausalLM(config).eval()


def losses(model: Any, ids: torch.Tensor) -> torch.Tensor:
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1].transpose(1, 2)
    return torch.nn.functional.cross_entropy(logits, ids[:, 1:], reduction="none").mean(1)


def passes(model: Any, ids: torch.Tensor, weights: bool) -> Callable[[], Any]:
    """A forward and a backward pass, with the gradients of all weights or of none."""
    embed = model.get_input_embeddings()

    def call() -> None:
        for p in model.parameters():
            p.requires_grad_(weights)
            p.grad = None
        handle = embed.register_forward_hook(lambda _, __, out: out.requires_grad_())
        losses(model, ids).sum().backward()
        handle.remove()

    return call


def sketch(model: Any, ids: torch.Tensor, params: Any, how: str) -> Callable[[], Any]:
    sketcher = GradientSketcher(
        model,
        params=params,
        loss="causal-lm",
        sketch=how,
        sketch_dim=M,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sketcher({"input_ids": ids[:2, :32]})  # settles the methods
    assert set(sketcher.methods.values()) <= {"hooks", "none"}, sketcher.methods
    return lambda: sketcher({"input_ids": ids})


def bergson(model: Any, ids: torch.Tensor) -> Callable[[], Any]:
    """Its collector in memory, with its default projection of each linear layer."""
    collector = importlib.import_module("bergson.collector.collector")
    memory = importlib.import_module("bergson.collector.in_memory_collector")
    package = importlib.import_module("bergson")
    datasets = importlib.import_module("datasets")
    data = datasets.Dataset.from_dict({"input_ids": ids.tolist()})
    folder = tempfile.mkdtemp()
    Path(f"{folder}/run.part").mkdir()
    config = package.IndexConfig(run_path=f"{folder}/run", projection_dim=16)
    processor = package.GradientProcessor(projection_dim=16)

    def call() -> None:
        for p in model.parameters():
            p.requires_grad_(False)
        model.get_input_embeddings().requires_grad_(True)
        made = memory.InMemoryCollector(
            model=model.base_model, data=data, cfg=config, processor=processor
        )
        computer = collector.CollectorComputer(
            model, data, collector=made, batches=[list(range(len(ids)))], cfg=config
        )
        computer.run_with_collector_hooks(desc="bench")

    return call


def dattri(model: Any, ids: torch.Tensor) -> Callable[[], Any]:
    """What its LoGra attributor keeps of a training set of one batch, without the Hessian."""
    logra = importlib.import_module("dattri.algorithm.logra")
    task = importlib.import_module("dattri.task")
    state = {name: p.detach().clone() for name, p in model.state_dict().items()}

    def loss(model: Any, batch: Any, device: str) -> torch.Tensor:
        return losses(model, batch["input_ids"]).sum()

    samples: Any = [{"input_ids": row} for row in ids]
    loader = torch.utils.data.DataLoader(samples, batch_size=len(ids))
    model.requires_grad_(True)
    made = task.AttributionTask(loss_func=loss, model=model, checkpoints=state)
    names = [n for n, m in model.named_modules() if n.endswith("_proj")]
    attributor = logra.LoGraAttributor(made, layer_names=names, hessian="Identity", proj_dim=256)
    return lambda: attributor.cache(loader)


def contenders(size: str, T: int, B: int) -> dict[str, Callable[[], Callable[[], Any]]]:
    """What makes each call, on one model and one batch; dattri changes the model it is given."""
    model = llama(size)
    ids = torch.randint(0, VOCABULARY, (B, T))
    layers = SHAPES[size][2]
    last = [f"*.layers.{k}.*_proj.weight" for k in (layers - 2, layers - 1)]
    return {
        BASE: lambda: passes(model, ids, weights=False),
        "training step": lambda: passes(model, ids, weights=True),
        "factored, all linear": lambda: sketch(model, ids, LINEAR, "factored"),
        "factored, last two blocks": lambda: sketch(model, ids, last, "factored"),
        "sparse signs, all linear": lambda: sketch(model, ids, LINEAR, "sparse-sign"),
        "bergson, all linear": lambda: bergson(model, ids),
        "dattri LoGra, all linear": lambda: dattri(llama(size), ids),
    }


def measured(size: str, T: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    calls = {}
    for who, make in contenders(size, T, args.batch).items():
        if args.only and who not in args.only:
            continue
        try:
            calls[who] = make()
        except ImportError as error:
            print(f"{who}: left out ({error})", flush=True)
    rows = []
    for who, t in in_turns(calls, args.repeats, warm_up=0.0, at_least=0.0).items():
        rows.append({"size": size, "T": T, "B": args.batch, "who": who, "s": t})
        rows[-1]["tokens/s"] = args.batch * T / t
    base = next((row["s"] for row in rows if row["who"] == BASE), None)
    return [row if base is None else {**row, "of no weights": row["s"] / base} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="*", choices=SHAPES, default=["15M", "110M"])
    parser.add_argument("--lengths", nargs="*", type=int, default=[128, 512])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="names of contenders")
    parser.add_argument("--no-save", action="store_true")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for size in args.sizes:
        for T in args.lengths:
            found = measured(size, T, args)
            for row in found:
                print(row, flush=True)
            rows += found
    if not args.no_save:
        save("language", [{**row, "peak_rss": peak_rss()} for row in rows])


if __name__ == "__main__":
    main()
