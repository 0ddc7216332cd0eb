"""The scripts of examples/, each run as a command at a small size."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")
pytest.importorskip("datasets")

EXAMPLES = Path(__file__).parents[2] / "examples"
WORDS = [f"w{i}" for i in range(60)]


@pytest.fixture(scope="module")
def language(tmp_path_factory):
    """A folder with a small model, its tokenizer, and 40 texts in texts.jsonl."""
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
    script = EXAMPLES / f"{name}.py"
    assert len(script.read_text().splitlines()) <= 40
    command = [
        sys.executable, script, "--model", language, "--data", language / "texts.jsonl",
        "-n", "10", "--steps", "3", "--out", tmp_path / "out",
    ]  # fmt: skip
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [*map(str, command)], cwd=tmp_path, env=quiet, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "out" / "adapter" / "adapter_model.safetensors").exists()
