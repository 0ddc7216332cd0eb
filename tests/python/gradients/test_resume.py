"""A run goes on where the rows are the same, and is refused where they may differ."""

import sqlite3
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from support.damage import NOT_FILES, at_most
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from skmm_fast.gradients import GradientSketcher, sketch_dataset

F = torch.nn.functional
N = 40
torch.manual_seed(0)
X, Y = torch.randn(N, 4), torch.arange(N) % 3
DATA = TensorDataset(X, Y)
NET = torch.nn.Linear(4, 3).eval()


def sketched(path, data=DATA, loss="cross-entropy", **options):
    sketcher = GradientSketcher(NET, params="all", loss=loss, sketch_dim=6)
    return sketch_dataset(
        sketcher, data, path, batch_size=8, shard_rows=8, progress=False, **options
    )


def stopped(path, data=DATA, **options):
    """A store whose last shard is missing."""
    store = sketched(path, data, **options)
    (store.path / "shard-00004.npy").unlink()
    return store


def weighted(w):
    return torch.nn.CrossEntropyLoss(weight=torch.tensor([w, 1.0, 1.0]), reduction="none")


def test_another_loss_is_refused_or_accepted(tmp_path):
    stopped(tmp_path / "s", loss=weighted(1.0))
    with pytest.raises(
        ValueError, match=r"accept=\['loss'\], or --accept loss\), got .* in loss \(stored .*"
    ):
        sketched(tmp_path / "s", loss=weighted(9.0))
    assert sketched(tmp_path / "s", loss=weighted(9.0), accept=["loss"]).complete


def test_accepting_one_field_does_not_accept_others(tmp_path):
    stopped(tmp_path / "s")
    other = TensorDataset(X + 1, Y)
    with pytest.raises(ValueError, match=r"accept=\['dataset_first_sample', 'dataset_last_"):
        sketched(tmp_path / "s", other, accept=["loss"])
    with pytest.raises(ValueError, match="accept: expected fields of the fingerprint, got 'lose'"):
        sketched(tmp_path / "s", accept=["lose"])
    with pytest.raises(TypeError, match="accept: expected a list of names of fields, got 'loss'"):
        sketched(tmp_path / "s", accept="loss")
    sketcher = GradientSketcher(NET, params="all", sketch_dim=6)
    with pytest.raises(ValueError, match=r"this dataset, got .*differs in batch_size"):
        sketch_dataset(sketcher, DATA, tmp_path / "s", batch_size=4, shard_rows=8, progress=False)


def halves(x):
    return ConcatDataset([TensorDataset(x[:22], Y[:22]), TensorDataset(x[22:], Y[22:])])


def middle(data):
    """The same data set with another sample 20."""
    x = X.clone()
    x[20, 0] += 1
    return {
        "tensors": lambda: TensorDataset(x, Y),
        "list": lambda: list(zip(x, Y.tolist(), strict=True)),
        "subset": lambda: Subset(TensorDataset(x, Y), range(N)),
        "order": lambda: Subset(DATA, [*range(20), 21, 20, *range(22, N)]),
        "parts": lambda: ConcatDataset(
            [TensorDataset(x[:22], Y[:22]), TensorDataset(x[22:], Y[22:])]
        ),
    }[data]()


SAME = {
    "tensors": lambda: TensorDataset(X.clone(), Y.clone()),
    "list": lambda: list(zip(X, Y.tolist(), strict=True)),
    "subset": lambda: Subset(TensorDataset(X, Y), range(N)),
    "order": lambda: Subset(DATA, list(range(N))),
    "parts": lambda: halves(X),
}


@pytest.mark.parametrize("data", SAME)
def test_every_sample_in_memory_is_seen(tmp_path, data):
    stopped(tmp_path / "s", SAME[data]())
    with pytest.raises(ValueError, match=r"accept=\['dataset_content'\]"):
        sketched(tmp_path / "s", middle(data))
    assert sketched(tmp_path / "s", SAME[data]()).complete


class Own(Dataset):
    """A data set whose samples are seen only where they are read."""

    def __init__(self, changed=None):
        self.changed = changed

    def __len__(self):
        return N

    def __getitem__(self, row):
        return X[row] + (row == self.changed), Y[row]


def test_samples_between_are_read(tmp_path):
    store = stopped(tmp_path / "s", Own())
    rows = [round(i * (N - 1) / 9) for i in range(1, 9)]
    for row in rows:
        with pytest.raises(ValueError, match="differs in dataset_samples "):
            sketched(tmp_path / "s", Own(row))
    assert sketched(tmp_path / "s", Own(rows[3] + 1)).complete  # as the table of what is seen says
    (store.path / "shard-00004.npy").unlink()
    assert "dataset: samples but those" in str(store.fingerprint["advisory unseen"])
    assert sketched(tmp_path / "s", Own()).complete


def test_what_the_user_adds(tmp_path):
    for i, (first, second) in enumerate(
        [("v1", "v2"), (1, 2), (None, "v1"), ({"a": [1]}, {"a": [2]}), (np.zeros(3), np.ones(3))]
    ):
        stopped(tmp_path / str(i), Own(), fingerprint_extra=first)
        with pytest.raises(ValueError, match=r"accept=\['extra'\].* differs in extra \(stored "):
            sketched(tmp_path / str(i), Own(), fingerprint_extra=second)
        assert sketched(tmp_path / str(i), Own(), fingerprint_extra=first).complete
    with pytest.raises(TypeError, match="fingerprint_extra: expected tensors, arrays, numbers"):
        sketched(tmp_path / "s", fingerprint_extra={1, 2})


