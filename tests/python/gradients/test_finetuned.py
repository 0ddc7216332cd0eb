"""The pilot of a torch model: the sketches of all samples at a copy that was finetuned on some."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import skmm_fast as skmm
from skmm_fast.gradients import GradientSketcher, pilot, sketch_dataset

nn, F = torch.nn, torch.nn.functional
DataLoader, Subset, TensorDataset = (
    torch.utils.data.DataLoader,
    torch.utils.data.Subset,
    torch.utils.data.TensorDataset,
)
N = 50
OPTIONS = {"params": "all", "sketch_dim": 16}
ROWS = np.array([3, 7, 8, 20, 41])


@pytest.fixture
def model():
    """In training mode, as models are between two finetunes."""
    return nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.2), nn.ReLU(), nn.Linear(6, 3))


@pytest.fixture
def data():
    return TensorDataset(torch.randn(N, 4), torch.arange(N) % 3)


def train(model, subset):
    """In place, with a shuffle and dropout."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    for x, y in DataLoader(subset, batch_size=2, shuffle=True):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def by_hand(model, data, rows=ROWS, seed=0, train=train, **options):
    """The sketches of all samples in one batch, and the trained model."""
    trained = copy.deepcopy(model)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        train(trained, Subset(data, rows.tolist()))
    sketcher = GradientSketcher(trained.eval(), seed=seed, **{**OPTIONS, **options})
    return sketcher(data.tensors, np.arange(len(data)))


@pytest.mark.parametrize("batch_size", [7, 64])
@pytest.mark.parametrize(
    "options", [{}, {"seed": 5, "targets": "random"}, {"params": "last", "sketch": "gaussian"}]
)
def test_rows_are_those_of_the_model_trained_by_hand(model, data, batch_size, options):
    options = {**OPTIONS, **options, "sketch_dim": 12}
    found = pilot(model, data, train, batch_size=batch_size, n_threads=1, **options)(ROWS)
    expected = by_hand(model, data, **options)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    before = GradientSketcher(copy.deepcopy(model).eval(), **options)
    assert (found - before(data.tensors, np.arange(N))).norm() > 0.05 * found.norm()


def test_the_bits_are_those_of_a_store(model, data, tmp_path):
    kept = []

    def trained(model, subset):
        train(model, subset)
        kept.append(model)

    Z = pilot(model, data, trained, batch_size=8, **OPTIONS)(ROWS)
    sketcher = GradientSketcher(kept[0], **OPTIONS)
    store = sketch_dataset(sketcher, data, tmp_path / "s", batch_size=8, progress=False)
    assert np.array_equal(Z.numpy(), store.array())


def test_the_model_and_the_random_numbers_stay_as_they_are(model, data):
    model[0].eval()
    state = {name: p.clone() for name, p in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    random_numbers = torch.get_rng_state()
    made = pilot(model, data, train, **OPTIONS)
    first = made(ROWS)
    assert all(torch.equal(p, state[name]) for name, p in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), random_numbers)
    made(ROWS[:2])
    torch.manual_seed(9)
    assert torch.equal(made(ROWS), first)  # from the model as given, and whatever came before


def test_the_random_numbers_come_back_after_an_error(model, data):
    def fails(model, subset):
        torch.rand(3)
        raise RuntimeError("out of luck")

    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="out of luck"):
        pilot(model, data, fails, **OPTIONS)(ROWS)
    assert torch.equal(torch.get_rng_state(), before)


def test_train_gets_the_rows_given(model, data):
    seen = []

    def look(model, subset):
        assert model.training
        seen.append(torch.stack([x for x, _ in subset]))

    made = pilot(model, data, look, **OPTIONS)
    for rows in (ROWS, ROWS.tolist(), torch.from_numpy(ROWS)):
        made(rows)
        assert torch.equal(seen.pop(), data.tensors[0][ROWS])


def test_rows_are_in_the_order_of_the_dataset(model):
    """Sample i is alone in having the label i, and the head's bias has gradient p - e_i."""
    model = nn.Linear(2, 9)
    data = [(torch.zeros(2), i) for i in torch.randperm(9).tolist()]
    made = pilot(model, data, lambda *_: None, params="all", sketch_dim=27, batch_size=2)
    Z = made([0])
    for i in range(9):
        alone = GradientSketcher(copy.deepcopy(model).eval(), params="all", sketch_dim=27)
        x, y = torch.zeros(1, 2), torch.tensor([data[i][1]])
        torch.testing.assert_close(Z[i : i + 1], alone((x, y)), rtol=1e-4, atol=1e-6)


