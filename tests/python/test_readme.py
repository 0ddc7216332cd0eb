"""README: its examples run as they stand, and its links lead somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def block_after(words):
    """The first block of code after these words, of at most ten lines."""
    code = README.partition(words)[2].partition("```")[2].partition("```")[0]
    lines = code.partition("\n")[2].strip().splitlines()
    assert 0 < len([line for line in lines if line]) <= 10, words
    return "\n".join(lines)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_is_short_and_its_links_lead_somewhere():
    assert len(README.splitlines()) <= 120
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        prose = re.sub(r"(?s)```.*?```|<!--.*?-->", "", page.read_text())
        for target in re.findall(r"\]\(([^)#]+)", prose):
            if not target.startswith("https://"):
                assert (page.parent / target).exists(), (page.name, target)


def test_quick_start(capsys):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    exec(block_after("## Quick start"), given := {})
    shown = capsys.readouterr().out.splitlines()
    expected = README.partition("\nSelection of ")[2].partition("```")[0].splitlines()
    assert shown[0] == f"Selection of {expected[0]}"
    assert shown[1][:80] == expected[1][:80]
    assert len(shown) == len(expected) == 5
    assert len(given["subset"]) == 200


def test_scikit_learn(capsys):
    datasets = pytest.importorskip("sklearn.datasets")
    pytest.importorskip("imblearn")
    X, y = datasets.load_digits(return_X_y=True)
    X, X_test, y, y_test = X[:1200] / 16, X[1200:] / 16, y[:1200], y[1200:]
    exec(block_after("**scikit-learn**"), {"X": X, "y": y, "X_test": X_test, "y_test": y_test})
    assert float(capsys.readouterr().out) > 0.7


@pytest.mark.filterwarnings("ignore")
def test_a_trainer():
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = {"<unk>": 0, **{f"w{i}": i + 1 for i in range(30)}}
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(tokenizers.models.WordLevel(words, "<unk>")),
        unk_token="<unk>", pad_token="<unk>", model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
    rng = np.random.default_rng(0)
    config = transformers.LlamaConfig(
        vocab_size=31, hidden_size=16, intermediate_size=24, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2,
    )  # fmt: skip
    torch.manual_seed(0)
    given = {
        "model": transformers.LlamaForCausalLM(config),
        "tokenizer": tokenizer,
        "pool": [{"input_ids": rng.integers(1, 31, 3 + i % 5).tolist()} for i in range(60)],
        "collator": transformers.DataCollatorForLanguageModeling(tokenizer, mlm=False),
        "arguments": transformers.TrainingArguments(
            "out", num_train_epochs=2, per_device_train_batch_size=3, report_to=[], use_cpu=True,
            save_strategy="no", disable_tqdm=True,
        ),
    }  # fmt: skip
    exec(block_after("**A Trainer**"), given)
    assert [step for step, _ in given["again"].selections] == [0, 2]
    assert len(given["again"].dataset) == 6


def test_a_shell(folder):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("typer")
    pytest.importorskip("matplotlib")
    X = np.random.default_rng(0).standard_normal((900, 6)).astype(np.float32)
    np.save("rows.npy", X)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 6)
    parquet.write_table(pa.table({"label": np.arange(900) % 3, "e": lists}), "embeddings.parquet")
    (folder / "bin").mkdir()
    command = folder / "bin" / "skmm-fast"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m skmm_fast "$@"\n')
    command.chmod(0o755)
    paths = [str(command.parent), str(Path(sys.executable).parent), os.environ["PATH"]]
    done = subprocess.run(
        ["sh", "-e", "-c", block_after("**A shell**")], check=True, capture_output=True, text=True,
        env={**os.environ, "PATH": os.pathsep.join(paths),
             "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1].startswith("[")
    assert len((folder / "chosen.jsonl").read_text().splitlines()) == 18
    assert (folder / "report.html").exists()