def test_what_cannot_be_seen_is_asked_for(tmp_path):
    db = sqlite3.connect(":memory:")

    def loss(out, y):
        return F.cross_entropy(out, y, reduction="none") * (1 + 0 * db.total_changes)

    with pytest.warns(UserWarning, match=r"cannot see loss db: Connection.*fingerprint_extra="):
        store = stopped(tmp_path / "s", loss=loss)
    assert any("Connection" in what for what in store.fingerprint["advisory unseen"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stopped(tmp_path / "t", loss=loss, fingerprint_extra="the table of May")
    db.close()


def test_the_same_model_that_was_used_in_between(tmp_path):
    """What a forward pass leaves in a model is no setting."""

    class Counts(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.n, self.last = torch.nn.Linear(4, 3), 0, None

        def forward(self, x):
            self.n += 1
            self.last = self.head(x)
            return self.last

    torch.manual_seed(0)
    net = Counts().eval()

    def run():
        sketcher = GradientSketcher(net, params="all", sketch_dim=6)
        return sketch_dataset(
            sketcher, DATA, tmp_path / "s", batch_size=8, shard_rows=8, progress=False
        )

    store = run()
    (store.path / "shard-00002.npy").unlink()
    with torch.no_grad():
        net(torch.randn(3, 4))
    assert run().complete
    net.scale = 2.0  # an attribute that one run has is not compared
    assert run().complete


@pytest.fixture
def hugging_face():
    return pytest.importorskip("datasets")


def with_fingerprint(rows, text):
    """As where a cache is made again, or a function cannot be pickled."""
    rows._fingerprint = text
    return rows


def rows_of(datasets, x=X, **more):
    made = datasets.Dataset.from_dict({"input": x.tolist(), "labels": Y.tolist(), **more})
    return made.with_format("torch")


def test_equal_rows_of_hugging_face_go_on(tmp_path, hugging_face):
    rows = rows_of(hugging_face)
    stopped(tmp_path / "s", with_fingerprint(rows, "a"))
    halves = hugging_face.concatenate_datasets([rows.select(range(17)), rows.select(range(17, N))])
    same = {
        "made again": with_fingerprint(rows_of(hugging_face), "b"),
        "in other chunks": halves.with_format("torch"),
    }
    for name, again in same.items():
        store = sketched(tmp_path / "s", again)
        assert store.complete, name
        (store.path / "shard-00004.npy").unlink()


def test_other_rows_of_hugging_face_are_seen(tmp_path, hugging_face):
    stopped(tmp_path / "s", with_fingerprint(rows_of(hugging_face), "a"))
    x = X.clone()
    x[20, 0] += 1
    others = [
        rows_of(hugging_face, x),
        rows_of(hugging_face).select([*range(20), 21, 20, *range(22, N)]),
        rows_of(hugging_face).with_transform(
            lambda given: {
                "input": torch.tensor(given["input"]),
                "labels": torch.tensor(given["labels"]),
            }
        ),
    ]
    for other in others:
        with pytest.raises(ValueError, match="differs in dataset_fingerprint"):
            sketched(tmp_path / "s", with_fingerprint(other, "a"))
    assert sketched(tmp_path / "s", others[0], accept=["dataset_fingerprint"]).complete


def test_rows_of_many_types(hugging_face):
    from skmm_fast.gradients.content import table_of

    rng = np.random.default_rng(0)
    columns = {
        "text": [None if i % 7 == 0 else "x" * i for i in range(N)],
        "many": [list(range(i % 4)) for i in range(N)],
        "struct": [{"a": i, "b": str(i)} for i in range(N)],
        "flag": [bool(i % 2) for i in range(N)],
        "array": rng.standard_normal((N, 2, 3)),
    }
    first = table_of(rows_of(hugging_face, **columns))
    assert first == table_of(rows_of(hugging_face, **columns))
    for name in columns:
        other = dict(columns)
        other[name] = [*columns[name][:-1], columns[name][0]]
        assert table_of(rows_of(hugging_face, **other)) != first, name
    renamed = rows_of(hugging_face, **columns).rename_column("text", "words")
    assert table_of(renamed) != first
    assert table_of(TensorDataset(X)) is None


@pytest.mark.parametrize("file", ["manifest.json", "shard-00001.npy"])
@pytest.mark.parametrize(("what", "make"), NOT_FILES.items(), ids=NOT_FILES)
def test_a_run_does_not_wait_for_what_is_no_file(tmp_path, file, what, make):
    path = stopped(tmp_path / "s").path
    (path / file).unlink()
    make(path / file)
    said = f"/{file}: expected a regular file, got {what}"
    with at_most(60), pytest.raises(ValueError, match=said):
        sketched(path)
    assert not (path / "shard-00004.npy").exists()


@pytest.mark.parametrize(
    "value", [float("nan"), {"a": [float("inf")]}, {1, 2}, object(), b"bytes", [[[]]]]
)
def test_fingerprints_that_a_manifest_cannot_hold(tmp_path, value):
    """They are refused before anything is written."""

    class Odd(GradientSketcher):
        def fingerprint(self):
            nested = value
            for _ in range(99 if value == [[[]]] else 0):
                nested = [nested]
            return {**super().fingerprint(), "odd": nested}

    sketcher = Odd(NET, params="all", sketch_dim=6)
    with pytest.raises(TypeError, match="sketcher: expected a fingerprint of values that JSON can"):
        sketch_dataset(sketcher, DATA, tmp_path / "s", progress=False)
    assert not list((tmp_path / "s").iterdir())