def test_a_model_that_train_returns(model, data):
    """It may have other parameters, as one with adapters has."""

    class Adapted(nn.Module):
        def __init__(self, base):
            super().__init__()
            self.base, self.adapter = base, nn.Linear(4, 3)

        def forward(self, x):
            return self.base(x) + self.adapter(x)

    Z = pilot(model, data, lambda m, _: Adapted(m), params="adapter.*", sketch_dim=8)(ROWS)
    assert Z.shape == (N, 8)
    with pytest.raises(ValueError, match=r"params: expected names .* got 'adapter\.\*'"):
        pilot(model, data, train, params="adapter.*", sketch_dim=8)(ROWS)


def test_double_precision_and_a_loader(data):
    """The loader's batch size and collate_fn are used."""
    sizes = []

    def doubled(samples):
        sizes.append(len(samples))
        x, y = zip(*samples, strict=True)
        return torch.stack(x).double(), torch.stack(y)

    model = nn.Linear(4, 3).double()
    loader = DataLoader(data, batch_size=20, collate_fn=doubled)
    Z = pilot(model, loader, lambda *_: None, **{**OPTIONS, "sketch_dim": 8})(ROWS)
    assert sizes[-3:] == [20, 20, 10]  # after those that check the samples
    sketcher = GradientSketcher(model.eval(), params="all", sketch_dim=8)
    expected = sketcher((data.tensors[0].double(), data.tensors[1]))
    assert Z.dtype == torch.float64
    torch.testing.assert_close(Z, expected)


@pytest.mark.parametrize("as_store", [False, True])
def test_select_with_a_pilot(model, data, tmp_path, as_store):
    y = data.tensors[1].numpy()
    sketcher = GradientSketcher(copy.deepcopy(model).eval(), **OPTIONS)
    X = sketcher(data.tensors)
    if as_store:
        X = sketch_dataset(sketcher, data, tmp_path / "s", progress=False)
    first = []

    def seen(model, subset):
        first.append(subset.indices)
        train(model, subset)

    selection = skmm.select(X, 12, pilot=pilot(model, data, seen, **OPTIONS), y=y)
    assert np.bincount(y[selection.indices]).tolist() == [4, 4, 4]
    assert selection.settings["pilot"] == "Finetuned"
    assert first == [skmm.select(X, 12, y=y).indices.tolist()]
    Z = by_hand(model, data, np.array(first[0]))
    expected = skmm.select(X, 12, pilot=lambda rows: Z, y=y)
    assert np.array_equal(selection.indices, expected.indices)
    with pytest.raises(ValueError, match="pilot: expected a row for each of 40 samples, got 50"):
        skmm.select(Z[:40], 12, pilot=pilot(model, data, train, **OPTIONS))


