"""Samples are read as the loader reads them, and are the same whenever and with whomever."""

import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader, Dataset, TensorDataset, default_collate, get_worker_info

from skmm_fast.gradients import GradientSketcher, sketch_dataset
from skmm_fast.gradients.samples import ordered_loader, read_ends

F = torch.nn.functional
N, C = 24, 3
torch.manual_seed(0)
X, Y = torch.randn(N, 1, 8, 8), torch.arange(N) % C
DATA = TensorDataset(X, Y)
NET = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, C)).eval()


def soft(out, y):
    return -(y * out.log_softmax(1)).sum(1)


def sketched(dataset, path, loss="cross-entropy", batch_size=6):
    sketcher = GradientSketcher(NET, params="all", loss=loss, sketch_dim=32)
    return sketch_dataset(sketcher, dataset, path, batch_size=batch_size, progress=False)


def one_hot(rows):
    x, y = default_collate(rows)
    return x.clone(), F.one_hot(y, C).float()


def cutmix(rows):
    """A random box of each image is that of its neighbour."""
    x, y = one_hot(rows)
    h, w = int(torch.randint(2, 6, ())), int(torch.randint(2, 6, ()))
    share = h * w / 64
    x[:, :, :h, :w] = x.roll(1, 0)[:, :, :h, :w]
    return x, y * (1 - share) + y.roll(1, 0) * share


def mixup(rows):
    x, y = one_hot(rows)
    share, order = random.random(), torch.randperm(len(x))
    return share * x + (1 - share) * x[order], share * y + (1 - share) * y[order]


def masked(rows):
    """Random erasing in the collate function, of the generator of Python."""
    x, y = one_hot(rows)
    x[random.randrange(len(x))] = 0
    return x, y


def rolled(rows):
    """A mixture without chance."""
    x, y = one_hot(rows)
    return (x + x.roll(1, 0)) / 2, (y + y.roll(1, 0)) / 2


def paired(rows):
    """Each sample changes places with its neighbour."""
    order = [i ^ 1 if i ^ 1 < len(rows) else i for i in range(len(rows))]
    return one_hot([rows[i] for i in order])


def by_class(rows):
    return one_hot(sorted(rows, key=lambda row: -int(row[1])))


def centred(rows):
    x, y = one_hot(rows)
    return x - x.mean(0), y


@pytest.mark.parametrize("collate", [cutmix, mixup, masked])
@pytest.mark.parametrize("workers", [0, 2])
def test_random_mixtures_are_refused(tmp_path, collate, workers):
    loader = DataLoader(DATA, batch_size=6, collate_fn=collate, num_workers=workers)
    with pytest.raises(ValueError, match=r"read the same each time, got another .*row.*augment"):
        sketched(loader, tmp_path / "s", soft)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("size", [2, 3, 6, 24])
@pytest.mark.parametrize("collate", [rolled, paired, by_class, centred])
def test_mixtures_without_chance_are_refused(tmp_path, collate, size):
    loader = DataLoader(DATA, batch_size=size, collate_fn=collate)
    with pytest.raises(ValueError, match=r"the same in any batch, got others in a .* mixes sampl"):
        sketched(loader, tmp_path / "s", soft)


@pytest.mark.parametrize("size", [1, 2, 5, 6, 24, 100])
def test_samples_that_keep_to_themselves(tmp_path, size):
    loader = DataLoader(DATA, batch_size=size, collate_fn=one_hot)
    store = sketched(loader, tmp_path / "s", soft)
    sketcher = GradientSketcher(NET, params="all", loss=soft, sketch_dim=32)
    np.testing.assert_allclose(
        store.array(), sketcher((X, F.one_hot(Y, C).float())), rtol=1e-4, atol=1e-6
    )


def padded(rows):
    """To the longest of the batch, with a mask, lengths, and what is not of samples."""
    texts, y = zip(*rows, strict=True)
    T = max(map(len, texts))
    ids = torch.stack([F.pad(t, (0, T - len(t))) for t in texts])
    return {
        "ids": ids,
        "mask": (ids > 0).long(),
        "place": torch.arange(len(rows)),  # in the batch
        "size": len(rows),
        "text": [str(t.tolist()) for t in texts],
        "longest": torch.tensor(T),
        "labels": torch.tensor(y),
    }


def by_length(rows):
    return padded(sorted(rows, key=lambda row: -len(row[0])))


def test_padding_is_no_mixture():
    texts = [(torch.arange(1, 2 + i % 7), i % 3) for i in range(N)]
    for size in (1, 2, 5, 6, 24):
        loader = DataLoader(texts, batch_size=size, collate_fn=padded)
        assert read_ends(loader, range(size)).first["size"] == size
    loader = DataLoader(texts, batch_size=6, collate_fn=by_length)
    with pytest.raises(ValueError, match="changes their order"):
        read_ends(loader, range(6))


class Batched(Dataset):
    """A dataset that is read by batches alone, as torch's loader prefers."""

    def __init__(self, noise=0.0):
        self.noise, self.asked = noise, []

    def __len__(self):
        return N

    def __getitem__(self, row):
        raise AssertionError("the loader reads batches")

    def __getitems__(self, rows):
        self.asked.append(list(rows))
        return [(X[i] + self.noise * torch.rand(()), Y[i]) for i in rows]


