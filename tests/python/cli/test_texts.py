"""`skmm-fast sketch --model ... --dataset ...`, and the file of options that replays a run."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pyarrow")
pytest.importorskip("typer")
transformers = pytest.importorskip("transformers")

import skmm_fast as skmm
from skmm_fast import cli
from skmm_fast.gradients import GradientSketcher, sketch_dataset

TEXTS = [" ".join(f"w{(i * k) % 30}" for k in range(2 + i % 7)) for i in range(24)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A small language model with its tokenizer, texts in two files, and an adapter."""
    monkeypatch.chdir(tmp_path)
    tokenizers = pytest.importorskip("tokenizers")
    words = {"<unk>": 0, **{f"w{i}": i + 1 for i in range(30)}}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=model, unk_token="<unk>", pad_token="<unk>",
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained("model")  # fmt: skip
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=31, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained("model")
    lines = [json.dumps({"body": text, "id": i}) for i, text in enumerate(TEXTS)]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines))
    rows = [f"{i},{text}" for i, text in enumerate(TEXTS)]
    (tmp_path / "texts.csv").write_text("\n".join(["id,body", *rows]))
    return tmp_path


SKETCH = ["sketch", "--model", "model", "--text-column", "body", "--sketch-dim", "16"]


def test_texts_of_a_file(folder):
    assert cli.main([*SKETCH, "--dataset", "texts.jsonl", "--out", "one", "--seed", "2"]) == 0
    model = transformers.AutoModelForCausalLM.from_pretrained("model").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained("model")
    samples = [{"input_ids": tokenizer(text)["input_ids"]} for text in TEXTS]
    sketcher = GradientSketcher(model, loss="causal-lm", sketch_dim=16, seed=2)
    expected = sketch_dataset(sketcher, samples, folder / "expected", tokenizer=tokenizer,
                              token_budget=4096, progress=False)  # fmt: skip
    assert np.array_equal(skmm.SketchStore("one").array(), expected.array())
    assert cli.main([*SKETCH, "--dataset", "texts.csv", "--out", "two", "--seed", "2"]) == 0
    assert np.array_equal(skmm.SketchStore("two").array(), expected.array())


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_an_adapter(folder):
    peft = pytest.importorskip("peft")
    model = transformers.AutoModelForCausalLM.from_pretrained("model")
    config = peft.LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=2,
                             init_lora_weights=False)  # fmt: skip
    peft.get_peft_model(model, config).save_pretrained("adapter")
    command = [*SKETCH, "--dataset", "texts.jsonl", "--out", "store", "--lora", "adapter"]
    assert cli.main(command) == 0
    store = skmm.SketchStore("store")
    assert store.complete
    assert np.abs(store.array()).max() > 0
    assert "lora" in json.dumps(store.fingerprint)


def test_a_run_is_replayed(folder, capsys):
    assert cli.main([*SKETCH, "--dataset", "texts.jsonl", "--out", "one", "--max-length", "4"]) == 0
    options = json.loads((folder / "one.config.json").read_text())
    assert options["sketch_dim"] == 16
    assert options["max_length"] == 4
    assert cli.main(["sketch", "--config", "one.config.json"]) == 0
    assert cli.main(["sketch", "--config", "one.config.json", "--out", "two"]) == 0
    one, two = skmm.SketchStore("one"), skmm.SketchStore("two")
    assert np.array_equal(one.array(), two.array())
    assert cli.main(["sketch", "--config", "one.config.json", "--out", "three", "--seed", "9"]) == 0
    assert not np.array_equal(skmm.SketchStore("three").array(), one.array())
    capsys.readouterr()
    for content, said in (
        (b"{", "expected JSON"),
        (b"[]", "expected an object of options"),
        (b'{"sketchdim": 4}', "got 'sketchdim'; did you mean 'sketch_dim'?"),
    ):
        (folder / "bad.json").write_bytes(content)
        assert cli.main(["sketch", "--config", "bad.json"]) == 2
        assert said in capsys.readouterr().err


def test_texts_that_are_none(folder, capsys):
    capsys.readouterr()

    def said(name, content, *options):
        (folder / name).write_text(content)
        assert cli.main([*SKETCH, "--dataset", name, "--out", "store", *options]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "expected a column among 'id', got 'body'" in said("a.jsonl", '{"id": 1}\n')
    assert "expected texts in 'body' of a.jsonl, got int in row 0" in said("a.jsonl", '{"body": 1}')
    two = '{"body": "w1 w2"}\n{"body": "w1"}\n'
    assert "expected at least two tokens a text, got 'w1' in row 1" in said("a.jsonl", two)


@pytest.mark.parametrize(
    "argv",
    [
        ["sketch", "--model", "model", "--out", "s"],
        ["sketch", "--dataset", "texts.jsonl", "--out", "s"],
        ["sketch", "a:b", "--model", "model", "--dataset", "texts.jsonl", "--out", "s"],
        ["sketch", "a:b"],
    ],
)
def test_wrong_command_lines(argv, capsys):
    assert cli.main(argv) == 2
    assert "Error: " in capsys.readouterr().err
