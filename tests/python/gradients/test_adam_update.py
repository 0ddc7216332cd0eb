"""Sketched updates of Adam, as LESS has them: against steps of torch's own optimizer."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import skmm_fast as skmm
from skmm_fast.gradients import GradientSketcher, sketch_dataset

nn, F = torch.nn, torch.nn.functional
N, LR = 12, 1e-3


class Embedded(nn.Module):
    """An embedding, a shared layer and a normalisation: gradients of all shapes."""

    def __init__(self):
        super().__init__()
        self.words, self.norm = nn.Embedding(7, 6), nn.LayerNorm(6)
        self.inner, self.head = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, tokens):
        x = self.words(tokens).mean(1)
        return self.head(self.inner(torch.tanh(self.inner(self.norm(x)))))


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 7, (N, 5), generator=generator)
    return tokens, torch.arange(N) % 3


def warmed(data, optimizer=torch.optim.AdamW, steps=4, dtype=torch.float64, **options):
    """A model after some steps, and its optimizer."""
    torch.manual_seed(1)
    model = Embedded().to(dtype)
    made = optimizer(model.parameters(), lr=LR, **options)
    for i in range(steps):
        made.zero_grad()
        F.cross_entropy(model(data[0][i::2]), data[1][i::2]).backward()
        made.step()
    return model.eval(), made


def by_steps(model, optimizer, data, names):
    """(N, r) What one step of the optimizer by the gradient of each sample alone subtracts, divided
    by the learning rate, for copies without weight decay."""
    found = []
    for x, y in zip(*data, strict=True):
        own = copy.deepcopy(model)
        params = dict(own.named_parameters())
        again = type(optimizer)(own.parameters(), lr=1.0)
        again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        for group in again.param_groups:
            group.update(lr=1.0, weight_decay=0.0)
        again.zero_grad()
        F.cross_entropy(own(x[None]), y[None]).backward()
        before = {name: params[name].detach().clone() for name in names}
        again.step()
        found.append(torch.cat([(before[name] - params[name]).flatten() for name in names]))
    return torch.stack(found).detach()


@pytest.mark.parametrize("method", ["auto", "vmap", "loop"])
@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (torch.optim.AdamW, {"weight_decay": 0.1}),
        (torch.optim.Adam, {"betas": (0.8, 0.95), "eps": 1e-3}),
    ],
)
def test_updates_are_those_of_a_step(data, method, optimizer, options):
    model, made = warmed(data, optimizer, **options)
    sketcher = GradientSketcher(
        model, params="all", scale=made, sketch_dim=40, method=method, micro_batch=5, seed=3
    )
    G = by_steps(model, made, data, sketcher.names)
    expected = skmm.SparseSign(sketcher.n_params, 40, seed=3).apply(G.numpy())
    found = sketcher(data)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-7, atol=1e-9)
    assert set(sketcher.methods.values()) == {"loop" if method == "loop" else "vmap"}
    plain = GradientSketcher(model, params="all", sketch_dim=40, seed=3)(data)
    assert (found - plain).norm() > plain.norm()


def test_some_parameters_in_single_precision(data):
    model, made = warmed(data, dtype=torch.float32)
    sketcher = GradientSketcher(model, params=["head.*", "norm.*"], scale=made, sketch_dim=16)
    G = by_steps(model, made, data, sketcher.names)
    expected = sketcher.sketch.apply(G.numpy())
    np.testing.assert_allclose(sketcher(data).numpy(), expected, rtol=1e-3, atol=1e-4)


def test_nothing_changes_and_later_steps_count(data):
    model, made = warmed(data)
    before = copy.deepcopy(made.state_dict()["state"])
    sketcher = GradientSketcher(model, params="last", scale=made, sketch_dim=8)
    first, fingerprint = sketcher(data), sketcher.fingerprint()
    after = made.state_dict()["state"]
    for i, state in before.items():
        assert all(torch.equal(state[name], after[i][name]) for name in state)
    F.cross_entropy(model(data[0]), data[1]).backward()
    made.step()
    G = by_steps(model, made, data, sketcher.names)
    expected = sketcher.sketch.apply(G.numpy())
    np.testing.assert_allclose(sketcher(data).numpy(), expected, rtol=1e-7, atol=1e-9)
    assert not torch.equal(sketcher(data), first)
    assert sketcher.fingerprint()["scale"] != fingerprint["scale"]


def test_a_store_goes_on_only_with_the_same_moments(data, tmp_path):
    model, made = warmed(data)
    samples = torch.utils.data.TensorDataset(*data)
    options = {"params": "last", "sketch_dim": 8}
    sketcher = GradientSketcher(model, scale=made, **options)
    sketch_dataset(sketcher, samples, tmp_path / "s", progress=False)
    sketch_dataset(sketcher, samples, tmp_path / "s", progress=False)
    made.state[model.head.bias]["exp_avg"] += 1
    for other in (sketcher, GradientSketcher(model, **options)):
        with pytest.raises(ValueError, match="scale"):
            sketch_dataset(other, samples, tmp_path / "s", progress=False)


def test_select_by_less(data):
    """The pool by updates of Adam, the target by plain gradients, both by the same Γ."""
    model, made = warmed(data)
    options = {"params": "all", "sketch_dim": 40, "seed": 2}
    Z = GradientSketcher(model, scale=made, **options)(data)
    target = GradientSketcher(model, **options)((data[0][:3], data[1][:3]))
    found = skmm.select(Z, 4, method="less", sketch_dim=40, target=target)
    mean = target.mean(0)
    cosines = Z @ mean / (Z.norm(dim=1) * mean.norm())
    assert set(found.indices) == set(cosines.argsort()[-4:].tolist())


def test_errors(data):
    model, made = warmed(data)
    strange = warmed(data, amsgrad=True)
    other = {"params": "all", "sketch_dim": 8}
    for given, options, error, message in (
        (
            model,
            {"scale": 0.1},
            TypeError,
            "scale: expected a dict of tensors, .* torch.optim.Adam or AdamW, got float",
        ),
        (model, {"scale": torch.optim.SGD(model.parameters())}, TypeError, "scale: .* got SGD"),
        (copy.deepcopy(model), {"scale": made}, ValueError, "scale: .* 'words.weight', got one wi"),
        (strange[0], {"scale": strange[1]}, ValueError, "scale: expected Adam without amsgrad"),
        (model, {"scale": made, "method": "hooks"}, ValueError, "method: .* scale.* got 'hooks'"),
    ):
        with pytest.raises(error, match=message):
            GradientSketcher(given, **other, **options)
    unstepped = warmed(data, steps=0)
    with pytest.raises(ValueError, match="scale: expected an optimizer that has made a step"):
        GradientSketcher(unstepped[0], **other, scale=unstepped[1])