def test_batched_fetches(tmp_path):
    samples = Batched()
    store = sketched(samples, tmp_path / "s")
    plain = sketched(DATA, tmp_path / "plain")
    assert np.array_equal(store.array(), plain.array())
    assert store.fingerprint["dataset_first_sample"] == plain.fingerprint["dataset_first_sample"]
    assert list(range(6)) in samples.asked
    with pytest.raises(ValueError, match=r"read the same each time, got another row 0"):
        sketched(Batched(noise=0.1), tmp_path / "noise")


class InWorkers(Dataset):
    """A dataset that can be read in a worker alone, where its file is opened."""

    def __len__(self):
        return N

    def __getitem__(self, row):
        assert get_worker_info() is not None
        return X[row], Y[row]


def test_what_only_workers_can_read(tmp_path):
    loader = DataLoader(InWorkers(), batch_size=6, num_workers=1)
    store = sketched(loader, tmp_path / "s")
    assert np.array_equal(store.array(), sketched(DATA, tmp_path / "plain").array())


class SometimesFlipped(Dataset):
    """Half of the samples are mirrored at random: two reads of one are often equal."""

    def __len__(self):
        return N

    def __getitem__(self, row):
        return (X[row].flip(-1) if random.random() < 0.5 else X[row]), Y[row]


def test_a_whole_batch_shows_what_one_sample_may_hide(tmp_path):
    for seed in range(20):
        random.seed(seed)
        with pytest.raises(ValueError, match="read the same each time"):
            sketched(SometimesFlipped(), tmp_path / "s", batch_size=16)


def test_hugging_face_transforms(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict({"x": X.flatten(1).numpy(), "y": Y.numpy()})

    def batch(given):
        x = torch.tensor(given["x"])
        return {"input": x, "labels": torch.tensor(given["y"])}

    def mixed(given):
        found = batch(given)
        return {**found, "input": found["input"] * torch.rand(len(found["input"]), 1)}

    def relative(given):
        found = batch(given)
        return {**found, "input": found["input"] - found["input"].mean(0)}

    store = sketched(rows.with_transform(batch), tmp_path / "s")
    plain = sketched(DATA, tmp_path / "plain")
    np.testing.assert_allclose(store.array(), plain.array(), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="read the same each time"):
        sketched(rows.with_transform(mixed), tmp_path / "mixed")
    with pytest.raises(ValueError, match="read the same in any batch"):
        sketched(rows.with_transform(relative), tmp_path / "relative")


def test_the_generators_of_the_user_are_left_as_they_are():
    before = torch.get_rng_state()
    read_ends(ordered_loader(DATA, 6), range(6))
    assert torch.equal(torch.get_rng_state(), before)


class Texts(Dataset):
    """Token ids of many lengths, and a class."""

    def __len__(self):
        return 11

    def __getitem__(self, i):
        return torch.arange(1, 2 + i % 5), i % 3


class SumOfTokens(torch.nn.Module):
    """Padding, token 0, counts for nothing."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.tokens = torch.nn.Embedding(9, 6, padding_idx=0)
        self.head = torch.nn.Linear(6, 3)

    def forward(self, ids):
        return self.head(self.tokens(ids).sum(dim=1))


def padded_texts(samples):
    ids, labels = zip(*samples, strict=True)
    return torch.nn.utils.rnn.pad_sequence(ids, batch_first=True), torch.tensor(labels)


def texts(path, **options):
    sketcher = GradientSketcher(SumOfTokens().eval(), params="all", sketch_dim=8)
    return sketch_dataset(sketcher, Texts(), path, shard_rows=4, progress=False, **options)


def test_texts_of_many_lengths_with_a_function_that_pads(tmp_path):
    single = texts(tmp_path / "single", batch_size=1).array()
    store = texts(tmp_path / "padded", batch_size=4, collate_fn=padded_texts)
    assert store.array() == pytest.approx(single, abs=1e-6)
    loader = DataLoader(Texts(), batch_size=4, collate_fn=padded_texts)
    sketcher = GradientSketcher(SumOfTokens().eval(), params="all", sketch_dim=8)
    same = sketch_dataset(sketcher, loader, tmp_path / "loader", shard_rows=4, progress=False)
    assert np.array_equal(same.array(), store.array())


def test_samples_that_cannot_be_stacked_ask_for_a_collate_fn(tmp_path):
    with pytest.raises(
        ValueError, match=r"dataset: expected samples that can be stacked .* give coll"
    ):
        texts(tmp_path / "s", batch_size=4)


def test_a_loader_has_its_own_collate_fn(tmp_path):
    sketcher = GradientSketcher(SumOfTokens().eval(), params="all", sketch_dim=8)
    loader = DataLoader(Texts(), batch_size=1)
    with pytest.raises(ValueError, match="collate_fn: expected None with a DataLoader"):
        sketch_dataset(sketcher, loader, tmp_path, collate_fn=padded_texts)
    with pytest.raises(TypeError, match=r"collate_fn: expected a function .* got int"):
        sketch_dataset(sketcher, Texts(), tmp_path, collate_fn=3)