class TestTarget:
    one = TensorDataset(torch.randn(9, 4) + 1, torch.arange(9) % 2)
    two = TensorDataset(torch.randn(5, 4) - 1, torch.arange(5) % 3)

    @pytest.mark.parametrize("options", [{}, {"seed": 3, "targets": "random"}])
    def test_its_rows_are_sketched_at_the_trained_copy(self, model, data, options):
        options = {**OPTIONS, **options}
        kept = []

        def trained(model, subset):
            train(model, subset)
            kept.append(model)

        made = pilot(model, data, trained, target=(self.one, self.two), batch_size=4, **options)
        Z, tasks = made(ROWS)
        torch.testing.assert_close(Z, by_hand(model, data, **options), rtol=1e-4, atol=1e-6)
        assert len(kept) == 1
        for found, task in zip(tasks, (self.one, self.two), strict=True):
            alone = GradientSketcher(kept[0], **options)
            expected = alone(task.tensors, np.arange(len(task)))
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
        loader = DataLoader(self.one, batch_size=2)
        of_one, (again,) = pilot(model, data, train, target=loader, **options)(ROWS)
        torch.testing.assert_close(of_one, Z)
        torch.testing.assert_close(again, tasks[0])

    def test_select_matches_it_at_the_pilot(self, model, data):
        before = GradientSketcher(copy.deepcopy(model).eval(), **OPTIONS)
        X, X_T = before(data.tensors), before(self.one.tensors)
        at_pilot = pilot(model, data, train, target=self.one, **OPTIONS)
        found = skmm.select(X, 12, target=X_T, pilot=at_pilot)
        returned = at_pilot(skmm.select(X, 12, target=X_T).indices)
        expected = skmm.select(X, 12, target=X_T, pilot=lambda rows: returned)
        assert np.array_equal(found.indices, expected.indices)
        assert found.diagnosis.mean_error == expected.diagnosis.mean_error
        with pytest.raises(ValueError, match="a row for each of 5 rows of the target, got 9"):
            skmm.select(X, 12, target=X_T[:5], pilot=at_pilot)

    def test_what_it_is(self, model, data):
        for target, error, message in (
            ([], ValueError, "target: expected at least one sample, got none"),
            (3, TypeError, "target: expected samples by row number .* got int"),
            ((data, "ab"[:0]), ValueError, "target: expected at least one sample"),
            (
                DataLoader(data, shuffle=True),
                ValueError,
                "target: expected a DataLoader of batches",
            ),
        ):
            with pytest.raises(error, match=message):
                pilot(model, data, train, target=target)
        wrong = TensorDataset(torch.randn(5, 3), torch.arange(5) % 3)
        with pytest.raises(ValueError, match="target: in rows 0 to 4: "):
            pilot(model, data, train, target=wrong, **OPTIONS)(ROWS)


def test_progress(model, data, capsys):
    pytest.importorskip("tqdm")
    pilot(model, data, train, progress=True, **OPTIONS)(ROWS)
    assert "pilot" in capsys.readouterr().err


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        yield torch.zeros(4), 0


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"model": "net"}, TypeError, "model: expected a torch.nn.Module, got str"),
        ({"dataset": Stream()}, TypeError, "dataset: .* and their count .*, got Stream"),
        ({"dataset": (1, 2)}, TypeError, "dataset: .* got tuple"),
        ({"dataset": []}, ValueError, "dataset: expected at least one sample, got none"),
        ({"train": None}, TypeError, r"train: expected a function \(model, subset\), got NoneType"),
        ({"batch_size": 0}, ValueError, "batch_size: .* got 0"),
        ({"seed": -1}, ValueError, "seed: .* got -1"),
        ({"n_threads": 0}, ValueError, "n_threads: .* got 0"),
        ({"progress": 1}, TypeError, "progress: expected True or False, got 1"),
        ({"param": "all"}, TypeError, r"param: expected an option of .* \(params, loss, .*\)"),
    ],
)
def test_arguments(model, data, given, error, message):
    arguments = {"model": model, "dataset": data, "train": train, **given}
    with pytest.raises(error, match=message):
        pilot(**arguments)


@pytest.mark.parametrize(
    ("options", "rows", "error", "message"),
    [
        ({"params": "5.*"}, ROWS, ValueError, r"params: expected names .* got '5\.\*'"),
        ({"sketch_dim": 999}, ROWS, ValueError, "sketch_dim: expected at most .* 51, got 999"),
        ({"loss": "hinge"}, ROWS, ValueError, "loss: expected one of .* got 'hinge'"),
        ({}, [N], ValueError, r"indices: expected rows in \[0, 49\], got 50"),
        ({}, [1, 1], ValueError, "indices: expected distinct rows, got row 1 more than once"),
        ({}, [0.5], TypeError, "indices: expected integer row numbers, got float64"),
    ],
)
def test_errors_of_a_call(model, data, options, rows, error, message):
    with pytest.raises(error, match=message):
        pilot(model, data, train, **{**OPTIONS, **options})(rows)


def test_what_train_returns(model, data):
    with pytest.raises(TypeError, match=r"train: .* a torch.nn.Module or None, .* returns dict"):
        pilot(model, data, lambda *_: {"loss": 0.0}, **OPTIONS)(ROWS)


def test_a_model_that_does_not_take_the_samples(data):
    with pytest.raises(ValueError, match=r"dataset: in rows 0 to 49: batch: expected inputs that"):
        pilot(nn.Linear(3, 3), data, lambda *_: None, **{**OPTIONS, "sketch_dim": 8})(ROWS)
