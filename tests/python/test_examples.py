"""The scripts of examples/, each run as a command at a small size."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
WORDS = [f"w{i}" for i in range(60)]
NUMBER = r"(?<![\w.])\d+(?:\.\d+)?"


def run(name, *options, cwd, lines):
    """What the script prints. It has at most so many lines."""
    script = EXAMPLES / f"{name}.py"
    assert len(script.read_text().splitlines()) <= lines
    quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, [script, *options])],
        cwd=cwd, env={**os.environ, **quiet}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def language(tmp_path_factory):
    """A folder with a small model, its tokenizer, and 40 texts in texts.jsonl."""
    torch, transformers, *_ = map(
        pytest.importorskip, ("torch", "transformers", "peft", "datasets")
    )
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("language")
    vocabulary = {word: i for i, word in enumerate(["<unk>", "<s>", "</s>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        model_max_length=32,
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, bos_token_id=1, eos_token_id=2, max_position_embeddings=64,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    rng = np.random.default_rng(0)
    with open(folder / "texts.jsonl", "w") as file:
        for size in rng.integers(4, 20, 40):
            file.write(json.dumps({"text": " ".join(rng.choice(WORDS, size))}) + "\n")
    return folder


@pytest.mark.parametrize("name", ["sft_trl", "finetune_trainer"])
def test_finetuning_on_a_selection(tmp_path, language, name):
    if name == "sft_trl":
        pytest.importorskip("trl")
    options = ["--model", language, "--data", language / "texts.jsonl", "-n", 10, "--steps", 3]
    run(name, *options, "--out", tmp_path / "out", cwd=tmp_path, lines=40)
    assert (tmp_path / "out" / "adapter" / "adapter_model.safetensors").exists()


def line_of(text):
    """A line without its numbers, and these."""
    return " ".join(re.sub(NUMBER, "#", text).split()), [*map(float, re.findall(NUMBER, text))]


@pytest.mark.parametrize(
    ("name", "page", "needs"),
    [
        ("imbalanced_text", "imbalanced_text", "sklearn"),
        ("tabular_sklearn", "tabular", "imblearn"),
        ("targeted", "targeted", "torch"),
        ("larger_than_memory", "larger_than_memory", "torch"),
    ],
)
def test_figures_beside_uniform_draws_are_those_of_the_tutorial(tmp_path, name, page, needs):
    pytest.importorskip("sklearn")
    pytest.importorskip(needs)
    text = (ROOT / "docs" / "tutorials" / f"{page}.md").read_text()
    assert f"examples/{name}.py" in text
    printed = run(name, cwd=tmp_path, lines=60).splitlines()
    figures = [line for line in printed if "0." in line]
    assert len(figures) >= 6
    assert any(line.startswith("uniform") for line in figures)
    in_page = [line_of(line) for line in text.splitlines()]
    for line in figures:
        words, numbers = line_of(line)
        same = [of_page for others, of_page in in_page if others == words]
        assert any(np.allclose(numbers, x, rtol=0.1, atol=0.011) for x in same), line


def test_pool_on_disk_of_another_size(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    printed = run("larger_than_memory", "--rows", 3000, cwd=tmp_path, lines=60)
    assert printed.startswith("missing shards: [0, 1]")
