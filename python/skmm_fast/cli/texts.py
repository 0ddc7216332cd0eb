"""A causal language model and the texts of a file, as `skmm-fast sketch --model` takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .._support.optional import need
from . import tables

TOKEN_BUDGET = 4096  # padded tokens of a batch


def load(
    model: str,
    dataset: Path,
    text_column: str = "text",
    lora: Path | None = None,
    max_length: int | None = None,
) -> tuple[Any, list[dict[str, list[int]]], Any]:
    """The model in eval mode, the tokens of each text, and the tokenizer.

    Raises ValueError for a file without the column, with something else than texts in it, or with a
    text of less than two tokens, which has no next token.
    """
    texts = tables.column(dataset, text_column).to_pylist()
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(
                f"dataset: expected texts in {text_column!r} of {dataset}, got "
                f"{type(text).__name__} in row {number}"
            )
    transformers = need("transformers", "text")
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    cut = {} if max_length is None else {"truncation": True, "max_length": max_length}
    samples = [{"input_ids": tokens} for tokens in tokenizer(texts, **cut)["input_ids"]]
    for number, sample in enumerate(samples):
        if len(sample["input_ids"]) < 2:
            raise ValueError(
                f"dataset: expected at least two tokens a text, got {texts[number]!r} in row "
                f"{number}"
            )
    loaded = transformers.AutoModelForCausalLM.from_pretrained(model)
    if lora is not None:
        peft = need("peft", "text")
        loaded = peft.PeftModel.from_pretrained(loaded, str(lora), is_trainable=True)
    return loaded.eval(), samples, tokenizer
