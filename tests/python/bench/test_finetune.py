"""bench/finetune.py with a small encoder made here, of random weights."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

import finetune
import seed_by_seed
from finetune import LAYERS, METHODS, WAYS, LastLayers, Texts

N, TOKENS, CLASSES = 90, 6, 3


@pytest.fixture
def texts(monkeypatch):
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=48, max_position_embeddings=TOKENS,
    )  # fmt: skip
    torch.manual_seed(0)
    encoder = transformers.BertModel(config, add_pooling_layer=False).eval()
    y = torch.arange(N) % CLASSES
    ids = torch.randint(10, 50, (N, TOKENS))
    ids[:, 1] = y  # a token tells the class
    mask = (torch.arange(TOKENS) < torch.randint(2, TOKENS + 1, (N, 1))).long()
    with torch.no_grad():
        states = encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        last = LastLayers(encoder.encoder.layer[-LAYERS:], torch.nn.Identity()).eval()
        made = Texts(
            states.hidden_states[-1 - LAYERS], mask.float(),
            last(states.hidden_states[-1 - LAYERS], mask.float()), y, CLASSES, last.layers,
        )  # fmt: skip
        mean = (states.last_hidden_state * mask[..., None]).sum(1)
    monkeypatch.setattr(finetune, "texts_of", lambda data, seed: made)
    monkeypatch.setattr(finetune, "POOL", 60)
    made_features = torch.nn.functional.normalize(mean)
    torch.testing.assert_close(made.features, made_features)
    return made


def test_new_adapters_change_nothing_and_only_they_and_the_head_are_trained(texts):
    model = finetune.new_model("adapters", texts, 0)
    head = finetune.new_model("head", texts, 0)
    torch.testing.assert_close(model(texts.hidden, texts.mask), head(texts.features))
    names = set(finetune.trainable(model))
    assert {name.partition(".")[0] for name in names} == {"layers", "head"}
    assert len(names) == 2 + LAYERS * 2 * 2  # head; A and B of queries and values
    before = copy.deepcopy(model.state_dict())
    subset = torch.utils.data.TensorDataset(texts.hidden, texts.mask, texts.y)
    finetune.train(model, subset, "adapters", 0)
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == names


@pytest.mark.parametrize("way", WAYS)
def test_all_methods_run_and_a_seed_gives_the_same_again(texts, way, monkeypatch, tmp_path):
    monkeypatch.setitem(finetune.WAYS, way, WAYS[way]._replace(epochs=2))
    monkeypatch.setattr(finetune, "SKETCH_DIM", 64)
    found = [
        seed_by_seed.run(
            tmp_path / name, lambda seed: finetune.task("made", way, seed), METHODS, (0.2,), (0, 1)
        )
        for name in ("a.json", "b.json")
    ]
    assert [row["method"] for row in found[0]] == list(METHODS)
    for mine, again in zip(*found, strict=True):
        assert mine["task"] == f"made, {way}"
        assert mine["n"] == 12
        assert mine["metrics"] == again["metrics"]
        for metric in mine["metrics"].values():
            assert np.all(np.isfinite(metric["values"]))
