"""Lengths of samples: a store keeps them, a diagnosis says them and warns of a choice by them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import skmm_fast as skmm
from skmm_fast import SketchStore
from skmm_fast.gradients import GradientSketcher, sketch_dataset

N, V, T = 30, 11, 9
Z = np.random.default_rng(0).standard_normal((400, 6))
LENGTHS = np.random.default_rng(1).integers(1, 100, 400)


class Language(torch.nn.Module):
    """A language model without any layer between embedding and head."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.head = torch.nn.Embedding(V, 5), torch.nn.Linear(5, V)

    def forward(self, input_ids, attention_mask=None):
        return self.head(self.embedding(input_ids))


def texts():
    rng = np.random.default_rng(3)
    return [{"input_ids": rng.integers(0, V, rng.integers(2, T)).tolist()} for _ in range(N)]


def collate(samples):
    longest = max(len(sample["input_ids"]) for sample in samples)
    padded = [
        sample["input_ids"] + [0] * (longest - len(sample["input_ids"])) for sample in samples
    ]
    counts = torch.tensor([[len(sample["input_ids"])] for sample in samples])
    return {
        "input_ids": torch.tensor(padded),
        "attention_mask": (torch.arange(longest) < counts).long(),
    }


def store(path, **options):
    sketcher = GradientSketcher(Language().eval(), params="last", loss="causal-lm", sketch_dim=8)
    call = {"collate_fn": collate, "progress": False, "shard_rows": 7, **options}
    return sketch_dataset(sketcher, texts(), path, **call)


@pytest.mark.parametrize("options", [{}, {"token_budget": 20}, {"dtype": "float16"}])
def test_a_store_knows_the_tokens_with_a_loss(tmp_path, options):
    lengths = store(tmp_path, **options).lengths
    assert lengths.dtype == np.int64
    assert lengths.tolist() == [len(text["input_ids"]) - 1 for text in texts()]


def test_labels_say_which_tokens_have_a_loss(tmp_path):
    batch = collate(texts()[:4])
    batch["labels"] = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    batch["labels"][:, :2] = -100
    sketcher = GradientSketcher(Language().eval(), params="last", loss="causal-lm", sketch_dim=8)
    expected = [max(0, len(text["input_ids"]) - 2) for text in texts()[:4]]
    assert sketcher._lengths(batch).tolist() == expected


def test_an_interrupted_store_has_the_lengths_of_one_run(tmp_path):
    whole = store(tmp_path / "a")
    part = store(tmp_path / "b")
    for name in ("shard-00001.npy", "shard-00003.npy", "lengths-00003.npy"):
        (part.path / name).unlink()
    assert SketchStore(part.path).lengths is None
    store(tmp_path / "b")
    for file in whole.path.glob("*.npy"):
        assert file.read_bytes() == (part.path / file.name).read_bytes()


def test_a_store_of_other_losses_has_no_lengths(tmp_path):
    sketcher = GradientSketcher(torch.nn.Linear(4, 3).eval(), params="all", sketch_dim=8)
    samples = torch.utils.data.TensorDataset(torch.randn(20, 4), torch.arange(20) % 3)
    assert sketch_dataset(sketcher, samples, tmp_path, progress=False).lengths is None
    assert not list(tmp_path.glob("lengths*"))


def test_damaged_lengths(tmp_path):
    there = store(tmp_path)
    file = there.path / "lengths-00002.npy"
    content = bytearray(file.read_bytes())
    content[-20] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"lengths-00002.npy: expected the lengths that were"):
        _ = there.lengths
    file.write_bytes(content[:-1])
    with pytest.raises(ValueError, match=r"lengths-00002.npy: expected int64 of shape"):
        skmm.select(there, 5)
    file.unlink()
    assert np.isnan(skmm.select(there, 5).diagnosis.mean_length)


def test_a_selection_from_a_store_says_lengths(tmp_path):
    there = store(tmp_path)
    found = skmm.select(there, 5)
    assert found.diagnosis.mean_length == there.lengths[found.indices].mean()
    assert found.diagnosis.pool_mean_length == there.lengths.mean()
    assert "\nmean length " in str(found.diagnosis)
    assert f"(pool {there.lengths.mean():.4g})" in str(found.diagnosis)
    assert found.settings["loss"] == "causal-lm, by the root of the number of tokens"
    assert skmm.select(there, 5, exclude=[3]).settings["loss"] == found.settings["loss"]
    given = skmm.select(there, 5, lengths=2 * there.lengths)
    assert given.diagnosis.pool_mean_length == 2 * there.lengths.mean()


def test_stores_side_by_side_know_lengths(tmp_path):
    there = store(tmp_path)
    both = skmm.combine([there, there], weights=[1, 2])
    found = skmm.select(both, 5).diagnosis
    assert found.pool_mean_length == there.lengths.mean()
    assert skmm.combine([there.array()]).lengths is None


def test_a_choice_by_length_is_warned_of():
    short, long = np.argsort(LENGTHS)[:40], np.argsort(-LENGTHS)[:40]
    for rows, said in ((short, "short"), (long, "long")):
        found = skmm.diagnose(Z, rows, lengths=LENGTHS, bound=False)
        (warning,) = [w for w in found.warnings if "by length" in w]
        assert f"the mean sample chosen is {said}, {LENGTHS[rows].mean():.3g} tokens" in warning
        assert f"{LENGTHS.mean():.3g}" in warning
    for rows in (np.arange(40), short[::20]):  # as in the pool; too few to tell
        found = skmm.diagnose(Z, rows, lengths=LENGTHS, bound=False)
        assert found.mean_length == LENGTHS[rows].mean()
        assert not [w for w in found.warnings if "by length" in w]


def test_lengths_do_not_change_a_choice():
    plain, known = skmm.select(Z, 40), skmm.select(Z, 40, lengths=LENGTHS)
    assert np.array_equal(plain.indices, known.indices)
    assert np.isnan(plain.diagnosis.mean_length)
    assert "length" not in str(plain.diagnosis)


def test_lost_rows_and_no_diagnosis():
    bad = Z.copy()
    bad[5] = np.nan
    kept = np.delete(LENGTHS, 5)
    for diagnose in ("auto", "none"):
        found = skmm.select(bad, 40, lengths=LENGTHS, exclude=[5], diagnose=diagnose).diagnosis
        assert found.pool_mean_length == kept.mean()
        assert "mean length" in str(found)


def test_a_saved_selection_has_them(tmp_path):
    found = skmm.select(Z, 40, lengths=LENGTHS)
    found.save(tmp_path / "s.json")
    read = skmm.Selection.load(tmp_path / "s.json").diagnosis
    assert (read.mean_length, read.pool_mean_length) == (
        found.diagnosis.mean_length,
        found.diagnosis.pool_mean_length,
    )


@pytest.mark.parametrize(
    ("lengths", "error", "said"),
    [
        (LENGTHS[1:], ValueError, "expected 400 numbers"),
        (["a"] * 400, TypeError, "expected numbers"),
        (-LENGTHS, ValueError, "expected lengths of at least 0"),
        (np.where(LENGTHS > 50, np.nan, 1.0), ValueError, "expected lengths of at least 0"),
    ],
)
def test_errors(lengths, error, said):
    for call in (skmm.select, skmm.diagnose):
        with pytest.raises(error, match=f"^lengths: {said}"):
            call(Z, 40 if call is skmm.select else [1, 2], lengths=lengths)
