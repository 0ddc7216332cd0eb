"""A sampler of the samples chosen."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import skmm_fast as skmm
from skmm_fast.integrations.torch import SelectionSampler

X = torch.from_numpy(np.random.default_rng(0).standard_normal((200, 5)).astype(np.float32))
SELECTION = skmm.select(X, 20, y=np.arange(200) % 7, per_class="balanced")


def test_each_row_once_in_another_order_each_epoch():
    sampler = SelectionSampler(SELECTION, seed=1)
    first, second = list(sampler), list(sampler)
    assert sorted(first) == sorted(second) == list(SELECTION)
    assert first != second
    again = SelectionSampler(SELECTION, seed=1)
    assert list(again) == first
    again.set_epoch(0)
    assert list(again) == first
    assert len(again) == 20
    assert list(SelectionSampler(SELECTION, seed=2)) != first
    assert list(SelectionSampler(SELECTION, shuffle=False)) == list(SELECTION)


def test_a_loader_has_the_samples():
    loader = torch.utils.data.DataLoader(X, sampler=SelectionSampler(SELECTION), batch_size=6)
    found = torch.cat(list(loader))
    assert torch.equal(found.sort(0).values, X[SELECTION.indices].sort(0).values)


def test_weights_are_probabilities():
    sampler = SelectionSampler(SELECTION, weighted=True)
    counts = np.zeros(200)
    for _ in range(400):
        drawn = list(sampler)
        assert len(drawn) == 20
        np.add.at(counts, drawn, 1)
    assert (counts[SELECTION.indices] > 0).all()
    expected = np.zeros(200)
    expected[SELECTION.indices] = SELECTION.weights * 400
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected.max())


def test_bad_arguments():
    with pytest.raises(TypeError, match="shuffle: expected True or False, got 1"):
        SelectionSampler(SELECTION, shuffle=1)
    with pytest.raises(ValueError, match=r"epoch: .* got -1"):
        SelectionSampler(SELECTION).set_epoch(-1)
