"""Batches by length, by a budget of tokens and by samplers; padding."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import BatchSampler, DataLoader

from skmm_fast.gradients import GradientSketcher, sketch_dataset
from skmm_fast.gradients.batching import ByLength, lengths_of
from skmm_fast.gradients.padding import Padding

N, M = 50, 64
RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(2, 33, N)
TEXTS = [{"input_ids": RNG.integers(1, 100, size).tolist()} for size in LENGTHS]


class Tokenizer:
    """What `Padding` reads of a tokenizer."""

    model_input_names = ("input_ids", "attention_mask")
    pad_token_id = None


def gpt2():
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=100, n_positions=64, n_embd=32, n_layer=2, n_head=2, bos_token_id=0,
        eos_token_id=0,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config).eval()


def sketcher_of(model, **options):
    chosen = {"params": ["*.h.1.mlp.*"], "loss": "causal-lm", "sketch_dim": M, **options}
    return GradientSketcher(model, **chosen)


def store_of(path, dataset=TEXTS, model=None, sketcher=None, **options):
    sketcher = sketcher or sketcher_of(model or gpt2())
    given_options = {"shard_rows": 20, "progress": False, **options}
    return sketch_dataset(sketcher, dataset, path, **given_options)


@pytest.fixture(scope="module")
def alone():
    """The sketches of the texts, one by one, without padding."""
    sketcher = sketcher_of(gpt2())
    rows = [sketcher({"input_ids": torch.tensor([text["input_ids"]])}) for text in TEXTS]
    return torch.cat(rows).numpy()


def require_rows(store, expected, rtol=1e-5):
    off = np.linalg.norm(store.array() - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert off.max() < rtol


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=60),
    st.integers(1, 60),
    st.none() | st.integers(1, 200),
    st.booleans(),
)
def test_every_sample_is_in_one_batch_within_the_budget(lengths, most, tokens, sort):
    lengths = np.array(lengths)
    batches = list(ByLength(most, tokens, sort).cut(lengths))
    order = np.concatenate(batches)
    assert np.array_equal(np.sort(order), np.arange(len(lengths)))
    if sort:
        assert np.array_equal(order, np.argsort(-lengths, kind="stable"))
    else:
        assert np.array_equal(order, np.arange(len(lengths)))

    def fits(rows):
        padded = len(rows) * lengths[rows].max()
        return len(rows) <= most and (tokens is None or padded <= tokens)

    for rows, after in zip(batches, [*batches[1:], None], strict=True):
        assert fits(rows) or len(rows) == 1
        if after is not None:  # no batch could have held the next sample too
            assert not fits(np.append(rows, after[0]))


@pytest.mark.parametrize(
    "options",
    [
        {"token_budget": 128},
        {"token_budget": 128, "sort_by_length": False},
        {"token_budget": 20},  # less than some samples have
        {"token_budget": 1000, "batch_size": 3},
        {"sort_by_length": True, "batch_size": 7},
        {"batch_size": 7},
    ],
)
def test_rows_are_those_of_single_samples(tmp_path, alone, options):
    require_rows(store_of(tmp_path, tokenizer=Tokenizer(), **options), alone)


def test_batches_keep_to_the_budget(tmp_path):
    sketcher, shapes = sketcher_of(gpt2()), []

    class Watched:
        sketch = sketcher.sketch
        forget, fingerprint = sketcher.forget, sketcher.fingerprint

        def __call__(self, batch, ids):
            shapes.append((list(ids), tuple(batch["input_ids"].shape)))
            return sketcher(batch, ids)

    store_of(tmp_path, sketcher=Watched(), tokenizer=Tokenizer(), token_budget=128)
    assert all(B * T <= 128 for _, (B, T) in shapes)
    *_, last = shapes
    assert min(last[0]) >= 40  # batches never straddle two shards
    sorted_rows = [row for ids, _ in shapes[-3:] for row in ids if row >= 40]
    assert [LENGTHS[i] for i in sorted_rows] == sorted(LENGTHS[sorted_rows], reverse=True)
    padded = sum(B * T for _, (B, T) in shapes[3:])  # without those that come before the first
    assert padded < 1.35 * LENGTHS.sum()


@pytest.mark.parametrize("missing", [(0,), (1, 2), (0, 1, 2)])
def test_bytes_do_not_depend_on_stops(tmp_path, missing):
    options = {"tokenizer": Tokenizer(), "token_budget": 100}
    whole = store_of(tmp_path / "whole", **options)
    again = store_of(tmp_path / "again", **options)
    for k in missing:
        again._file(k).unlink()
    again = store_of(tmp_path / "again", **options)
    assert whole.array().tobytes() == again.array().tobytes()
    for k in range(3):
        assert whole._file(k).read_bytes() == again._file(k).read_bytes()


def test_a_store_continues_with_the_same_batches_alone(tmp_path):
    options = {"tokenizer": Tokenizer(), "token_budget": 100}
    store_of(tmp_path, **options)._file(1).unlink()
    for other in ({"token_budget": 200}, {"sort_by_length": False}):
        with pytest.raises(ValueError, match="batches"):
            store_of(tmp_path, **options | other)


def test_workers_read_the_samples(tmp_path):
    loader = DataLoader(TEXTS, num_workers=1, collate_fn=Padding(Tokenizer()))
    one = store_of(tmp_path / "workers", loader, token_budget=100)
    other = store_of(tmp_path / "none", tokenizer=Tokenizer(), token_budget=100)
    assert np.array_equal(one.array(), other.array())


class Buckets:
    """A batch sampler that groups samples of like lengths, and shuffles where it is asked to."""

    def __init__(self, size, rows=range(N), shuffle=False):
        self.size, self.rows, self.shuffle = size, rows, shuffle

    def __iter__(self):
        rows = sorted(self.rows, key=lambda i: LENGTHS[i])
        batches = [rows[i : i + self.size] for i in range(0, len(rows), self.size)]
        order = torch.randperm(len(batches)) if self.shuffle else range(len(batches))
        return iter([batches[i] for i in order])


def loader_of(sampler):
    return DataLoader(TEXTS, batch_sampler=sampler, collate_fn=Padding(Tokenizer()))


@pytest.mark.parametrize(
    "sampler",
    [Buckets(6), BatchSampler(range(N), 4, drop_last=False), [[i] for i in reversed(range(N))]],
)
def test_a_sampler_of_all_rows_is_followed(tmp_path, alone, sampler):
    model, before = gpt2(), torch.get_rng_state()
    store = store_of(tmp_path, loader_of(sampler), model)
    require_rows(store, alone)
    bytes_of_whole = store.array().tobytes()
    store._file(1).unlink()
    again = store_of(tmp_path, loader_of(sampler), model)
    assert again.array().tobytes() == bytes_of_whole
    assert torch.equal(torch.get_rng_state(), before)


def test_batches_of_a_sampler_are_never_merged(tmp_path):
    """Samples of equal lengths need no padding, and their batches none either."""
    texts = [{"input_ids": torch.arange(1, 5 + i % 2)} for i in range(14)]
    batches = [[0, 2, 4, 6], [1, 3, 5], [8, 10, 12], [7, 9, 11, 13]]
    shapes = []

    class Watched:
        sketch, fingerprint = sketcher_of(gpt2()).sketch, dict

        def forget(self):
            pass

        def __call__(self, batch, ids):
            shapes.append((ids.tolist(), tuple(batch["input_ids"].shape)))
            return torch.ones(len(ids), M)

    loader = DataLoader(texts, batch_sampler=batches)
    store_of(tmp_path, loader, sketcher=Watched(), shard_rows=8)
    assert [ids for ids, _ in shapes[1:]] == [
        [0, 2, 4, 6], [1, 3, 5], [7], [8, 10, 12], [9, 11, 13]
    ]  # fmt: skip
    store = store_of(tmp_path / "again", loader, sketcher=Watched(), shard_rows=8)
    store._file(1).unlink()
    other = DataLoader(texts, batch_sampler=[batches[0][::-1], *batches[1:]])
    with pytest.raises(ValueError, match="differs in batches"):
        store_of(tmp_path / "again", other, sketcher=Watched(), shard_rows=8)


def test_padding_that_comes_late_is_refused(tmp_path):
    texts = [{"input_ids": [1 + i % 7] * (8 if i < 70 else 3 + i % 5)} for i in range(140)]
    with pytest.raises(ValueError, match="do not depend on padding"):
        store_of(tmp_path, texts, collate_fn=on_the_left, batch_size=7)


@pytest.mark.parametrize(
    ("loader", "what"),
    [
        (loader_of(Buckets(6, shuffle=True)), "others when asked again"),
        (loader_of(Buckets(6, rows=range(N - 1))), f"{N - 1} rows of {N}"),
        (loader_of(Buckets(6, rows=[*range(N - 1), 0])), f"{N} rows of {N}, {N - 1} of them"),
        (DataLoader(TEXTS, batch_size=4, shuffle=True), "others when asked again"),
        (DataLoader(TEXTS, batch_size=7, drop_last=True), f"49 rows of {N}"),
        (DataLoader(TEXTS, batch_size=None), "batch_size=None"),
    ],
)
def test_other_samplers_are_refused(tmp_path, loader, what):
    with pytest.raises(ValueError, match=what):
        store_of(tmp_path, loader)


def on_the_left(samples):
    T = max(len(s["input_ids"]) for s in samples)
    ids = [[0] * (T - len(s["input_ids"])) + s["input_ids"] for s in samples]
    mask = [[0] * (T - len(s["input_ids"])) + [1] * len(s["input_ids"]) for s in samples]
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}


def without_mask(samples):
    return {"input_ids": Padding(Tokenizer())(samples)["input_ids"]}


@pytest.mark.parametrize("collate", [on_the_left, without_mask])
def test_padding_that_changes_rows_is_refused(tmp_path, collate):
    """GPT-2 counts positions from the left; and without a mask padding has a loss."""
    with pytest.raises(ValueError, match="do not depend on padding"):
        store_of(tmp_path, collate_fn=collate, batch_size=4)


def test_labels_are_padded():
    samples = [
        {"input_ids": [1, 2, 3], "labels": [-100, 2, 3], "text": "abc"},
        {"input_ids": [4], "labels": [4], "text": "d"},
    ]
    batch = Padding(Tokenizer())(samples)
    assert batch.keys() == {"input_ids", "attention_mask", "labels"}
    assert batch["input_ids"].tolist() == [[1, 2, 3], [4, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [[-100, 2, 3], [4, -100, -100]]
    classes = Padding(Tokenizer())(
        [{"input_ids": [1], "label": 3}, {"input_ids": [1, 2], "label": 0}]
    )
    assert classes["label"].tolist() == [3, 0]


def test_lengths():
    ids = [3, 1, 4]
    for sample in (
        {"input_ids": ids, "label": 0},
        {"x": ids},
        (ids, 0),
        (torch.tensor(ids), 0),
        (np.array(ids),),
        ids,
        torch.tensor(ids),
    ):
        assert lengths_of([sample]).tolist() == [3]
    for sample in ({"text": "abc"}, ("abc", 1), 3, torch.tensor(3), {"label": 0}):
        with pytest.raises(ValueError, match="expected samples of tokens"):
            lengths_of([sample])
    with pytest.raises(ValueError, match=r"input_ids .* got Tensor of 2 dimensions"):
        lengths_of([{"input_ids": torch.ones(1, 3)}])
    for sample in ({"input_ids": []}, []):
        with pytest.raises(ValueError, match="at least one token"):
            lengths_of([sample])


@pytest.mark.parametrize(
    ("options", "error", "what"),
    [
        ({"tokenizer": 3}, TypeError, "tokenizer: expected a tokenizer"),
        ({"tokenizer": Tokenizer(), "collate_fn": on_the_left}, ValueError, "got both"),
        ({"token_budget": 0, "tokenizer": Tokenizer()}, ValueError, "token_budget"),
        ({"sort_by_length": 1, "tokenizer": Tokenizer()}, TypeError, "sort_by_length"),
        (
            {"dataset": [{"input_ids": [1]}, {"input_ids": []}], "tokenizer": Tokenizer()},
            ValueError,
            "at least one",
        ),
        (
            {"dataset": [{"input_ids": [[1, 2]]}] * 2, "tokenizer": Tokenizer()},
            ValueError,
            r"shape \(1, 2\)",
        ),
        ({}, ValueError, "or tokenizer, which pads"),
        ({"dataset": [{"input_ids": [1, 2]}] * 3}, ValueError, "or tokenizer, which pads"),
        ({"dataset": [{"ids": [1, 2]}] * 3, "tokenizer": Tokenizer()}, ValueError, "input_ids"),
    ],
)
def test_errors(tmp_path, options, error, what):
    with pytest.raises(error, match=what):
        store_of(tmp_path, **options)


def test_a_trainer_brings_its_samples_and_its_collator(tmp_path, alone):
    datasets = pytest.importorskip("datasets")
    tokenizers = pytest.importorskip("tokenizers")
    words = {f"w{i}": i for i in range(100)}
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="w0")),
        pad_token="w0",
    )
    rows = datasets.Dataset.from_list([{**text, "text": "unused"} for text in TEXTS])
    model = gpt2()
    arguments = transformers.TrainingArguments(
        tmp_path / "out", report_to=[], use_cpu=True, per_device_train_batch_size=4
    )
    trainer = transformers.Trainer(
        model,
        arguments,
        train_dataset=rows,
        data_collator=transformers.DataCollatorForLanguageModeling(tokenizer, mlm=False),
    )
    store = store_of(tmp_path / "store", trainer, model=model.eval(), token_budget=100)
    require_rows(store, alone)
