"""Texts of many lengths: a budget of tokens beside fixed batches, and rows beside single samples.

Lengths are log-normal with median 48, cut to 8 ... 1024; the model has the layers of the 15M Llama
(random weights, 2048 words), all linear layers by a factored sketch, m = 512. Fixed batches have 8
texts, in order, padded to the longest; the budget is 2048 tokens, sorted by length in shards of
512. Whole calls of `sketch_dataset`, with what batches prove, one after the other.
A third call is stopped by SIGKILL half way and goes on.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench_language import LINEAR, M, llama
from common import peak_rss, save
from skmm_fast.gradients import GradientSketcher, sketch_dataset

SHARD, BUDGET, WORDS = 512, 2048, 2048


class Words:
    """What `sketch_dataset` asks of a tokenizer."""

    model_input_names = ("input_ids", "attention_mask")
    pad_token_id = 0


def texts(N: int) -> list[dict[str, list[int]]]:
    rng = np.random.default_rng(0)
    sizes = np.exp(rng.normal(np.log(48), 1.1, N)).astype(int).clip(8, 1024)
    return [{"input_ids": rng.integers(1, WORDS, size).tolist()} for size in sizes]


def sketched(samples: Any, folder: Path, **batches: Any) -> tuple[np.ndarray, float]:
    warnings.simplefilter("ignore")
    sketcher = GradientSketcher(
        llama("15M", WORDS), params=LINEAR, loss="causal-lm", sketch="factored", sketch_dim=M
    )
    began = time.perf_counter()
    store = sketch_dataset(
        sketcher, samples, folder, shard_rows=SHARD, tokenizer=Words(), progress=False, **batches
    )
    return np.array(store.array()), time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-N", type=int, default=1024)
    parser.add_argument("--no-save", action="store_true")
    args = parser.parse_args()
    samples = texts(args.N)
    sizes = [len(text["input_ids"]) for text in samples]
    tokens = sum(sizes)
    padded = sum(max(sizes[i : i + 8]) * len(sizes[i : i + 8]) for i in range(0, args.N, 8))
    budget = {"token_budget": BUDGET}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _, of_fixed = sketched(samples, folder / "fixed", batch_size=8)
        Z, of_budget = sketched(samples, folder / "budget", **budget)
        killed = multiprocessing.get_context("spawn").Process(
            target=sketched, args=(samples, folder / "killed"), kwargs=budget
        )
        killed.start()
        while not (folder / "killed" / "shard-00000.npy").exists():
            time.sleep(0.05)
        killed.kill()  # SIGKILL
        killed.join()
        left = sum(
            not (folder / "killed" / f"shard-{k:05}.npy").exists() for k in range(args.N // SHARD)
        )
        again, _ = sketched(samples, folder / "killed", **budget)
    sketcher = GradientSketcher(
        llama("15M", WORDS), params=LINEAR, loss="causal-lm", sketch="factored", sketch_dim=M
    )
    some = range(0, args.N, args.N // 64)
    alone = torch.cat(
        [sketcher({"input_ids": torch.tensor([samples[i]["input_ids"]])}) for i in some]
    ).numpy()
    off = np.linalg.norm(Z[some] - alone, axis=1) / np.linalg.norm(alone, axis=1)
    row = {
        "N": args.N,
        "tokens": tokens,
        "padded to batches of 8": padded,
        "batches of 8, s": of_fixed,
        "budget, s": of_budget,
        "ratio": of_fixed / of_budget,
        "tokens/s": tokens / of_budget,
        "off from single samples": float(off.max()),
        "shards left by SIGKILL": left,
        "bytes equal after it": again.tobytes() == Z.tobytes(),
        "peak_rss": peak_rss(),
    }
    print(row)
    if not args.no_save:
        save("ragged", [row])


if __name__ == "__main__":
    main()
